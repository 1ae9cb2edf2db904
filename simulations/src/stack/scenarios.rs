//! The scenarios, by name.

use super::Scenario;

mod losing;

/// All of them, in the order of their list.
pub const ALL: &[Scenario] = &[losing::NODE_DIES];

/// By name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}
