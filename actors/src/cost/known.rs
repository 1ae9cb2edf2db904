//! Which keys others know: the holder's list of changes, and how far another coordinator has followed it.
//!
//! Rules: keys are changed and never removed, so a list of changes has each key once. A message carries a bounded part
//! of it. Who follows from the beginning has these keys and no others once the last part is there.

use std::collections::BTreeMap;

use protocol::account::KeyRecord;
use protocol::escrow::{KeyChanges, KeysVersion};

use super::keys::Keys;

/// Keys in one message, in bytes, about.
const PART: usize = 4 << 20;

/// When each key has changed.
#[derive(Debug, Default)]
pub(super) struct KeyLog {
    epoch: u64,
    number: u64,
    /// By when it has changed last.
    by_number: BTreeMap<u64, String>,
    numbers: BTreeMap<String, u64>,
}

impl KeyLog {
    /// All of these are new.
    pub(super) fn new(epoch: u64, keys: &Keys) -> Self {
        let mut log = Self { epoch, ..Self::default() };
        keys.all().iter().for_each(|key| log.changed(&key.id));
        log
    }

    pub(super) fn changed(&mut self, id: &str) {
        self.number = self.number.saturating_add(1);
        if let Some(old) = self.numbers.insert(id.to_owned(), self.number) {
            self.by_number.remove(&old);
        }
        self.by_number.insert(self.number, id.to_owned());
    }

    /// What somebody does not know yet; none if they know all.
    pub(super) fn after(&self, known: KeysVersion, keys: &Keys) -> Option<KeyChanges> {
        self.part(known, keys, PART)
    }

    fn part(&self, known: KeysVersion, keys: &Keys, most: usize) -> Option<KeyChanges> {
        let number = if known.epoch == self.epoch { known.number } else { 0 };
        if known.epoch == self.epoch && number >= self.number {
            return None;
        }
        let after = KeysVersion { epoch: self.epoch, number };
        let (mut records, mut bytes, mut upto) = (Vec::new(), 0_usize, number);
        for (number, id) in self.by_number.range(number.saturating_add(1)..) {
            if bytes >= most {
                let version = KeysVersion { epoch: self.epoch, number: upto };
                return Some(KeyChanges { after, version, records, last: false });
            }
            if let Some(record) = keys.get(id) {
                bytes = bytes.saturating_add(size(&record));
                records.push((*record).clone());
            }
            upto = *number;
        }
        let version = KeysVersion { epoch: self.epoch, number: self.number };
        Some(KeyChanges { after, version, records, last: true })
    }
}

/// About how many bytes a key has.
fn size(record: &KeyRecord) -> usize {
    let settings = &record.settings;
    let texts = settings.models.iter().chain(&settings.tags).chain(&settings.guardrails);
    let others = settings.fallbacks.iter().flat_map(|(model, others)| std::iter::once(model).chain(others));
    256 + settings.name.len() + texts.chain(others).map(|text| text.len() + 8).sum::<usize>()
}

/// How far a grantee has followed.
#[derive(Debug, Default)]
pub(super) struct Followed {
    version: KeysVersion,
    /// What has come since the beginning, until the last part is there.
    whole: Option<Vec<KeyRecord>>,
}

impl Followed {
    pub(super) fn version(&self) -> KeysVersion {
        self.version
    }

    /// Some have changed. False if they do not follow what is known.
    pub(super) fn follow(&mut self, changes: &KeyChanges, keys: &Keys) -> bool {
        if changes.after.number == 0 {
            self.whole = Some(Vec::new());
        } else if changes.after != self.version {
            return false;
        }
        self.version = changes.version;
        changes.records.iter().for_each(|record| drop(keys.put(record.clone())));
        if let Some(whole) = &mut self.whole {
            whole.extend(changes.records.iter().cloned());
        }
        if changes.last
            && let Some(whole) = self.whole.take()
        {
            keys.replace(whole);
        }
        true
    }
}

#[cfg(test)]
mod tests;
