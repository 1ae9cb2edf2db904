//! The newest value for many readers, like `tokio::sync::watch`, but for one thing: who waits is woken in the order
//! in which it began to wait.
//!
//! tokio's own spreads its readers over eight lists, drawn at random. When a node is lost, its attempts would so look
//! for another in an order that nobody can repeat, and a simulation of one seed would differ from itself.

use std::fmt;
use std::ops::Deref;
use std::pin::pin;
use std::sync::{Arc, MutexGuard};

use tokio::sync::Notify;

use crate::guarded::Guarded;

struct State<T> {
    value: T,
    version: u64,
    closed: bool,
}

struct Shared<T> {
    state: Guarded<State<T>>,
    changed: Notify,
}

/// Sets the value. To drop it is to say that nothing changes any more.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Reads the value, and waits for another.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// The value, for as long as it is looked at: nobody sets it meanwhile.
pub struct Seen<'a, T>(MutexGuard<'a, State<T>>);

/// The sender is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing changes any more")]
pub struct Closed;

impl<T> Sender<T> {
    /// With this value.
    pub fn new(value: T) -> Self {
        let state = Guarded::new(State { value, version: 0, closed: false });
        Self { shared: Arc::new(Shared { state, changed: Notify::new() }) }
    }

    /// One more reader, who has seen the value of now.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.shared.state.lock().version;
        Receiver { shared: Arc::clone(&self.shared), seen }
    }

    /// The value.
    pub fn borrow(&self) -> Seen<'_, T> {
        Seen(self.shared.state.lock())
    }

    /// Sets the value; the one before.
    pub fn send_replace(&self, value: T) -> T {
        let mut value = value;
        self.send_modify(|state| std::mem::swap(state, &mut value));
        value
    }

    /// Changes the value.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value; readers hear of it if `change` says that it did.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let changed = {
            let mut state = self.shared.state.lock();
            let changed = change(&mut state.value);
            state.version += u64::from(changed);
            changed
        };
        if changed {
            self.shared.changed.notify_waiters();
        }
        changed
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_waiters();
    }
}

impl<T> Receiver<T> {
    /// The value.
    pub fn borrow(&self) -> Seen<'_, T> {
        Seen(self.shared.state.lock())
    }

    /// The value, which counts as seen.
    pub fn borrow_and_update(&mut self) -> Seen<'_, T> {
        let state = self.shared.state.lock();
        self.seen = state.version;
        Seen(state)
    }

    /// The value of now counts as new.
    pub fn mark_changed(&mut self) {
        self.seen = self.shared.state.lock().version.wrapping_sub(1);
    }

    /// The value of now counts as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.state.lock().version;
    }

    /// Waits for a value that was not seen yet, which then counts as seen.
    ///
    /// # Errors
    /// None will come.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        let seen = self.seen;
        self.wait(|state| state.version != seen).await.map(drop)
    }

    /// Waits until the value is as it is wanted; it counts as seen.
    ///
    /// # Errors
    /// It never will be.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<Seen<'_, T>, Closed> {
        self.wait(|state| wanted(&state.value)).await
    }

    async fn wait(&mut self, mut wanted: impl FnMut(&State<T>) -> bool) -> Result<Seen<'_, T>, Closed> {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            {
                let state = self.shared.state.lock();
                if wanted(&state) {
                    self.seen = state.version;
                    return Ok(Seen(state));
                }
                if state.closed {
                    return Err(Closed);
                }
            }
            changed.await;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Deref for Seen<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&*self.borrow()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&*self.borrow()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Seen<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests;
