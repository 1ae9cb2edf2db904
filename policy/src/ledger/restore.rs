//! What a coordinator needs of a ledger when its store was out of reach.

use protocol::account::Spent;

use super::Ledger;
use super::account::Account;

impl Ledger {
    /// What a store keeps of every budget.
    pub fn all_spent(&self) -> impl Iterator<Item = Spent> + '_ {
        self.accounts.iter().flatten().map(Account::spent)
    }
}
