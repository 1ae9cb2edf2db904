//! What must hold of a ledger after each of its steps.

use std::collections::BTreeMap;

use super::account::Account;
use super::matching::Slot;
use super::types::Broken;
use super::{Ledger, Open};
use crate::invariants::spending::{Stand, within_budget};

/// What is settled and reserved is at most what was ever let in.
fn within_ceiling(account: &Account) -> bool {
    account.budget.soft || within_budget(&stand(account)).is_ok()
}

fn stand(account: &Account) -> Stand<'_> {
    let (settled, reserved, ceiling) = (account.settled, account.reserved(), account.ceiling);
    Stand { budget: &account.budget.id, settled, reserved, ceiling }
}

/// What counts as open in a budget is what is open, and so with what is held.
fn sums_agree(account: &Account, open: u128) -> bool {
    let held: u128 = account.holds.values().map(|held| u128::from(held.0)).sum();
    u128::from(account.open.0) == open && u128::from(account.held.0) == held
}

/// The window holds the latest moment, or was never looked at.
fn window_holds(account: &Account) -> bool {
    let span = account.window;
    span.until.is_some_and(|until| until == span.since) || (span.since <= account.seen && !span.is_over(account.seen))
}

/// A reservation counts in just those budgets that match it.
fn owners_match(ledger: &Ledger, open: &Open) -> bool {
    let all = ledger.accounts.iter().enumerate();
    let matching = all.filter(|(_, account)| account.as_ref().is_some_and(|a| a.budget.scope.matches(&open.subject)));
    matching.map(|(slot, _)| slot).eq(open.slots.iter().copied())
}

/// A budget is found by its name and by its scope.
fn is_found(ledger: &Ledger, slot: Slot, account: &Account) -> bool {
    ledger.names.get(&account.budget.id) == Some(&slot) && ledger.matching.holds(&account.budget.scope, slot)
}

impl Ledger {
    /// How all budgets stand that refuse anything.
    pub fn stands(&self) -> impl Iterator<Item = Stand<'_>> {
        self.accounts.iter().flatten().filter(|account| !account.budget.soft).map(stand)
    }

    /// Whether all that must hold does. Looks at everything: for tests and for `debug` endpoints.
    ///
    /// # Errors
    /// A rule is broken.
    pub fn check(&self) -> Result<(), Broken> {
        let mut sums = BTreeMap::<Slot, u128>::new();
        for open in self.open.values() {
            for slot in &open.slots {
                *sums.entry(*slot).or_default() += u128::from(open.amount.0);
            }
        }
        for (slot, account) in self.accounts.iter().enumerate() {
            let Some(account) = account else { continue };
            let budget = || account.budget.id.clone();
            let open = sums.remove(&slot).unwrap_or_default();
            if !sums_agree(account, open) {
                return Err(Broken::ReservedIsNotOpen { budget: budget(), reserved: account.reserved(), open });
            }
            if !within_ceiling(account) {
                let (settled, reserved, ceiling) = (account.settled, account.reserved(), account.ceiling);
                return Err(Broken::OverCeiling { budget: budget(), settled, reserved, ceiling });
            }
            if !window_holds(account) {
                return Err(Broken::WrongWindow(budget()));
            }
            if !is_found(self, slot, account) {
                return Err(Broken::Lost(budget()));
            }
        }
        match self.open.iter().find(|(_, open)| !owners_match(self, open)) {
            Some((id, _)) => Err(Broken::WrongOwners(*id)),
            None => Ok(()),
        }
    }
}
