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
//! - Where several coordinators share the budgets, one of them has the ledger and the others spend slices of it
//!   ([`escrow`]); for whoever asks here, it is the same.
//! - A lock is held for the ledger's own work alone, never across an await.
//!
//! Left to others: prices, who may ask at all ([`keys`]), how fast ([`pace`]), and where alerts go.

use std::fmt;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use policy::escrow::grantee::{BadJournal, Refused};
use policy::escrow::holder::At;
use policy::ledger::{AlertRaised, BudgetError, Ledger, ReservationId, ReserveError};
use protocol::account::{Budget, Subject};
use protocol::money::Price;
use protocol::units::{Nanos, UnixMillis};
use store::{Store, StoreError, Write, Writer, WriterError};
use tokio::sync::mpsc;

use crate::cluster::Clock;
use crate::guarded::Guarded;
use crate::promises::Promises;

mod bill;
mod book;
pub mod escrow;
mod journal;
pub mod keys;
mod known;
pub mod manage;
mod metrics;
pub mod pace;
mod saving;
mod steady;
pub mod watch;

pub use bill::{Bill, Order};
pub use escrow::Part;

use book::Book;
use known::KeyLog;
use metrics::CostMetrics;
use steady::Steady;

/// The time of day.
pub type WallClock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// Alerts on their way to whoever tells people; more are counted and logged only.
const ALERTS: usize = 1024;
/// How long settlements gather: their clients wait as long, once, at the end of an answer.
const PAUSE: Duration = Duration::from_millis(3);

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
    /// Records in the store do not follow each other.
    #[error(transparent)]
    Journal(#[from] BadJournal),
    /// A state in the store cannot be read.
    #[error("'{name}' in the store cannot be read ({problem}): restore the store from a copy")]
    Blob {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// Why nothing was set aside.
#[derive(Debug, thiserror::Error)]
pub enum NotReserved {
    /// The ledger refuses.
    #[error(transparent)]
    Ledger(#[from] ReserveError),
    /// What this coordinator may spend of the budgets that another one has is too little, or nothing.
    #[error(transparent)]
    Escrow(Refused),
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
    book: Guarded<Book>,
    ticks: Clock,
    escrow: escrow::Shared,
    keys: keys::Keys,
    pace: pace::Pace,
    store: Arc<dyn Store>,
    writer: Writer,
    clock: WallClock,
    alerts: mpsc::Sender<AlertRaised>,
    steady: Arc<Steady>,
    /// What the store still has to take.
    unsaved: saving::Unsaved,
    /// One at a time tries to write what it could not take.
    saving: tokio::sync::Mutex<()>,
    /// Keys are changed by one at a time.
    changing: tokio::sync::Mutex<()>,
    metrics: CostMetrics,
    promises: Promises,
}

impl Accounts {
    /// As the store holds them, for a coordinator that has the budgets. What was written down for providers and never
    /// settled counts as spent from now on. Alerts come out of the receiver.
    ///
    /// # Errors
    /// The store cannot be read or written, or holds what cannot be.
    pub fn open(store: Arc<dyn Store>, clock: WallClock) -> Result<(Self, mpsc::Receiver<AlertRaised>), OpenError> {
        Self::open_as(store, clock, Part::Holder(policy::escrow::Settings::default()))
    }

    /// Likewise, for either part. What a grantee had open when it was lost is told to the holder as spent.
    ///
    /// # Errors
    /// As for [`Accounts::open`].
    pub fn open_as(
        store: Arc<dyn Store>,
        clock: WallClock,
        part: Part,
    ) -> Result<(Self, mpsc::Receiver<AlertRaised>), OpenError> {
        let settings = store::Settings { pause: PAUSE, ..store::Settings::default() };
        Self::open_writing(store, clock, part, |store| Writer::start(store, settings))
    }

    /// Likewise, for the holder, over a store in memory: nothing is written by another thread, so paused time stands
    /// still meanwhile.
    ///
    /// # Errors
    /// As for [`Accounts::open`].
    #[cfg(feature = "simulated")]
    pub fn open_at_once(
        store: Arc<dyn Store>,
        clock: WallClock,
    ) -> Result<(Self, mpsc::Receiver<AlertRaised>), OpenError> {
        let part = Part::Holder(policy::escrow::Settings::default());
        Self::open_writing(store, clock, part, |store| Ok(Writer::at_once(store)))
    }

    fn open_writing(
        store: Arc<dyn Store>,
        clock: WallClock,
        part: Part,
        writer: impl FnOnce(Arc<dyn Store>) -> Result<Writer, WriterError>,
    ) -> Result<(Self, mpsc::Receiver<AlertRaised>), OpenError> {
        let mut hard = store.load()?;
        let (book, epoch) = match part {
            Part::Holder(settings) => journal::holder(&*store, &mut hard, settings, clock())?,
            Part::Grantee { settings, id } => (journal::grantee(&*store, &mut hard, settings, id, clock())?, 0),
        };
        let keys = keys::Keys::of(hard.keys);
        let (alerts, raised) = mpsc::channel(ALERTS);
        let steady = Arc::new(Steady::new(store));
        let store = Arc::clone(&steady) as Arc<dyn Store>;
        let writer = writer(Arc::clone(&store))?;
        let shared = Shared {
            book: Guarded::new(book),
            ticks: Clock::start(),
            escrow: escrow::Shared::new(KeyLog::new(epoch, &keys)),
            keys,
            pace: pace::Pace::default(),
            store,
            writer,
            clock,
            alerts,
            steady,
            unsaved: saving::Unsaved::default(),
            saving: tokio::sync::Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            metrics: CostMetrics::new(),
            promises: Promises::default(),
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

    /// Now, by both clocks.
    fn at(&self) -> At {
        At { now: self.shared.ticks.now(), wall: self.now() }
    }

    /// Sets aside what a request may cost at most.
    ///
    /// # Errors
    /// A budget has no room, nothing can be recorded, or the coordinator that has the budgets is silent.
    pub fn reserve(&self, order: Order) -> Result<Bill, NotReserved> {
        if self.shared.steady.failed() {
            return Err(NotReserved::Store("the store cannot be written, see the log".to_owned()));
        }
        let (at, id) = (self.at(), ReservationId(order.request.0));
        let (reserved, sooner) = {
            let mut book = self.shared.book();
            let before = book.grantee_mut().map(|grantee| grantee.next_poll());
            let reserved = book.reserve(at, id, &order.subject, order.bound);
            let after = book.grantee_mut().map(|grantee| grantee.next_poll());
            (reserved, after < before)
        };
        if sooner {
            self.hurry();
        }
        match reserved {
            Ok(alerts) => {
                self.raise(alerts);
                Ok(Bill::new(self.clone(), order))
            }
            Err(error) => {
                if let NotReserved::Ledger(ReserveError::OverBudget { alerts, .. }) = &error {
                    self.raise(alerts.clone());
                }
                Err(error)
            }
        }
    }

    /// Whether so much could be set aside now.
    pub fn would_pass(&self, subject: &Subject, amount: Nanos) -> bool {
        self.shared.book().would_pass(self.at(), subject, amount)
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
            let spent = |alert: &AlertRaised| book.holder().and_then(|holder| holder.spent(&alert.budget));
            let spent = alerts.iter().filter_map(spent).map(Write::Spent).collect();
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
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock()
    }
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
