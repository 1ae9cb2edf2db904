//! Waiting for something to become true, with a deadline.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take to become true. Generous: a test that passes never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Looks until it finds.
///
/// # Panics
/// It did not within [`PATIENCE`]; with what was seen last.
pub async fn until<T, S: Debug, F: Future<Output = Result<T, S>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => panic!("{what}: not within {PATIENCE:?}; last seen: {seen:#?}"),
            Err(_) => sleep(LOOK_AGAIN).await,
        }
    }
}
