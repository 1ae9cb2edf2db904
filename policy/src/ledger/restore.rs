//! What a coordinator needs of a ledger when it starts, or when its store was out of reach.

use protocol::account::{Spent, Subject};
use protocol::units::{Nanos, UnixMillis};

use super::Ledger;
use super::account::Account;
use super::types::Settled;

impl Ledger {
    /// What a store keeps of every budget.
    pub fn all_spent(&self) -> impl Iterator<Item = Spent> + '_ {
        self.accounts.iter().flatten().map(Account::spent)
    }

    /// Books what was spent already, whatever the budgets say: for money that was reserved before a restart and
    /// can have been spent since. It counts even where a limit was lowered in between.
    pub fn book(&mut self, now: UnixMillis, subject: &Subject, amount: Nanos) -> Settled {
        let mut settled = Settled { booked: amount, ..Settled::default() };
        for slot in self.matching(subject) {
            let Some(account) = self.account_mut(slot) else { continue };
            account.advance(now);
            account.settle(amount);
            account.cap(now);
            settled.alerts.extend(account.alerts());
            settled.changes.push(account.spent());
        }
        settled
    }
}

#[cfg(test)]
mod tests;
