//! The thread that commits: whoever may not wait hands it batches.
//!
//! Rules: what waits goes into one commit, because a commit costs a write to disk however small it is; the
//! order is that of submission. The queue has a bound and a refusal. A batch that can never be taken is
//! refused before it is queued; if the store itself refuses a group for one batch's sake, each goes alone, so that
//! no other suffers. A failure of the disk is told to all whose batches were in that commit, and the next
//! group is tried anew. To drop the writer is to commit what is queued, and to wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use futures_channel::oneshot;

use crate::Store;
use crate::error::StoreError;
use crate::write::{BadBatch, MAX_WRITES, Receipt, Write, check};

mod pending;

pub use pending::{Flushed, Pending};

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Batches in the queue.
    pub queue: usize,
    /// Writes in one commit; a single batch may have more.
    pub group: usize,
    /// The pause after a commit, in which batches gather for the next: a commit costs the processor as much as some
    /// dozens of batches.
    pub pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue: 4096, group: 2048, pause: Duration::ZERO }
    }
}

/// A batch that was not committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriterError {
    /// Too many wait.
    #[error("{queued} batches wait for the store's disk, as many as may: try again, and look whether the disk is slow")]
    Full {
        /// How many.
        queued: usize,
    },
    /// It can never be taken.
    #[error("the batch is refused: {0}")]
    Refused(#[from] BadBatch),
    /// The store has failed.
    #[error(transparent)]
    Store(StoreError),
    /// The thread has ended.
    #[error("the store's writer has ended: start the coordinator anew")]
    Gone,
    /// The thread cannot be started.
    #[error("the store's writer cannot be started: {0}; raise the limit of threads")]
    NoThread(String),
}

/// What a writer has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches that wait.
    pub queued: u64,
    /// Commits that went well.
    pub commits: u64,
    /// Batches in them.
    pub batches: u64,
    /// Commits that failed.
    pub failures: u64,
}

#[derive(Debug, Default)]
struct Counts {
    queued: AtomicU64,
    commits: AtomicU64,
    batches: AtomicU64,
    failures: AtomicU64,
}

enum Order {
    Commit(Batch),
    Flush(oneshot::Sender<()>),
}

struct Batch {
    writes: Vec<Write>,
    done: oneshot::Sender<Result<Receipt, StoreError>>,
}

/// Commits in groups, on a thread of its own.
#[derive(Debug)]
pub struct Writer {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
    settings: Settings,
    /// Whose batches are committed by whoever submits them.
    at_once: Option<Arc<dyn Store>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(store: Arc<dyn Store>, settings: Settings) -> Result<Self, WriterError> {
        let (queue, group) = (settings.queue.max(1), settings.group.clamp(1, MAX_WRITES));
        let settings = Settings { queue, group, ..settings };
        let (orders, queue) = sync_channel(settings.queue);
        let counts = Arc::new(Counts::default());
        let work = Work { store, queue, counts: Arc::clone(&counts), group: settings.group, pause: settings.pause };
        let thread = Builder::new().name("store-writer".to_owned()).spawn(move || work.run());
        let thread = thread.map_err(|error| WriterError::NoThread(error.to_string()))?;
        Ok(Self { orders: Some(orders), thread: Some(thread), counts, settings, at_once: None })
    }

    /// One without a thread: whoever submits a batch commits it. For stores in memory, where paused time must not run
    /// on while another thread works.
    pub fn at_once(store: Arc<dyn Store>) -> Self {
        let (counts, settings) = (Arc::default(), Settings::default());
        Self { orders: None, thread: None, counts, settings, at_once: Some(store) }
    }

