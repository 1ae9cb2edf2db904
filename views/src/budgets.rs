//! Budgets.

use protocol::account::{Budget, Increase, Scope, Window};
use protocol::manage::BudgetState;
use protocol::units::{Nanos, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::money::Amount;

/// Shares of the limit at which somebody is told, where none are given.
pub const ALERTS: [u8; 3] = [50, 80, 100];

/// A budget as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetForm {
    /// Its name, where it is not said otherwise; the same, if it is.
    pub id: Option<String>,
    limit: Amount,
    #[serde(default)]
    scope: Scope,
    #[serde(default)]
    window: Window,
    alerts: Option<Vec<u8>>,
    #[serde(default)]
    soft: bool,
    increase: Option<IncreaseForm>,
}

/// More for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncreaseForm {
    /// On top of the limit.
    pub amount: Amount,
    /// Until then.
    pub until: Moment,
}

impl From<IncreaseForm> for Increase {
    fn from(form: IncreaseForm) -> Self {
        Self { amount: form.amount.0, until: form.until.0 }
    }
}

impl BudgetForm {
    /// The budget with this name.
    pub fn named(self, id: String) -> Budget {
        Budget {
            id,
            scope: self.scope,
            limit: self.limit.0,
            window: self.window,
            alerts: self.alerts.unwrap_or_else(|| ALERTS.to_vec()),
            soft: self.soft,
            increase: self.increase.map(Increase::from),
        }
    }
}

/// A budget and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetView {
    object: &'static str,
    id: String,
    scope: Scope,
    limit: Amount,
    window: Window,
    alerts: Vec<u8>,
    soft: bool,
    increase: Option<IncreaseForm>,
    spent: Amount,
    reserved: Amount,
    remaining: Amount,
    since: Moment,
    resets: Option<Moment>,
}

impl BudgetView {
    /// As it stands at this moment.
    pub fn new(state: BudgetState, now: UnixMillis) -> Self {
        let remaining = Amount(remaining(&state, now));
        let BudgetState { budget, settled, reserved, since, resets } = state;
        let increase = |more: Increase| IncreaseForm { amount: Amount(more.amount), until: Moment(more.until) };
        Self {
            object: "budget",
            id: budget.id,
            scope: budget.scope,
            limit: Amount(budget.limit),
            window: budget.window,
            alerts: budget.alerts,
            soft: budget.soft,
            increase: budget.increase.map(increase),
            spent: Amount(settled),
            reserved: Amount(reserved),
            remaining,
            since: Moment(since),
            resets: resets.map(Moment),
        }
    }
}

/// What may still be spent in this window: nothing, where more was spent than is allowed now.
pub fn remaining(state: &BudgetState, now: UnixMillis) -> Nanos {
    ceiling(&state.budget, now) - (state.settled + state.reserved)
}

/// The most that may be spent at this moment.
pub fn ceiling(budget: &Budget, now: UnixMillis) -> Nanos {
    let more = budget.increase.filter(|increase| now < increase.until).map_or(Nanos::ZERO, |increase| increase.amount);
    budget.limit + more
}

#[cfg(test)]
mod tests;
