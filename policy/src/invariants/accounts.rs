//! What an account says is the sum of what stands in it: in a ledger all the time, and against the records that
//! brought it there.

use protocol::units::Nanos;

use super::{Breach, Invariant, holds};
use crate::ledger::Ledger;

/// All that must hold of a ledger by itself does. Looks at everything that is open.
///
/// # Errors
/// A rule is broken.
pub fn accounts_agree(ledger: &Ledger) -> Result<(), Breach> {
    ledger.check().map_err(|broken| Breach::new(Invariant::AccountsAgree, broken.to_string()))
}

/// What is settled of a budget is the sum of its records.
///
/// # Errors
/// It is not.
pub fn records_agree(budget: &str, settled: Nanos, records: Nanos) -> Result<(), Breach> {
    holds(Invariant::AccountsAgree, settled == records, || {
        format!("budget '{budget}': {settled} settled, and its records come to {records}")
    })
}
