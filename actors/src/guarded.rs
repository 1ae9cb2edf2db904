//! State that several tasks change, each for a moment.
//!
//! Rules: for arithmetic in memory, nothing that waits. The guard cannot go over an await: it is not `Send`, and the
//! lints forbid it besides. A panic with the guard in hand does not lock others out: whatever is kept here is changed
//! by calls that leave it whole.

use std::sync::{MutexGuard, PoisonError};

#[expect(clippy::disallowed_types, reason = "here it can be neither poisoned nor held over an await")]
use std::sync::Mutex;

/// State that is changed by one at a time.
#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "as above")]
pub struct Guarded<T>(Mutex<T>);

impl<T> Guarded<T> {
    /// With this in it.
    #[expect(clippy::disallowed_types, reason = "as above")]
    pub fn new(state: T) -> Self {
        Self(Mutex::new(state))
    }

    /// The state, until the guard is dropped.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_locks_nobody_out() {
        let state = std::sync::Arc::new(Guarded::new(1));
        let other = std::sync::Arc::clone(&state);
        let panicked = std::thread::spawn(move || {
            *other.lock() += 1;
            let _guard = other.lock();
            panic!("with the guard in hand");
        });
        assert!(panicked.join().is_err());
        assert_eq!(*state.lock(), 2);
    }
}
