//! Keys and budgets as operators change them, and what was used.
//!
//! Rules: a change counts once it is on disk. What cannot be is refused before it is written.

use std::sync::Arc;

use policy::ledger::BudgetError;
use protocol::account::{Budget, KeyRecord};
use protocol::manage::{BudgetState, UsageQuery};
use protocol::units::UnixMillis;
use store::{Compacted, StoreError, UsagePage, Write, WriterError};

use super::keys::MOST_KEYS;
use super::{Accounts, checked};

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// There is no such key.
    #[error("there is no key '{0}': `troupe key list` shows them")]
    NoKey(String),
    /// There is no such budget.
    #[error("there is no budget '{0}': `troupe budget list` shows them")]
    NoBudget(String),
    /// No more fit.
    #[error("there are {0} keys, the most that may be: revoke some")]
    TooManyKeys(usize),
    /// Another coordinator has them.
    #[error("another coordinator keeps keys, budgets and usage: ask the one that accounts.holder names")]
    Elsewhere,
    /// It cannot be.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// It cannot be written.
    #[error("it cannot be stored: {0}")]
    Store(#[from] WriterError),
    /// Something went wrong in the store.
    #[error("the store cannot be read: {0}")]
    Read(#[from] StoreError),
}

impl Accounts {
    /// A key comes, or takes the place of the one with its id.
    ///
    /// # Errors
    /// There are too many, or it cannot be stored.
    pub async fn put_key(&self, record: KeyRecord) -> Result<Arc<KeyRecord>, NotChanged> {
        self.kept_here()?;
        if self.keys().get(&record.id).is_none() && self.keys().count() >= MOST_KEYS {
            return Err(NotChanged::TooManyKeys(MOST_KEYS));
        }
        self.write(vec![Write::PutKey(record.clone())]).await?;
        let id = record.id.clone();
        let record = self.keys().put(record);
        self.shared.escrow.log.lock().changed(&id);
        Ok(record)
    }

    /// A key changes. One at a time: a change that waits for the disk is not undone by another.
    ///
    /// # Errors
    /// There is none, or it cannot be stored.
    pub async fn change_key(
        &self,
        id: &str,
        change: impl FnOnce(&mut KeyRecord) + Send,
    ) -> Result<Arc<KeyRecord>, NotChanged> {
        let _turn = self.shared.changing.lock().await;
        let mut record = (*self.key(id)?).clone();
        change(&mut record);
        self.put_key(record).await
    }

    /// A key as it is.
    ///
    /// # Errors
    /// There is none.
    pub fn key(&self, id: &str) -> Result<Arc<KeyRecord>, NotChanged> {
        self.keys().get(id).ok_or_else(|| NotChanged::NoKey(shown(id)))
    }

    /// A budget comes, or takes the place of the one with its id.
    ///
    /// # Errors
    /// It cannot be, or cannot be stored: then it counts only until the next start.
    pub async fn put_budget(&self, budget: Budget) -> Result<BudgetState, NotChanged> {
        checked(&budget)?;
        let (id, at) = (budget.id.clone(), self.at());
        let (pending, alerts) = {
            let mut book = self.shared.book();
            let put = book.holder_mut().ok_or(NotChanged::Elsewhere)?.put_budget(at, budget.clone())?;
            (self.shared.writer.submit(vec![Write::PutBudget(budget), Write::Spent(put.spent)]), put.alerts)
        };
        pending?.await?;
        self.raise(alerts);
        self.budget(&id)
    }

    /// A budget is no more.
    ///
    /// # Errors
    /// There is none, or it cannot be stored.
    pub async fn remove_budget(&self, id: &str) -> Result<(), NotChanged> {
        let pending = {
            let mut book = self.shared.book();
            if !book.holder_mut().ok_or(NotChanged::Elsewhere)?.remove_budget(id) {
                return Err(NotChanged::NoBudget(shown(id)));
            }
            self.shared.writer.submit(vec![Write::RemoveBudget(id.to_owned())])
        };
        pending?.await?;
        Ok(())
    }

    /// A budget as it stands.
    ///
    /// # Errors
    /// There is none.
    pub fn budget(&self, id: &str) -> Result<BudgetState, NotChanged> {
        let book = self.shared.book();
        let ledger = book.holder().ok_or(NotChanged::Elsewhere)?.ledger();
        ledger.state(self.now(), id).ok_or_else(|| NotChanged::NoBudget(shown(id)))
    }

    /// All budgets as they stand, by id; none where another coordinator has them.
    pub fn budgets(&self) -> Vec<BudgetState> {
        self.shared.book().holder().map(|holder| holder.ledger().states(self.now())).unwrap_or_default()
    }

    fn kept_here(&self) -> Result<(), NotChanged> {
        if self.journals() { Err(NotChanged::Elsewhere) } else { Ok(()) }
    }

    /// What requests have used.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn usage(&self, query: UsageQuery) -> Result<UsagePage, NotChanged> {
        self.kept_here()?;
        let store = Arc::clone(&self.shared.store);
        let page = tokio::task::spawn_blocking(move || store.usage(&query)).await;
        Ok(page.map_err(|_| StoreError::Closed)??)
    }

    /// Folds what is older into sums by day.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn compact(&self, before: UnixMillis) -> Result<Compacted, NotChanged> {
        let store = Arc::clone(&self.shared.store);
        let compacted = tokio::task::spawn_blocking(move || store.compact(before)).await;
        Ok(compacted.map_err(|_| StoreError::Closed)??)
    }

    /// Waits until all that was handed to the store is on disk.
    pub async fn flush(&self) {
        self.shared.save().await;
        if let Ok(flushed) = self.shared.writer.flush() {
            // It says nothing: each batch has told its own.
            let _ = flushed.await;
        }
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), WriterError> {
        self.shared.writer.submit(writes)?.await.map(drop)
    }
}

/// What came from outside, fit for a message.
fn shown(id: &str) -> String {
    id.chars().take(64).flat_map(char::escape_default).collect()
}
