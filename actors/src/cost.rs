//! The cost actor's shell: who holds money for a request, and what becomes of it.
//!
//! Rules:
//! - `policy::ledger` decides. A request sets its upper bound aside ([`Accounts::reserve`]) before a node or a
//!   provider is asked, and gets a [`Bill`]; to drop the bill is to settle what was used until then, so nothing
//!   stays reserved that nobody owns.
//! - What is settled is on disk before the client hears its last word. Writes go to the store in the order in which
//!   the ledger booked them.
//! - While the store cannot be written, nothing new is let in: what is not recorded would be free.
//! - A request that goes to a provider is written down before it is sent ([`Bill::journal`]): if this process
//!   is killed, the provider bills all the same, and the reservation counts as spent when the process is back.
//! - A lock is held for the ledger's own work alone, never across an await.
//!
//! Left to others: prices, who may ask at all ([`keys`]), how fast ([`pace`]), and where alerts go.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use policy::ledger::{AlertRaised, BudgetError, Ledger, ReservationId, ReserveError};
use protocol::account::{Budget, Outcome, Spent, Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::money::Price;
use protocol::units::{Nanos, UnixMillis};
use store::{OpenReservation, Pending, Store, StoreError, Write, Writer, WriterError};
use tokio::sync::mpsc;

mod bill;
pub mod keys;
pub mod manage;
mod metrics;
pub mod pace;
pub mod watch;

pub use bill::{Bill, Order};

use crate::guarded::Guarded;
use metrics::CostMetrics;

/// The time of day.
pub type WallClock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// Alerts on their way to whoever tells people; more are counted and logged only.
const ALERTS: usize = 1024;
/// How long settlements gather: their clients wait as long, once, at the end of an answer.
const PAUSE: Duration = Duration::from_millis(3);
/// Usage records that wait for a store which cannot be written.
const UNSAVED: usize = 65_536;

/// Why accounts cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its thread.
    #[error(transparent)]
    Writer(#[from] WriterError),
    /// A budget in the store cannot be.
    #[error("the store holds a budget that cannot be: {0}")]
    Budget(#[from] BudgetError),
}

/// Why nothing was set aside.
#[derive(Debug, thiserror::Error)]
pub enum NotReserved {
    /// The ledger refuses.
    #[error(transparent)]
    Ledger(#[from] ReserveError),
    /// Nothing can be recorded.
    #[error("usage cannot be recorded now, so nothing is taken in: {0}")]
    Store(String),
}

/// Keys, budgets and usage of a cluster. Clones share them.
#[derive(Clone)]
pub struct Accounts {
    shared: Arc<Shared>,
}

struct Shared {
    book: Guarded<Ledger>,
    keys: keys::Keys,
    pace: pace::Pace,
    store: Arc<dyn Store>,
    writer: Writer,
    clock: WallClock,
    alerts: mpsc::Sender<AlertRaised>,
    /// The store could not be written the last time.
    failing: AtomicBool,
    /// What it still has to take.
    unsaved: Guarded<Vec<UsageRecord>>,
    metrics: CostMetrics,
}

impl Accounts {
    /// As the store holds them. What was written down for providers and never settled counts as spent from now on.
    /// Alerts come out of the receiver.
    ///
    /// # Errors
    /// The store cannot be read or written, or holds what cannot be.
    pub fn open(store: Arc<dyn Store>, clock: WallClock) -> Result<(Self, mpsc::Receiver<AlertRaised>), OpenError> {
        let hard = store.load()?;
        let mut ledger = Ledger::new(hard.budgets.into_values(), hard.spent.into_values())?;
        let lost = settle_lost(&mut ledger, hard.open, clock());
        for writes in lost.chunks(256) {
            store.commit(&writes.concat())?;
        }
        if !lost.is_empty() {
            tracing::warn!("{} requests to providers were cut off: what was reserved for them is spent", lost.len());
        }
        let (alerts, raised) = mpsc::channel(ALERTS);
        let writer = Writer::start(Arc::clone(&store), store::Settings { pause: PAUSE, ..store::Settings::default() })?;
        let shared = Shared {
            book: Guarded::new(ledger),
            keys: keys::Keys::of(hard.keys),
            pace: pace::Pace::default(),
            store,
            writer,
            clock,
            alerts,
            failing: AtomicBool::new(false),
            unsaved: Guarded::default(),
            metrics: CostMetrics::new(),
        };
        Ok((Self { shared: Arc::new(shared) }, raised))
    }

    /// Who may ask.
    pub fn keys(&self) -> &keys::Keys {
        &self.shared.keys
    }

    /// How fast each may ask.
    pub fn pace(&self) -> &pace::Pace {
        &self.shared.pace
    }

    /// The time of day.
    pub fn now(&self) -> UnixMillis {
        (self.shared.clock)()
    }

    /// Sets aside what a request may cost at most.
    ///
    /// # Errors
    /// A budget has no room, or nothing can be recorded.
    pub fn reserve(&self, order: Order) -> Result<Bill, NotReserved> {
        if self.shared.failing.load(Ordering::Acquire) {
            return Err(NotReserved::Store("the store cannot be written, see the log".to_owned()));
        }
        let now = self.now();
        let id = ReservationId(order.request.0);
        let reserved = self.shared.book().reserve(now, id, &order.subject, order.bound);
        match reserved {
            Ok(reserved) => {
                self.raise(reserved.alerts);
                Ok(Bill::new(self.clone(), order))
            }
            Err(error) => {
                if let ReserveError::OverBudget { alerts, .. } = &error {
                    self.raise(alerts.clone());
                }
                Err(error.into())
            }
        }
    }

    /// Whether so much could be set aside now.
    pub fn would_pass(&self, subject: &Subject, amount: Nanos) -> bool {
        self.shared.book().would_pass(self.now(), subject, amount).is_ok()
    }

    /// What is reserved in all, and by how many.
    pub fn open_reservations(&self) -> usize {
        self.shared.book().open()
    }

    /// Tells whoever listens. What it says was told is stored, so that nobody hears it twice.
    fn raise(&self, alerts: Vec<AlertRaised>) {
        if alerts.is_empty() {
            return;
        }
        {
            // Amounts are absolute, so they go to the store in the ledger's order.
            let book = self.shared.book();
            let spent = alerts.iter().filter_map(|alert| book.spent(&alert.budget)).map(Write::Spent).collect();
            if let Err(error) = self.shared.writer.submit(spent) {
                tracing::error!("the store does not take which alerts were raised: {error}");
            }
        }
        for alert in alerts {
            self.shared.metrics.alert(&alert);
            if self.shared.alerts.try_send(alert.clone()).is_err() {
                tracing::warn!("budget '{}' has reached {} %, and nobody could be told", alert.budget, alert.share);
            }
        }
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("open", &self.open_reservations()).finish_non_exhaustive()
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Ledger> {
        self.book.lock()
    }

    fn unsaved(&self) -> MutexGuard<'_, Vec<UsageRecord>> {
        self.unsaved.lock()
    }

    /// Waits until a settlement is on disk; if it cannot be, keeps the record for when it can.
    async fn confirm(&self, pending: Result<Pending, WriterError>, record: UsageRecord) {
        let outcome = match pending {
            Ok(pending) => pending.await.map(drop),
            Err(error) => Err(error),
        };
        self.confirmed(outcome, record);
    }

    fn confirmed(&self, outcome: Result<(), WriterError>, record: UsageRecord) {
        let Err(error) = outcome else {
            self.failing.store(false, Ordering::Release);
            return;
        };
        if !self.failing.swap(true, Ordering::AcqRel) {
            tracing::error!("usage cannot be recorded, nothing new is taken in until it can: {error}");
        }
        let mut unsaved = self.unsaved();
        if unsaved.len() < UNSAVED {
            unsaved.push(record);
        } else {
            tracing::error!("the usage of request {} is lost: {UNSAVED} records wait already", record.request);
        }
    }

    /// Tries again to write what could not be written. True if nothing is left.
    async fn save(&self) -> bool {
        let records = std::mem::take(&mut *self.unsaved());
        if records.is_empty() && !self.failing.load(Ordering::Acquire) {
            return true;
        }
        let mut writes: Vec<Write> = records.iter().cloned().map(Write::Usage).collect();
        let pending = {
            let book = self.book();
            // Amounts are absolute: only the newest may be written.
            let budgets: BTreeMap<String, Spent> =
                book.all_spent().map(|spent| (spent.budget.clone(), spent)).collect();
            writes.extend(budgets.into_values().map(Write::Spent));
            self.writer.submit(writes)
        };
        let outcome = match pending {
            Ok(pending) => pending.await.map(drop),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => {
                tracing::info!("usage is recorded again: {} records were written", records.len());
                self.failing.store(false, Ordering::Release);
                true
            }
            Err(error) => {
                tracing::debug!("the store is still not to be written: {error}");
                self.unsaved().extend(records);
                false
            }
        }
    }
}

/// What was written down for providers and never settled counts as spent. The writes, by request.
fn settle_lost(ledger: &mut Ledger, open: BTreeMap<RequestId, OpenReservation>, now: UnixMillis) -> Vec<Vec<Write>> {
    let mut all = Vec::new();
    for (request, open) in open {
        // A budget that was lowered since does not make the money come back.
        let booked = match ledger.charge(now, &open.subject, open.amount) {
            Ok(booked) => booked,
            Err(error) => {
                tracing::error!("the reservation of request {request} cannot be booked: {error}");
                continue;
            }
        };
        let record = UsageRecord {
            request,
            at: now,
            asked: open.subject.model.clone(),
            subject: open.subject,
            reserved: open.amount,
            cost: open.amount,
            outcome: Outcome::Lost,
            ..UsageRecord::default()
        };
        let mut writes = vec![Write::Usage(record), Write::Close(request)];
        writes.extend(booked.changes.into_iter().map(Write::Spent));
        all.push(writes);
    }
    all
}

/// A price and what it makes of tokens; a cost that does not fit is as much as was set aside.
fn cost_of(price: &Price, used: &protocol::answer::Usage, reserved: Nanos) -> Nanos {
    price.cost(used.prompt, used.cached, used.completion).unwrap_or(reserved)
}

/// Checks a budget before it is stored.
fn checked(budget: &Budget) -> Result<(), BudgetError> {
    Ledger::check_budget(budget)
}

#[cfg(test)]
mod tests;
