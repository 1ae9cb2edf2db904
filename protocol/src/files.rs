//! What one node says to another that has the files of a model: streams of the peer connection.
//!
//! | stream | who opens it | what is said |
//! |---|---|---|
//! | list | who lacks files | `FilesWanted`, then `FileList`; or `FilesRefused` |
//! | file | who lacks a file | `FileWanted`, then `FileChunk`… and `FileEnd`; or `FilesRefused` |
//!
//! To reset the stream is to want no more. Whoever fetches trusts neither names nor sizes nor bytes: it checks names,
//! counts what comes, and compares the hash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most files that a model may have.
pub const MAX_FILES: usize = 1024;
/// The most bytes of a file in one frame.
pub const MAX_CHUNK: usize = 1 << 20;

/// A SHA-256 hash: 64 hexadecimal digits in text, 32 bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

/// Text that is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a SHA-256 hash: write its 64 hexadecimal digits, as sha256sum prints them")]
pub struct BadHash(String);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl FromStr for Sha256 {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Self, BadHash> {
        unhex(text).map(Self).ok_or_else(|| BadHash(text.chars().take(80).collect()))
    }
}

/// Bytes from exactly as many pairs of hexadecimal digits.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

/// A node wants to know which files a model has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesWanted {
    /// Which model.
    pub model: String,
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name, without any folder.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Their hash.
    pub sha256: Sha256,
}

/// These are the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// All of them, by name.
    pub files: Vec<FileEntry>,
    /// The bytes of all together.
    pub total: u64,
}

/// A node wants a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileWanted {
    /// Of which model.
    pub model: String,
    /// As the list names it.
    pub name: String,
    /// From which byte on: those before it came earlier.
    pub offset: u64,
}

/// The next bytes of the file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChunk {
    /// At most [`MAX_CHUNK`] of them.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for FileChunk {
    /// Without the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileChunk({} bytes)", self.bytes.len())
    }
}

/// That was the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEnd {}

/// Nothing comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum FilesRefused {
    /// Others are being served.
    #[error("the node hands out {limit} files already")]
    Busy {
        /// The bound.
        limit: u32,
    },
    /// Not served there.
    #[error("the model '{model}' is not served there")]
    UnknownModel {
        /// Which.
        model: String,
    },
    /// Not one of the model's files.
    #[error("the model has no file '{name}' there")]
    UnknownFile {
        /// Which.
        name: String,
    },
    /// Behind the end of the file.
    #[error("byte {offset} was asked for, the file has {size}")]
    Offset {
        /// Which byte.
        offset: u64,
        /// How many there are.
        size: u64,
    },
    /// The file is not what the list said any more.
    #[error("the file '{name}' has changed there")]
    Changed {
        /// Which.
        name: String,
    },
    /// The node cannot read its own files.
    #[error("the node cannot read its files: {problem}")]
    Unreadable {
        /// Why.
        problem: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let text = "00ff".repeat(16);
        let hash: Sha256 = text.parse().unwrap();
        assert_eq!((hash.0[0], hash.0[1], hash.to_string()), (0, 255, text.clone()));
        assert_eq!(text.to_uppercase().parse(), Ok(hash));
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32), &"+f".repeat(32)] {
            assert!(bad.parse::<Sha256>().is_err(), "{bad}");
        }
    }
}
