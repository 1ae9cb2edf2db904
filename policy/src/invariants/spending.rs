//! What is settled and what may still be spent are together never more than the budget: at one coordinator
//! ([`Stand`]), and summed over all of them.

use protocol::units::Nanos;

use super::{Breach, Invariant, holds};

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand<'a> {
    /// Its id.
    pub budget: &'a str,
    /// What was spent in this window.
    pub settled: Nanos,
    /// What may still be, by requests that run and by other coordinators.
    pub reserved: Nanos,
    /// The most that both may come to: the limit, or what stood there already when that was lowered.
    pub ceiling: Nanos,
}

/// Settled and reserved are together at most the ceiling.
///
/// # Errors
/// They are more.
pub fn within_budget(stand: &Stand<'_>) -> Result<(), Breach> {
    let Stand { budget, settled, reserved, ceiling } = stand;
    let sum = u128::from(settled.0) + u128::from(reserved.0);
    holds(Invariant::WithinBudget, sum <= u128::from(ceiling.0), || {
        format!("budget '{budget}': {settled} settled and {reserved} reserved are more than {ceiling}")
    })
}
