//! What happens to accounts though nobody asks: budgets are shown, what could not be written is tried again, old
//! usage is folded.

use std::time::Duration;

use policy::invariants::Invariant;
use policy::invariants::spending::within_budget;
use protocol::units::UnixMillis;
use tokio::time::{MissedTickBehavior, interval};

use super::Accounts;
use crate::promises::Promises;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);
/// How often old usage is folded.
const FOLD: Duration = Duration::from_secs(3600);

impl Accounts {
    /// Looks after the accounts, for ever. Usage is kept request by request for so long.
    pub async fn watch(self, keep: Duration) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut folds = interval(FOLD);
        folds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                // First, and harmless there: it is not due again for an hour. A store so slow that looks are always due
                // would keep it from its turn for ever if they came first.
                _ = folds.tick() => self.fold(keep).await,
                _ = ticks.tick() => {
                    self.shared.metrics.budgets(&self.budgets());
                    self.check_budgets();
                    if !self.journals() {
                        self.share(None);
                    }
                    self.shared.save().await;
                }
            }
        }
    }

    /// What must hold of budgets.
    pub fn promises(&self) -> &Promises {
        &self.shared.promises
    }

    /// Looks whether every budget holds what it may.
    fn check_budgets(&self) {
        let book = self.shared.book();
        for stand in book.holder().into_iter().flat_map(|holder| holder.ledger().stands()) {
            self.shared.promises.look(Invariant::WithinBudget, stand.budget, within_budget(&stand));
        }
    }

    async fn fold(&self, keep: Duration) {
        let now = self.now();
        let before = UnixMillis(now.0.saturating_sub(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX)));
        match self.compact(before).await {
            Ok(folded) => tracing::debug!("old usage is folded: {folded:?}"),
            Err(error) => tracing::warn!("old usage cannot be folded: {error}"),
        }
    }
}
