//! What becomes of a batch: to be waited for by a thread or by a task.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use futures_channel::oneshot::Receiver;

use super::WriterError;
use crate::error::StoreError;
use crate::write::Receipt;

/// A batch on its way to the disk. To drop it does not take the batch back.
#[derive(Debug)]
#[must_use = "a batch is on disk only when this says so"]
pub struct Pending(Receiver<Result<Receipt, StoreError>>);

impl Pending {
    pub(super) fn new(receiver: Receiver<Result<Receipt, StoreError>>) -> Self {
        Self(receiver)
    }

    /// Blocks until it is on disk, or will not be.
    ///
    /// # Errors
    /// As for [`crate::Store::commit`], or the writer has ended.
    pub fn wait(self) -> Result<Receipt, WriterError> {
        wait(self)
    }
}

impl Future for Pending {
    type Output = Result<Receipt, WriterError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|outcome| match outcome {
            Ok(outcome) => outcome.map_err(|error| match error {
                StoreError::Refused(bad) => WriterError::Refused(bad),
                other => WriterError::Store(other),
            }),
            Err(_) => Err(WriterError::Gone),
        })
    }
}

/// All that was submitted before, on its way to the disk.
#[derive(Debug)]
#[must_use = "all is on disk only when this says so"]
pub struct Flushed(Receiver<()>);

impl Flushed {
    pub(super) fn new(receiver: Receiver<()>) -> Self {
        Self(receiver)
    }

    /// Blocks until each batch has met its fate.
    ///
    /// # Errors
    /// The writer has ended.
    pub fn wait(self) -> Result<(), WriterError> {
        wait(self)
    }
}

impl Future for Flushed {
    type Output = Result<(), WriterError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|outcome| outcome.map_err(|_| WriterError::Gone))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Sleeps until the future is ready.
fn wait<F: Future + Unpin>(mut future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match Pin::new(&mut future).poll(&mut context) {
            Poll::Ready(outcome) => return outcome,
            // Wakes up without reason too; then it looks again.
            Poll::Pending => thread::park(),
        }
    }
}
