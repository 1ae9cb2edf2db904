//! One budget, several coordinators: the holder's side of a message, and a grantee's.
//!
//! Rules: the holder's answer leaves once what it rests on is on disk; while the store cannot be written it does not
//! answer, and grantees live on what they have. A grantee that is asked for more than its slice waits for the next
//! answer, for a bounded time.
//!
//! Left to others: connections ([`policy::escrow`] says when a message is due, the coordinator carries it).

use std::time::Duration;

use policy::escrow::grantee::{Answered, Refused};
use policy::escrow::holder::Synced;
use protocol::escrow::{EscrowAnswer, EscrowRefusal, EscrowTell, GranteeId, PaceShare};
use store::Write;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::known::{Followed, KeyLog};
use super::saving::Entry;
use super::{Accounts, Bill, NotReserved, Order, journal};
use crate::guarded::Guarded;

/// Keys in one commit.
const KEYS: usize = 2048;

/// Which part a coordinator has.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// It has the budgets.
    Holder(policy::escrow::Settings),
    /// It spends slices of them.
    Grantee {
        /// How.
        settings: policy::escrow::Settings,
        /// Who it is, if its store does not say: a random number.
        id: GranteeId,
    },
}

/// Why a grantee's message was not answered.
#[derive(Debug, thiserror::Error)]
pub enum NotSynced {
    /// This coordinator has no budgets.
    #[error(
        "this coordinator does not hold the budgets, it has a holder itself: set accounts.holder to the one that has none"
    )]
    NotHolder,
    /// Nothing can be recorded.
    #[error("the holder's store cannot be written, see its log: nothing is granted until it can")]
    Store,
}

/// What both sides keep beside the book.
pub(super) struct Shared {
    /// Messages are answered one after the other.
    turn: tokio::sync::Mutex<()>,
    pub(super) log: Guarded<KeyLog>,
    followed: Guarded<Followed>,
    /// How many answers have come.
    answers: watch::Sender<u64>,
    /// Something is to be told sooner than it was.
    wake: Notify,
}

impl Shared {
    pub(super) fn new(log: KeyLog) -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            log: Guarded::new(log),
            followed: Guarded::default(),
            answers: watch::Sender::default(),
            wake: Notify::new(),
        }
    }
}

impl Accounts {
    /// Whether another coordinator has the budgets. Then a reservation counts once [`Bill::journal`] has written it.
    pub fn journals(&self) -> bool {
        self.shared.book().holder().is_none()
    }

    /// Whether the keys are not known yet, because their holder has not told them.
    pub fn is_new(&self) -> bool {
        self.journals() && self.keys().count() == 0 && self.shared.escrow.followed.lock().version().epoch == 0
    }

    /// Sets aside what a request may cost at most. Where a slice is too small for it, waits for a larger one for as
    /// long as `patience`.
    ///
    /// # Errors
    /// As for [`Accounts::reserve`].
    pub async fn reserve_within(&self, order: Order, patience: Duration) -> Result<Bill, NotReserved> {
        if !self.journals() {
            return self.reserve(order);
        }
        let until = Instant::now() + patience;
        let mut answers = self.shared.escrow.answers.subscribe();
        loop {
            answers.mark_unchanged();
            match self.reserve(order.clone()) {
                Err(NotReserved::Escrow(Refused::Slice { .. })) => {}
                other => return other,
            }
            if !matches!(timeout_at(until, answers.changed()).await, Ok(Ok(()))) {
                // Why there is none by now.
                return self.reserve(order);
            }
        }
    }

    /// Holder: hears a grantee, and says what it may spend.
    ///
    /// # Errors
    /// This is no holder, or nothing can be recorded.
    pub async fn sync(&self, tell: &EscrowTell) -> Result<EscrowAnswer, NotSynced> {
        let shared = &self.shared;
        let _turn = shared.escrow.turn.lock().await;
        if !shared.save().await {
            return Err(NotSynced::Store);
        }
        let at = self.at();
        let (outcome, sent, alerts) = {
            let mut book = shared.book();
            let Some(holder) = book.holder_mut() else { return Err(NotSynced::NotHolder) };
            match holder.sync(at, &tell.sync) {
                Ok(Synced { grant, state, records, changes, alerts, unheld }) => {
                    if unheld.0 > 0 {
                        tracing::warn!("a coordinator has spent {} beyond its slice", protocol::money::Money(unheld));
                    }
                    let entry = Entry { writes: records.into_iter().map(Write::Usage).collect(), ..Entry::default() };
                    let sent = shared.send(&mut book, entry, changes, Some(journal::state(&state)));
                    (Ok(grant), Some(sent), alerts)
                }
                Err(refusal) => (Err(refusal), None, Vec::new()),
            }
        };
        self.raise(alerts);
        if let Some(sent) = sent
            && !shared.confirm(sent).await
        {
            return Err(NotSynced::Store);
        }
        let keys = shared.escrow.log.lock().after(tell.keys, &shared.keys);
        let share = self.share(Some(tell.sync.grantee));
        Ok(EscrowAnswer { serial: tell.sync.serial, outcome, keys, share })
    }

