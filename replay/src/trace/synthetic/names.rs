//! Names of blocks: small numbers, in the order in which the blocks first come.

use std::collections::BTreeMap;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// The beginning of a group's prompts, at this place.
    Group(u64, u64),
    /// Of one prompt, or of one conversation, at this place.
    Own(u64, u64),
}

/// The names given so far.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<Name, u64>);

impl Names {
    pub(super) fn of(&mut self, name: Name) -> u64 {
        let next = self.0.len() as u64;
        *self.0.entry(name).or_insert(next)
    }
}
