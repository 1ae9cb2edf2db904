//! API keys: who may ask. The admin's is made at the first start and lies in a file; others are made by it.
//!
//! Rules: only a hash is kept in memory, and compared in constant time; a key is shown in its file alone.

use std::sync::Arc;

use protocol::account::{KeyRecord, KeySettings};
use protocol::answer::{ErrorKind, JobError};
use protocol::job::Class;
use protocol::units::UnixMillis;
use subtle::ConstantTimeEq;

use crate::service::Caller;

/// What every key begins with, so that a leaked one is recognised.
const PREFIX: &str = "sk-troupe-";
/// The id of the key in the state folder.
pub const ADMIN: &str = "admin";

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

    /// Whose key this is: the admin's, or one of those that were made since.
    ///
    /// # Errors
    /// A key that is not known, or no longer good. The message never repeats it.
    pub fn authenticate(
        &self,
        key: &str,
        made: &actors::cost::keys::Keys,
        now: UnixMillis,
    ) -> Result<Caller, JobError> {
        let unauthorized = |message: String| JobError::new(ErrorKind::Unauthorized, message);
        if key.trim().is_empty() {
            return Err(unauthorized("no API key was given: send it as 'Authorization: Bearer KEY'".to_owned()));
        }
        let given = hash(key.trim());
        let (id, settings) = if bool::from(given.ct_eq(&self.admin)) {
            let settings = KeySettings { admin: true, class: Class::Interactive, ..KeySettings::default() };
            (ADMIN.to_owned(), settings)
        } else {
            let record = made.find(&given, now).map_err(|fault| unauthorized(fault.to_string()))?;
            (record.id.clone(), record.settings.clone())
        };
        let mut salt = [0; 16];
        salt.iter_mut().zip(given).for_each(|(salt, byte)| *salt = byte);
        Ok(Caller { key: id, salt, admin: settings.admin, settings: Arc::new(settings) })
    }
}

/// A new key: what is kept of it, and the secret, which is shown once.
pub fn fresh(settings: KeySettings, random: [u8; 32], now: UnixMillis) -> (KeyRecord, String) {
    let (mut name, mut secret) = ([0; 8], [0; 24]);
    name.iter_mut().chain(&mut secret).zip(random).for_each(|(byte, random)| *byte = random);
    let id = name.iter().fold("key-".to_owned(), |id, byte| format!("{id}{byte:02x}"));
    let secret = Keys::make(secret);
    (KeyRecord { id, hash: hash(&secret), created: now, revoked: false, settings }, secret)
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
        let made = actors::cost::keys::Keys::default();
        let authenticate = |key: &str| keys.authenticate(key, &made, UnixMillis(0));
        assert_eq!(authenticate(&key).unwrap().key, "admin");
        for wrong in ["", "sk-troupe-", &key[1..], &key.to_uppercase()] {
            let error = authenticate(wrong).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unauthorized);
            assert!(wrong.is_empty() || !error.message.contains(wrong));
        }
        assert!(!format!("{keys:?}").contains(&key));
    }

    #[test]
    fn a_key_that_was_made_opens_with_its_settings_and_is_kept_as_a_hash() {
        let settings = KeySettings { team: Some("red".into()), ..KeySettings::default() };
        let (record, secret) = fresh(settings, [9; 32], UnixMillis(5));
        assert!(secret.starts_with(PREFIX) && record.id == "key-0909090909090909" && record.created == UnixMillis(5));
        assert!(!format!("{record:?}").contains(&secret));
        let made = actors::cost::keys::Keys::default();
        made.put(record.clone());
        let caller = Keys::new("sk-admin").authenticate(&secret, &made, UnixMillis(6)).unwrap();
        assert_eq!((caller.key.as_str(), caller.admin), (record.id.as_str(), false));
        assert_eq!(caller.settings.team.as_deref(), Some("red"));
        made.put(KeyRecord { revoked: true, ..record });
        let error = Keys::new("sk-admin").authenticate(&secret, &made, UnixMillis(6)).unwrap_err();
        assert!(error.kind == ErrorKind::Unauthorized && error.message.contains("revoked"));
    }
}
