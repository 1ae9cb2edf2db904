//! What was set aside for one request, until it is settled.

use policy::ledger::{ReservationId, ReserveError};
use protocol::account::{Outcome, Subject, UsageRecord};
use protocol::answer::Usage;
use protocol::ids::RequestId;
use protocol::money::Price;
use protocol::units::{Nanos, Tokens};
use store::{OpenReservation, Write, WriterError};

use super::book::Booked;
use super::saving::{Entry, Sent};
use super::{Accounts, NotReserved, cost_of};

/// What is to be set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// For whom. No two orders have the same, over all time.
    pub request: RequestId,
    /// Whose, and about what.
    pub subject: Subject,
    /// The model that was asked for.
    pub asked: String,
    /// What its tokens cost. It does not change while the request runs.
    pub price: Price,
    /// What it may cost at most.
    pub bound: Nanos,
    /// It is billed nothing: it was paid for before.
    pub free: bool,
}

/// Money that is set aside. To drop it is to settle what is known to be used.
#[derive(Debug)]
pub struct Bill {
    accounts: Accounts,
    order: Order,
    reserved: Nanos,
    used: Usage,
    outcome: Outcome,
    disputed: Nanos,
    journaled: bool,
    open: bool,
}

impl Bill {
    pub(super) fn new(accounts: Accounts, order: Order) -> Self {
        let reserved = order.bound;
        let (used, outcome) = (Usage::default(), Outcome::Failed);
        Self { accounts, order, reserved, used, outcome, disputed: Nanos::ZERO, journaled: false, open: true }
    }

    /// What is set aside.
    pub fn reserved(&self) -> Nanos {
        self.reserved
    }

    /// The price that counts for it.
    pub fn price(&self) -> Price {
        self.order.price
    }

    /// Writes down that the money is set aside, before it may be spent elsewhere than here.
    ///
    /// # Errors
    /// It cannot be written: nobody may be asked then.
    pub async fn journal(&mut self) -> Result<(), WriterError> {
        let open = OpenReservation {
            request: self.order.request,
            at: self.accounts.now(),
            subject: self.order.subject.clone(),
            amount: self.reserved,
        };
        // Before it is known to be written it may be written all the same.
        self.journaled = true;
        self.accounts.shared.writer.submit(vec![Write::Open(open)])?.await.map(drop)
    }

    /// Sets more aside for a request that goes on. What is to be journaled is to be journaled again.
    ///
    /// # Errors
    /// A budget has no room; what was set aside stays so.
    pub fn extend(&mut self, more: Nanos) -> Result<(), NotReserved> {
        let (at, id) = (self.accounts.at(), ReservationId(self.order.request.0));
        let sum = self.reserved.checked_add(more);
        let sum =
            sum.ok_or_else(|| ReserveError::Overflow { of: format!("request {}", self.order.request), asked: more })?;
        let alerts = self.accounts.shared.book().extend(at, id, more)?;
        self.reserved = sum;
        self.accounts.raise(alerts);
        Ok(())
    }

    /// So much is used by now; it counts if nobody settles.
    pub fn note(&mut self, used: Usage, outcome: Outcome) {
        (self.used, self.outcome) = (used, outcome);
    }

    /// A provider claims so much more than is believed.
    pub fn dispute(&mut self, amount: Nanos) {
        self.disputed += amount;
    }

    /// One more piece of the answer has come.
    pub fn add(&mut self, prompt: Tokens, cached: Tokens, completion: Tokens) {
        self.used.prompt = prompt;
        self.used.cached = cached;
        self.used.completion += completion;
    }

    /// Nothing was used, and somebody else is to answer: gives the money back without a record.
    pub async fn give_back(mut self) {
        self.open = false;
        let id = ReservationId(self.order.request.0);
        let sent = {
            let shared = &self.accounts.shared;
            let mut book = shared.book();
            // What stands in a grantee's journal is spent if it is lost now: it is free once it stands there no more.
            let later = self.journaled && book.holder().is_none();
            if !later && let Err(error) = book.release(id) {
                tracing::error!("request {}: {error}", self.order.request);
            }
            let writes = vec![Write::Close(self.order.request)];
            let entry = Entry { writes, sequence: None, release: later.then_some(id) };
            self.journaled.then(|| shared.send(&mut book, entry, Vec::new(), None))
        };
        if let Some(sent) = sent {
            self.accounts.settle(sent).await;
        }
    }

    /// It has used so much. Returns what it cost, once that is on disk.
    pub async fn settle(mut self, used: &Usage, outcome: Outcome) -> Nanos {
        (self.used, self.outcome) = (*used, outcome);
        let Some((cost, sent)) = self.close() else { return Nanos::ZERO };
        self.accounts.settle(sent).await;
        cost
    }

    /// Books it. None if it was booked before.
    fn close(&mut self) -> Option<(Nanos, Sent)> {
        if !std::mem::replace(&mut self.open, false) {
            return None;
        }
        let shared = &self.accounts.shared;
        let (at, id) = (self.accounts.at(), ReservationId(self.order.request.0));
        let claimed = if self.order.free { Nanos::ZERO } else { cost_of(&self.order.price, &self.used, self.reserved) };
        let record = UsageRecord {
            request: self.order.request,
            at: at.wall,
            subject: self.order.subject.clone(),
            asked: self.order.asked.clone(),
            prompt: self.used.prompt,
            cached: self.used.cached,
            completion: self.used.completion,
            reserved: self.reserved,
            cost: claimed,
            disputed: self.disputed,
            outcome: self.outcome,
        };
        let mut book = shared.book();
        let Booked { record, entry, changes, alerts, sequence } = match book.settle(at, id, record) {
            Ok(booked) => booked,
            Err(error) => {
                tracing::error!("request {}: {error}", self.order.request);
                return None;
            }
        };
        let mut writes = vec![entry];
        if self.journaled {
            writes.push(Write::Close(self.order.request));
        }
        let sent = shared.send(&mut book, Entry { writes, sequence, release: None }, changes, None);
        drop(book);
        shared.metrics.billed(&record);
        self.accounts.raise(alerts);
        Some((record.cost, sent))
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        if let Some((_, sent)) = self.close() {
            let accounts = self.accounts.clone();
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(async move { accounts.shared.settle(sent).await })),
                // Without a runtime there is nobody who could wait for longer.
                Err(_) => {
                    accounts.shared.confirm_here(sent);
                }
            }
        }
    }
}
