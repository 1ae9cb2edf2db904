//! Values as bytes: one byte that names the format, the value, four bytes that prove it.
//!
//! Rules: what is many (usage, totals, reservations, spent) is packed with the wire's codec; what is few and
//! grows new fields (keys, budgets, prices) is JSON, so that it needs no new format for them. The proof covers
//! the table and the key too: a value that a failing disk has moved does not pass. A test holds each packed
//! format to its bytes: who changes a type there adds a format here.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Packed by `protocol::codec`.
const PACKED: u8 = 1;
/// JSON.
const JSON: u8 = 2;
/// As it came.
const RAW: u8 = 3;
/// The newest format.
pub(crate) const KNOWN: u8 = 3;

const PROOF: usize = 4;

/// A value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// It is not what was written.
    Damaged(String),
    /// A newer version has written it, in this format.
    Newer(u8),
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'a str,
    pub(crate) key: &'a [u8],
}

impl Place<'_> {
    fn proof(&self, body: &[u8]) -> [u8; PROOF] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.table.as_bytes()).update(&[0]);
        hasher.update(&(self.key.len() as u64).to_le_bytes()).update(self.key).update(body);
        let mut proof = [0; PROOF];
        for (to, from) in proof.iter_mut().zip(hasher.finalize().as_bytes()) {
            *to = *from;
        }
        proof
    }

    pub(crate) fn sealed(&self, mut body: Vec<u8>) -> Vec<u8> {
        let proof = self.proof(&body);
        body.extend_from_slice(&proof);
        body
    }

    pub(crate) fn pack<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, String> {
        let mut body = vec![PACKED];
        protocol::codec::encode(value, &mut body).map_err(|error| error.to_string())?;
        Ok(self.sealed(body))
    }

    pub(crate) fn json<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, String> {
        let mut body = vec![JSON];
        serde_json::to_writer(&mut body, value).map_err(|error| error.to_string())?;
        Ok(self.sealed(body))
    }

    pub(crate) fn raw(&self, value: &[u8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(value.len() + PROOF + 1);
        body.push(RAW);
        body.extend_from_slice(value);
        self.sealed(body)
    }

    /// The format and the value's bytes, if they are what was written.
    fn opened<'b>(&self, bytes: &'b [u8]) -> Result<(u8, &'b [u8]), Unsealed> {
        let short = || Unsealed::Damaged(format!("a value of {} bytes in '{}'", bytes.len(), self.table));
        let (body, proof) = bytes.split_last_chunk::<PROOF>().ok_or_else(short)?;
        if self.proof(body) != *proof {
            return Err(Unsealed::Damaged(format!("a value in '{}' is not what was written", self.table)));
        }
        let (format, value) = body.split_first().ok_or_else(short)?;
        if *format > KNOWN { Err(Unsealed::Newer(*format)) } else { Ok((*format, value)) }
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Unsealed> {
        let (format, value) = self.opened(bytes)?;
        let read = match format {
            PACKED => protocol::codec::decode(value).map_err(|error| error.to_string()),
            JSON => serde_json::from_slice(value).map_err(|error| error.to_string()),
            other => Err(format!("format {other} where a record should be")),
        };
        read.map_err(|why| Unsealed::Damaged(format!("a value in '{}': {why}", self.table)))
    }

    pub(crate) fn read_raw(&self, bytes: &[u8]) -> Result<Vec<u8>, Unsealed> {
        match self.opened(bytes)? {
            (RAW, value) => Ok(value.to_vec()),
            (other, _) => Err(Unsealed::Damaged(format!("format {other} in '{}' where bytes should be", self.table))),
        }
    }
}

#[cfg(test)]
mod tests;
