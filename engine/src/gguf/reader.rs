//! Reads little-endian values from the front of a file, never past its end.
//!
//! Only that front is in memory, but counts are measured against the whole file. What the front lacks is
//! reported as cut off at the front's end, what the file lacks as cut off at the file's.

use super::GgufError;

/// A position in a file.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// Of the whole file.
    length: u64,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], length: u64) -> Self {
        Self { bytes, length, at: 0 }
    }

    /// Where the next value begins.
    pub(super) fn position(&self) -> u64 {
        self.at as u64
    }

    fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], GgufError> {
        let end = self.at.checked_add(length);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(taken) => {
                self.at += length;
                Ok(taken)
            }
            None => {
                let in_file = end.is_some_and(|end| end as u64 <= self.length);
                let end = if in_file { self.bytes.len() as u64 } else { self.length };
                Err(GgufError::CutOff { what: what.to_owned(), at: self.at as u64, end })
            }
        }
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A number of things that take up at least `least` bytes each: no more than the file has room for.
    pub(super) fn count(&mut self, what: &str, least: u64) -> Result<usize, GgufError> {
        let value = self.u64(what)?;
        let room = self.length.saturating_sub(self.at as u64) / least.max(1);
        match usize::try_from(value) {
            Ok(count) if value <= room => Ok(count),
            _ => {
                let problem = format!("the rest of the file has room for {room} at most");
                Err(GgufError::Number { what: what.to_owned(), value, problem })
            }
        }
    }

    pub(super) fn text(&mut self, what: &str) -> Result<String, GgufError> {
        let length = self.count(&format!("the length of {what}"), 1)?;
        let at = self.position();
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| GgufError::NotText { what: what.to_owned(), at })
    }
}
