//! What is counted about money.

use metrics::{Counter, counter, gauge};
use policy::ledger::AlertRaised;
use protocol::account::UsageRecord;
use protocol::manage::BudgetState;

/// Nanos in a unit, as a float: metrics are floats, the ledger is exact.
const UNIT: f64 = 1e9;

#[derive(Clone)]
pub(super) struct CostMetrics {
    disputed: Counter,
}

impl CostMetrics {
    pub(super) fn new() -> Self {
        Self { disputed: counter!("troupe_disputed_total") }
    }

    /// A request was billed.
    pub(super) fn billed(&self, record: &UsageRecord) {
        let (model, key) = (record.subject.model.clone(), record.subject.key.clone());
        let labels = [("model", model.clone()), ("key", key)];
        counter!("troupe_cost_nanos_total", &labels).increment(record.cost.0);
        counter!("troupe_requests_billed_total", "model" => model.clone(), "outcome" => record.outcome.as_str())
            .increment(1);
        for (kind, tokens) in
            [("prompt", record.prompt - record.cached), ("cached", record.cached), ("completion", record.completion)]
        {
            counter!("troupe_tokens_billed_total", "model" => model.clone(), "kind" => kind).increment(tokens.0);
        }
        if record.disputed.0 > 0 {
            self.disputed.increment(1);
        }
    }

    pub(super) fn alert(&self, alert: &AlertRaised) {
        counter!("troupe_budget_alerts_total", "budget" => alert.budget.clone(), "share" => alert.share.to_string())
            .increment(1);
    }

    /// How budgets stand.
    pub(super) fn budgets(&self, states: &[BudgetState]) {
        for state in states {
            let id = state.budget.id.clone();
            let limit = state.budget.limit.0.max(1) as f64;
            gauge!("troupe_budget_limit", "budget" => id.clone()).set(limit / UNIT);
            gauge!("troupe_budget_settled", "budget" => id.clone()).set(state.settled.0 as f64 / UNIT);
            gauge!("troupe_budget_reserved", "budget" => id.clone()).set(state.reserved.0 as f64 / UNIT);
            gauge!("troupe_budget_consumed_ratio", "budget" => id).set(state.settled.0 as f64 / limit);
        }
    }
}
