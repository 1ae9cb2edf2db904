//! API keys: who may ask. One admin key for now, made at the first start.
//!
//! Rules: only a hash is kept in memory, and compared in constant time; a key is shown in its file alone.

use std::sync::Arc;

use protocol::account::KeySettings;
use protocol::answer::{ErrorKind, JobError};
use protocol::job::Class;
use subtle::ConstantTimeEq;

use crate::service::Caller;

/// What every key begins with, so that a leaked one is recognised.
const PREFIX: &str = "sk-troupe-";

/// The keys of a cluster.
#[derive(Debug)]
pub struct Keys {
    admin: [u8; 32],
}

impl Keys {
    /// With this admin key.
    pub fn new(admin: &str) -> Self {
        Self { admin: hash(admin.trim()) }
    }

    /// A fresh key of these random bytes.
    pub fn make(random: [u8; 24]) -> String {
        random.iter().fold(PREFIX.to_owned(), |key, byte| format!("{key}{byte:02x}"))
    }

    /// Whose key this is.
    ///
    /// # Errors
    /// A key that is not known. The message never repeats it.
    pub fn authenticate(&self, key: &str) -> Result<Caller, JobError> {
        let given = hash(key.trim());
        if !bool::from(given.ct_eq(&self.admin)) {
            let message = if key.trim().is_empty() {
                "no API key was given: send it as 'Authorization: Bearer KEY'"
            } else {
                "the API key is not known: take it from admin.key in the coordinator's state folder"
            };
            return Err(JobError::new(ErrorKind::Unauthorized, message));
        }
        let mut salt = [0; 16];
        salt.iter_mut().zip(given).for_each(|(salt, byte)| *salt = byte);
        let settings = KeySettings { admin: true, class: Class::Interactive, ..KeySettings::default() };
        Ok(Caller { key: "admin".to_owned(), salt, admin: true, settings: Arc::new(settings) })
    }
}

fn hash(key: &str) -> [u8; 32] {
    *blake3::hash(key.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_itself_opens() {
        let key = Keys::make([7; 24]);
        let keys = Keys::new(&format!("{key}\n"));
        assert!(key.starts_with(PREFIX) && key.len() == PREFIX.len() + 48);
        assert_eq!(keys.authenticate(&key).unwrap().key, "admin");
        for wrong in ["", "sk-troupe-", &key[1..], &key.to_uppercase()] {
            let error = keys.authenticate(wrong).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unauthorized);
            assert!(wrong.is_empty() || !error.message.contains(wrong));
        }
        assert!(!format!("{keys:?}").contains(&key));
    }
}
