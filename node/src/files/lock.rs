//! One process at a time fetches a model into a folder; another waits and then finds it there.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::ObtainError;

/// How often it is tried.
const AGAIN: Duration = Duration::from_millis(250);

/// Held until it is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// Waits for the lock.
pub(crate) async fn hold(path: &Path) -> Result<Lock, ObtainError> {
    let files = |source| ObtainError::Files { path: path.to_owned(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(files)?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::Error(source)) => return Err(files(source)),
            Err(TryLockError::WouldBlock) => {
                if !told {
                    tracing::info!("another process fetches the same model: waiting for {}", path.display());
                    told = true;
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
