//! Sequences in slots that never move: a [`Rank`] names its slot, so that finding a sequence costs one
//! look-up in a list. A slot is used again, but no arrival is: an old rank finds nothing.

use super::{Rank, Sequence};

/// All sequences of a scheduler.
#[derive(Debug, Default)]
pub(super) struct Slab {
    slots: Vec<Option<(Rank, Sequence)>>,
    free: Vec<u32>,
    len: usize,
}

impl Slab {
    /// The slot that the next sequence gets.
    pub(super) fn next_slot(&self) -> u32 {
        self.free.last().copied().unwrap_or(u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
    }

    /// Keeps a sequence in the slot of its rank, which is the next one.
    pub(super) fn insert(&mut self, rank: Rank, sequence: Sequence) {
        if let Some(slot) = self.slots.get_mut(rank.slot()) {
            *slot = Some((rank, sequence));
            self.free.pop();
        } else {
            self.slots.push(Some((rank, sequence)));
        }
        self.len += 1;
    }

    pub(super) fn remove(&mut self, rank: Rank) -> Option<Sequence> {
        let slot = self.slots.get_mut(rank.slot())?;
        let (_, sequence) = slot.take_if(|(of, _)| *of == rank)?;
        self.free.push(rank.slot);
        self.len -= 1;
        Some(sequence)
    }

    pub(super) fn get(&self, rank: Rank) -> Option<&Sequence> {
        self.slots.get(rank.slot())?.as_ref().filter(|(of, _)| *of == rank).map(|(_, sequence)| sequence)
    }

    pub(super) fn get_mut(&mut self, rank: Rank) -> Option<&mut Sequence> {
        self.slots.get_mut(rank.slot())?.as_mut().filter(|(of, _)| *of == rank).map(|(_, sequence)| sequence)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sequence> {
        self.slots.iter().flatten().map(|(_, sequence)| sequence)
    }
}
