//! Nothing is reserved that nobody owns: a job that counts as sent to a node, money that is set aside.

use super::{Breach, Invariant, holds};

/// Of `what`, so many are reserved, and so many owners live.
///
/// # Errors
/// More are reserved than owned.
pub fn owned(what: &str, reserved: u64, owners: u64) -> Result<(), Breach> {
    holds(Invariant::Owned, reserved <= owners, || {
        format!("{what}: {reserved} reserved, where {owners} have one: the rest leaked")
    })
}
