//! Sets of nodes, as small numbers: who holds a block, and who has had all blocks of a prompt so far.
//!
//! Most blocks have one holder or a few, which lie in the entry itself (16 bytes); what all share, as a system
//! prompt, has many, as bits.

/// Holders that lie in the entry.
const FEW: usize = 3;
const BITS: u32 = u64::BITS;

/// Who holds a block.
#[derive(Debug)]
pub(super) enum Holders {
    Few {
        count: u8,
        places: [u32; FEW],
    },
    #[expect(clippy::box_collection, reason = "an entry is to be two words, and few have many holders")]
    Many(Box<Vec<u64>>),
}

impl Default for Holders {
    fn default() -> Self {
        Self::Few { count: 0, places: [0; FEW] }
    }
}

fn word(place: u32) -> (usize, u64) {
    ((place / BITS) as usize, 1 << (place % BITS))
}

fn set(words: &mut Vec<u64>, place: u32) {
    let (at, bit) = word(place);
    if words.len() <= at {
        words.resize(at + 1, 0);
    }
    if let Some(word) = words.get_mut(at) {
        *word |= bit;
    }
}

impl Holders {
    fn few(&self) -> &[u32] {
        match self {
            Self::Few { count, places } => places.get(..usize::from(*count)).unwrap_or_default(),
            Self::Many(_) => &[],
        }
    }

    /// Puts one in that is not in it.
    pub(super) fn insert(&mut self, place: u32) {
        match self {
            Self::Few { count, places } => {
                if let Some(free) = places.get_mut(usize::from(*count)) {
                    *free = place;
                    *count += 1;
                    return;
                }
                let mut words = Vec::new();
                places.iter().chain([&place]).for_each(|place| set(&mut words, *place));
                *self = Self::Many(Box::new(words));
            }
            Self::Many(words) => set(words, place),
        }
    }

    /// Takes one out. True if none is left.
    pub(super) fn remove(&mut self, place: u32) -> bool {
        match self {
            Self::Few { count, places } => {
                let held = places.get_mut(..usize::from(*count)).unwrap_or_default();
                if let Some(at) = held.iter().position(|held| *held == place) {
                    held.swap(at, usize::from(*count) - 1);
                    *count -= 1;
                }
                *count == 0
            }
            Self::Many(words) => {
                let (at, bit) = word(place);
                if let Some(word) = words.get_mut(at) {
                    *word &= !bit;
                }
                let left: u32 = words.iter().map(|word| word.count_ones()).sum();
                if left as usize <= FEW {
                    let mut few = Self::default();
                    (0..).zip(words.iter()).for_each(|(at, word)| each(at, *word, |place| few.insert(place)));
                    *self = few;
                }
                left == 0
            }
        }
    }
}

/// The places of the bits in one word.
fn each(at: usize, word: u64, mut one: impl FnMut(u32)) {
    let mut left = word;
    while left != 0 {
        one(at as u32 * BITS + left.trailing_zeros());
        left &= left - 1;
    }
}

/// Who holds a block, to look at: what an entry points to is looked up.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    Few(&'a [u32]),
    /// As bits.
    Many(&'a [u64]),
}

impl Holders {
    pub(super) fn view(&self) -> View<'_> {
        match self {
            Self::Few { .. } => View::Few(self.few()),
            Self::Many(words) => View::Many(words),
        }
    }
}

impl View<'_> {
    /// Those of one word.
    fn bits(self, at: usize) -> u64 {
        match self {
            Self::Few(places) => {
                let here = places.iter().map(|place| word(*place)).filter(|(of, _)| *of == at);
                here.fold(0, |bits, (_, bit)| bits | bit)
            }
            Self::Many(words) => words.get(at).copied().unwrap_or_default(),
        }
    }
}

/// Who has had all so far: words of bits in which there is one, each with its place. Soon these are few.
pub(super) struct Set {
    words: Vec<(usize, u64)>,
}

impl Set {
    /// The holders of a block.
    pub(super) fn of(holders: View<'_>) -> Self {
        let mut words: Vec<(usize, u64)> = Vec::new();
        match holders {
            View::Many(bits) => words.extend(bits.iter().copied().enumerate().filter(|(_, word)| *word != 0)),
            View::Few(places) => places.iter().for_each(|place| {
                let (at, bit) = word(*place);
                match words.iter_mut().find(|(other, _)| *other == at) {
                    Some((_, word)) => *word |= bit,
                    None => words.push((at, bit)),
                }
            }),
        }
        Self { words }
    }

    pub(super) fn len(&self) -> usize {
        self.words.iter().map(|(_, word)| word.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(super) fn each(&self, mut one: impl FnMut(u32)) {
        self.words.iter().for_each(|(at, word)| each(*at, *word, &mut one));
    }

    /// Keeps those who hold this too, and names the others.
    pub(super) fn keep(&mut self, holders: View<'_>, mut lost: impl FnMut(u32)) {
        self.words.retain_mut(|(at, word)| {
            let here = holders.bits(*at);
            each(*at, *word & !here, &mut lost);
            *word &= here;
            *word != 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn holders_are_a_set(steps in proptest::collection::vec((any::<bool>(), 0u32..200), 0..200)) {
            let (mut holders, mut naive) = (Holders::default(), BTreeSet::new());
            for (put, place) in steps {
                if put {
                    if naive.insert(place) {
                        holders.insert(place);
                    }
                } else {
                    naive.remove(&place);
                    prop_assert_eq!(holders.remove(place), naive.is_empty());
                }
                let mut found = BTreeSet::new();
                Set::of(holders.view()).each(|place| found.extend([place]));
                prop_assert_eq!(&found, &naive);
            }
        }
    }

    fn holders(places: &BTreeSet<u32>) -> Holders {
        let mut holders = Holders::default();
        places.iter().for_each(|place| holders.insert(*place));
        holders
    }

    proptest! {
        #[test]
        fn who_holds_the_next_too_is_kept_and_the_others_are_named(
            first in proptest::collection::btree_set(0u32..200, 1..20),
            next in proptest::collection::btree_set(0u32..200, 1..20),
            both in proptest::collection::btree_set(0u32..200, 0..5),
        ) {
            let (first, next) = (&first | &both, &next | &both);
            let mut set = Set::of(holders(&first).view());
            prop_assert_eq!(set.len(), first.len());
            let (mut lost, mut kept) = (BTreeSet::new(), BTreeSet::new());
            set.keep(holders(&next).view(), |place| lost.extend([place]));
            set.each(|place| kept.extend([place]));
            prop_assert_eq!(set.is_empty(), kept.is_empty());
            prop_assert_eq!((kept, lost), (&first & &next, &first - &next));
        }
    }

    #[test]
    fn an_entry_is_two_words() {
        assert_eq!(size_of::<Holders>(), 16);
    }
}
