//! What must hold for any bytes at all. Called by the fuzz target and by this crate's tests.

use crate::frame::{Frame, LENGTH_BYTES, ReadError, WriteError};

/// Bytes that broke a rule of the decoder: a bug of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A frame was read that is longer than the bytes.
    #[error("a frame of {claimed} bytes was read from {given}")]
    Beyond {
        /// The frame's length.
        claimed: usize,
        /// What there was.
        given: usize,
    },
    /// A frame that was read cannot be written.
    #[error("a frame that was read cannot be written: {0}")]
    Unwritable(#[from] WriteError),
    /// What was written cannot be read.
    #[error("a frame that was written cannot be read: {0}")]
    Unreadable(#[from] ReadError),
    /// What was written and read has other bytes when written again.
    #[error("a frame changed by being written and read")]
    Changed,
}

/// Reads a frame, writes it, reads it again: the second must be the first. Compared as bytes, since a
/// number that is none (NaN) is not equal to itself. Bytes that are no frame hold every rule.
///
/// # Errors
/// A rule that is broken.
pub fn check_decode(bytes: &[u8]) -> Result<(), Broken> {
    let Ok(Some((frame, used))) = Frame::read(bytes) else { return Ok(()) };
    if used > bytes.len() || used < LENGTH_BYTES {
        return Err(Broken::Beyond { claimed: used, given: bytes.len() });
    }
    let mut written = Vec::new();
    match frame.write(&mut written) {
        Ok(()) => {}
        Err(error) => return Err(error.into()),
    }
    let Some((again, length)) = Frame::read(&written)? else { return Err(Broken::Changed) };
    let mut twice = Vec::new();
    again.write(&mut twice)?;
    if length == written.len() && written == twice && again.kind() == frame.kind() {
        Ok(())
    } else {
        Err(Broken::Changed)
    }
}