    /// Holder: who is there shares the keys' limits. Says which part a grantee has.
    pub(super) fn share(&self, grantee: Option<GranteeId>) -> PaceShare {
        let now = self.at().now;
        let share = {
            let book = self.shared.book();
            let Some(holder) = book.holder() else { return PaceShare { index: 0, coordinators: 1 } };
            let index = grantee.and_then(|grantee| holder.place(now, grantee)).unwrap_or(0);
            let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            PaceShare { index: narrow(index), coordinators: narrow(holder.coordinators(now)) }
        };
        self.pace().set_share(0, share.coordinators);
        share
    }

    /// Grantee: what to tell the holder now, if anything.
    pub fn tell(&self) -> Option<EscrowTell> {
        let now = self.at().now;
        let sync = self.shared.book().grantee_mut()?.poll(now)?;
        Some(EscrowTell { sync, keys: self.shared.escrow.followed.lock().version() })
    }

    /// Grantee: resolves when there may be something to tell.
    pub async fn due(&self) {
        loop {
            let woken = self.shared.escrow.wake.notified();
            let Some(next) = self.shared.book().grantee_mut().map(|grantee| grantee.next_poll()) else {
                return std::future::pending().await;
            };
            let left = next.saturating_sub(self.at().now);
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = woken => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    /// Grantee: something is to be told sooner than it was.
    pub(super) fn hurry(&self) {
        self.shared.escrow.wake.notify_one();
    }

    /// Grantee: the holder has answered.
    ///
    /// # Errors
    /// It refuses: nothing is spent any more once the last grant is over.
    pub fn answered(&self, answer: EscrowAnswer) -> Result<(), EscrowRefusal> {
        let shared = &self.shared;
        if let Some(changes) = &answer.keys {
            let followed = shared.escrow.followed.lock().follow(changes, &shared.keys);
            if followed {
                for keys in changes.records.chunks(KEYS) {
                    self.hand(keys.iter().cloned().map(Write::PutKey).collect());
                }
            }
        }
        let granted = {
            let mut book = shared.book();
            let Some(grantee) = book.grantee_mut() else { return Ok(()) };
            let before = grantee.booked();
            let granted = grantee.on_answer(answer.serial, answer.outcome);
            if let Answered::Granted { booked } = granted
                && booked > before
            {
                journal::booked(before, booked).into_iter().for_each(|writes| self.hand(writes));
            }
            granted
        };
        match granted {
            Answered::Granted { .. } => {
                let PaceShare { index, coordinators } = answer.share;
                self.pace().set_share(index, coordinators);
                shared.escrow.answers.send_modify(|answers| *answers = answers.wrapping_add(1));
                Ok(())
            }
            Answered::Late => Ok(()),
            Answered::Refused(refusal) => Err(refusal),
            Answered::Bad(error) => {
                tracing::error!("the holder has a budget that cannot be here, nothing is spent: {error}");
                Ok(())
            }
        }
    }

    /// Grantee: a key that the holder has just told of.
    pub fn learn(&self, record: protocol::account::KeyRecord) {
        self.hand(vec![Write::PutKey(record.clone())]);
        self.keys().put(record);
    }

    /// Grantee: waits until the holder has booked all that was used, at most so long.
    pub async fn told(&self, within: Duration) {
        let until = Instant::now() + within;
        let mut answers = self.shared.escrow.answers.subscribe();
        loop {
            answers.mark_unchanged();
            let left = self.shared.book().grantee_mut().map_or(0, |grantee| grantee.unbooked());
            if left == 0 || !matches!(timeout_at(until, answers.changed()).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// What need not be waited for: without it, it is only done again after the next start.
    fn hand(&self, writes: Vec<Write>) {
        if let Err(error) = self.shared.writer.submit(writes) {
            tracing::warn!("the store does not take what the holder has said: {error}");
        }
    }
}
