//! How a message becomes bytes: the one file that knows bincode.
//!
//! bincode 2.0.1 is the last real release (3.0.0 is a stub), so nothing else may name it; another
//! codec can take its place here without touching a message. Layout: little-endian, variable-length
//! integers. A byte limit guards every decode against hostile lengths.

#![expect(clippy::disallowed_methods, reason = "the one file that may name bincode")]

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest body of any frame; kinds have limits of their own below it.
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// A message cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message cannot be encoded: {0}")]
pub struct EncodeError(String);

/// Bytes that are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Cut off, out of range, or claiming more than the limit.
    #[error("malformed body: {0}")]
    Malformed(String),
    /// Right so far, but too long.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

/// Bodies of so many bytes can mean no more than [`SHORT_MEANS`].
const SHORT: usize = 64 * 1024;
/// A byte on the wire stands for at most 16 in memory, as a small u128 does. A short body that claims to mean more
/// lies, and is refused before anything is allocated for it.
const SHORT_MEANS: usize = 16 * SHORT;

fn settings<const LIMIT: usize>() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT>()
}

/// Appends the message to `out`.
///
/// # Errors
/// A type that bincode cannot express.
pub fn encode<T: Serialize>(message: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    bincode::serde::encode_into_std_write(message, out, settings::<MAX_BODY>())
        .map(drop)
        .map_err(|error| EncodeError(error.to_string()))
}

/// Reads a message that takes up exactly `bytes`.
///
/// # Errors
/// Whatever else the bytes are.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let read = if bytes.len() <= SHORT {
        bincode::serde::decode_from_slice(bytes, settings::<SHORT_MEANS>())
    } else {
        bincode::serde::decode_from_slice(bytes, settings::<MAX_BODY>())
    };
    let (message, used) = read.map_err(|error| DecodeError::Malformed(error.to_string()))?;
    match bytes.len() - used {
        0 => Ok(message),
        rest => Err(DecodeError::Trailing(rest)),
    }
}
