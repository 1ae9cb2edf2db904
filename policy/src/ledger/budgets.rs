//! The budgets of a ledger: which can be, how they come, change and go.

use protocol::account::{Budget, Spent};
use protocol::manage::BudgetState;
use protocol::units::{Nanos, UnixMillis};

use super::Ledger;
use super::account::Account;
use super::matching::Slot;
use super::types::{BudgetError, BudgetPut};
use super::window::Calendar;

/// The longest id of a budget, in bytes.
pub const ID_BYTES: usize = 128;
/// The most alerts of a budget.
pub const ALERTS: usize = 16;
/// The most budgets.
pub const BUDGETS: usize = 1 << 17;

/// Whether a budget can be, and its calendar.
fn check(budget: &Budget) -> Result<Calendar, BudgetError> {
    let id = || budget.id.clone();
    if budget.id.is_empty() || budget.id.len() > ID_BYTES || budget.id.chars().any(char::is_control) {
        let shown = budget.id.chars().take(64).flat_map(char::escape_default).collect();
        return Err(BudgetError::Id { id: shown, most: ID_BYTES });
    }
    if budget.limit == Nanos::ZERO {
        return Err(BudgetError::Zero(id()));
    }
    if let Some(increase) = budget.increase
        && budget.limit.checked_add(increase.amount).is_none()
    {
        return Err(BudgetError::Increase { id: id(), limit: budget.limit, increase: increase.amount });
    }
    if budget.alerts.len() > ALERTS {
        return Err(BudgetError::TooManyAlerts { id: id(), alerts: budget.alerts.len(), most: ALERTS });
    }
    if let Some(share) = budget.alerts.iter().find(|share| !(1..=100).contains(*share)) {
        return Err(BudgetError::Share { id: id(), share: *share });
    }
    let zone = || budget.window.zone.iter().flat_map(|zone| zone.chars().take(64)).flat_map(char::escape_default);
    Calendar::new(&budget.window).ok_or_else(|| BudgetError::Zone { id: id(), zone: zone().collect() })
}

impl Ledger {
    /// As it was stored: what was spent of budgets that are no more is left out.
    ///
    /// # Errors
    /// A budget cannot be.
    pub fn new(
        budgets: impl IntoIterator<Item = Budget>,
        spent: impl IntoIterator<Item = Spent>,
    ) -> Result<Self, BudgetError> {
        let mut ledger = Self::default();
        let spent: std::collections::BTreeMap<_, _> =
            spent.into_iter().map(|spent| (spent.budget.clone(), spent)).collect();
        for budget in budgets {
            let calendar = check(&budget)?;
            let spent = spent.get(&budget.id);
            ledger.remove_budget(&budget.id);
            ledger.insert(Account::new(budget, calendar, spent))?;
        }
        Ok(ledger)
    }

    /// Whether a budget can be.
    ///
    /// # Errors
    /// It cannot.
    pub fn check_budget(budget: &Budget) -> Result<(), BudgetError> {
        check(budget).map(drop)
    }

    /// A budget comes, or takes the place of the one with its id.
    ///
    /// # Errors
    /// It cannot be, or there are too many. Nothing changes.
    pub fn put_budget(&mut self, now: UnixMillis, budget: Budget) -> Result<BudgetPut, BudgetError> {
        let calendar = check(&budget)?;
        self.place(now, budget, calendar)
    }

    /// Puts a budget that can be.
    pub(super) fn place(
        &mut self,
        now: UnixMillis,
        budget: Budget,
        calendar: Calendar,
    ) -> Result<BudgetPut, BudgetError> {
        let id = budget.id.clone();
        let mut open = self.open.values().filter(|open| budget.scope.matches(&open.subject));
        let open = open.try_fold(Nanos::ZERO, |sum, open| sum.checked_add(open.amount));
        let old = self.names.get(&id).and_then(|slot| self.account(*slot));
        let (settled, held) = old.map_or_else(Default::default, |old| (old.settled, old.held));
        let sum = open.and_then(|open| open.checked_add(settled)).and_then(|sum| sum.checked_add(held));
        let (Some(open), Some(_)) = (open, sum) else { return Err(BudgetError::Overflow(id)) };
        let slot = match self.names.get(&id).copied() {
            Some(slot) => slot,
            None => self.insert(Account::new(budget.clone(), calendar.clone(), None))?,
        };
        let Some(account) = self.accounts.get_mut(slot).and_then(Option::as_mut) else {
            return Err(BudgetError::TooMany(BUDGETS));
        };
        // What was spent in a window that is over by now is spent no more.
        account.advance(now);
        self.matching.remove(&account.budget.scope, slot);
        self.matching.insert(&budget.scope, slot);
        account.open = open;
        account.replace(now, budget, calendar);
        for open in self.open.values_mut() {
            open.slots.retain(|other| *other != slot);
            if account.budget.scope.matches(&open.subject) {
                open.slots.push(slot);
                open.slots.sort_unstable();
            }
        }
        Ok(BudgetPut { alerts: account.alerts(), spent: account.spent() })
    }

    /// A budget goes. False if there is none of that id.
    pub fn remove_budget(&mut self, id: &str) -> bool {
        let Some(slot) = self.names.remove(id) else { return false };
        if let Some(account) = self.accounts.get_mut(slot).and_then(Option::take) {
            self.matching.remove(&account.budget.scope, slot);
        }
        for open in self.open.values_mut() {
            open.slots.retain(|other| *other != slot);
        }
        self.free.push(slot);
        true
    }

    /// A budget as it stands now.
    pub fn state(&self, now: UnixMillis, id: &str) -> Option<BudgetState> {
        let account = self.account(*self.names.get(id)?)?;
        Some(account.peek(now).state())
    }

    /// All budgets as they stand now, by id.
    pub fn states(&self, now: UnixMillis) -> Vec<BudgetState> {
        let accounts = self.names.values().filter_map(|slot| self.account(*slot));
        accounts.map(|account| account.peek(now).state()).collect()
    }

    fn insert(&mut self, account: Account) -> Result<Slot, BudgetError> {
        if self.names.len() >= BUDGETS {
            return Err(BudgetError::TooMany(BUDGETS));
        }
        let (id, scope) = (account.budget.id.clone(), account.budget.scope.clone());
        let slot = self.free.pop().unwrap_or(self.accounts.len());
        match self.accounts.get_mut(slot) {
            Some(place) => *place = Some(account),
            None => self.accounts.push(Some(account)),
        }
        self.matching.insert(&scope, slot);
        self.names.insert(id, slot);
        Ok(slot)
    }
}