    /// Queues a batch; returns at once. Its fate is that of [`Store::commit`]. It is committed even if the
    /// [`Pending`] is dropped.
    ///
    /// # Errors
    /// It can never be taken, or too many wait.
    pub fn submit(&self, writes: Vec<Write>) -> Result<Pending, WriterError> {
        check(&writes)?;
        let (done, pending) = oneshot::channel();
        if let Some(store) = &self.at_once {
            let committed = store.commit(&writes);
            let counted = if committed.is_ok() { &self.counts.commits } else { &self.counts.failures };
            counted.fetch_add(1, Ordering::Relaxed);
            self.counts.batches.fetch_add(u64::from(committed.is_ok()), Ordering::Relaxed);
            // Whoever submitted it may not care.
            drop(done.send(committed));
            return Ok(Pending::new(pending));
        }
        let orders = self.orders.as_ref().ok_or(WriterError::Gone)?;
        // Counted before it is sent: the thread may be done with it before we go on.
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        orders.try_send(Order::Commit(Batch { writes, done })).map_err(|error| {
            self.counts.queued.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => WriterError::Full { queued: self.settings.queue },
                TrySendError::Disconnected(_) => WriterError::Gone,
            }
        })?;
        Ok(Pending::new(pending))
    }

    /// Ready when all that was submitted before has met its fate. Waits for a place in the queue, if it is full.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn flush(&self) -> Result<Flushed, WriterError> {
        let (done, flushed) = oneshot::channel();
        if self.at_once.is_some() {
            // Whoever asked may not care.
            let _ = done.send(());
            return Ok(Flushed::new(flushed));
        }
        let orders = self.orders.as_ref().ok_or(WriterError::Gone)?;
        orders.send(Order::Flush(done)).map_err(|_| WriterError::Gone)?;
        Ok(Flushed::new(flushed))
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            queued: count(&self.counts.queued),
            commits: count(&self.counts.commits),
            batches: count(&self.counts.batches),
            failures: count(&self.counts.failures),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // It says nothing: whoever waits for a batch has heard.
            drop(thread.join());
        }
    }
}

/// What the thread does.
struct Work {
    store: Arc<dyn Store>,
    queue: Receiver<Order>,
    counts: Arc<Counts>,
    group: usize,
    pause: Duration,
}

impl Work {
    fn run(self) {
        let mut held = None;
        while let Some(order) = held.take().or_else(|| self.queue.recv().ok()) {
            match order {
                Order::Flush(done) => drop(done.send(())),
                Order::Commit(first) => held = self.gather(first),
            }
        }
    }

    /// Commits the batch and all that wait behind it. What does not belong is handed back.
    fn gather(&self, first: Batch) -> Option<Order> {
        let mut writes = first.writes.len();
        let mut group = vec![first];
        let mut rest = None;
        while rest.is_none() {
            match self.queue.try_recv() {
                Ok(Order::Commit(batch)) if writes + batch.writes.len() <= self.group => {
                    writes += batch.writes.len();
                    group.push(batch);
                }
                Ok(other) => rest = Some(other),
                Err(_) => break,
            }
        }
        self.counts.queued.fetch_sub(group.len() as u64, Ordering::Relaxed);
        self.commit(group);
        self.rest();
        rest
    }

    #[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do, and nobody waits for it alone")]
    fn rest(&self) {
        if !self.pause.is_zero() {
            std::thread::sleep(self.pause);
        }
    }

    fn commit(&self, mut group: Vec<Batch>) {
        let lens: Vec<_> = group.iter().map(|batch| batch.writes.len()).collect();
        let whole: Vec<_> = group.iter_mut().flat_map(|batch| std::mem::take(&mut batch.writes)).collect();
        match self.try_commit(&whole, lens.len()) {
            Err(StoreError::Refused(_)) if lens.len() > 1 => self.singly(group, &lens, &whole),
            outcome => {
                let mut start = 0;
                for (batch, len) in group.into_iter().zip(lens) {
                    let part = outcome.as_ref().map(|receipt| receipt.part(start, len)).map_err(Clone::clone);
                    start += len;
                    // Nobody may wait any more; it is committed all the same.
                    drop(batch.done.send(part));
                }
            }
        }
    }

    fn singly(&self, group: Vec<Batch>, lens: &[usize], mut whole: &[Write]) {
        for (batch, len) in group.into_iter().zip(lens) {
            let Some((writes, rest)) = whole.split_at_checked(*len) else { break };
            whole = rest;
            drop(batch.done.send(self.try_commit(writes, 1)));
        }
    }

    fn try_commit(&self, writes: &[Write], batches: usize) -> Result<Receipt, StoreError> {
        let outcome = self.store.commit(writes);
        if outcome.is_ok() {
            self.counts.commits.fetch_add(1, Ordering::Relaxed);
            self.counts.batches.fetch_add(batches as u64, Ordering::Relaxed);
        } else {
            self.counts.failures.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

#[cfg(test)]
mod tests;
