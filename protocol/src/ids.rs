//! Names of things. Ids are random numbers shown as hexadecimal; the randomness comes from the caller,
//! so that this crate stays pure and a simulation can choose them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A token of a model's vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub u32);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {what}: expected {digits} hexadecimal digits")]
pub struct BadId {
    text: String,
    what: &'static str,
    digits: usize,
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident($int:ty), $digits:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:0width$x}", self.0, width = $digits)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = || BadId { text: text.to_owned(), what: $what, digits: $digits };
                if text.len() != $digits || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(bad());
                }
                <$int>::from_str_radix(text, 16).map(Self).map_err(|_| bad())
            }
        }
    };
}

hex_id!(
    /// A node, for as long as its state folder lives. It stands in the node's certificate.
    NodeId(u64), 16, "a node id"
);
hex_id!(
    /// One request of one client, through all its attempts.
    RequestId(u128), 32, "a request id"
);
hex_id!(
    /// A cluster: the first eight bytes of its CA's fingerprint.
    ClusterId(u64), 16, "a cluster id"
);

/// How often a node has started: it grows with each start, so that old reports can be told from new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

/// One try at one choice of a request. Late clean-up is fenced by it: a stale attempt never touches a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    /// The request.
    pub request: RequestId,
    /// Which of its `n` answers, from 0.
    pub choice: u32,
    /// Which try at it, from 0.
    pub attempt: u32,
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.request, self.choice, self.attempt)
    }
}

#[cfg(test)]
mod tests;
