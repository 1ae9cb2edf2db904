//! Which budgets a request counts in, without looking at all of them.
//!
//! Budgets whose scopes give the same fields have the same shape. A request is looked up once for each shape
//! that is in use, by the hash of its values for these fields: what is found matches, but for a collision.
//! So the cost grows with the number of shapes (at most 64, usually under ten), not of budgets.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use protocol::account::{Scope, Subject};

use crate::hashing::Hashed;

/// Where a budget stands in a ledger.
pub(super) type Slot = usize;

/// The fields of a scope, in the order of their bits in a shape.
const FIELDS: usize = 6;
/// The bit of tags, of which a request has several.
const TAG: usize = 4;

/// The budgets of a ledger by their scopes.
#[derive(Clone, Debug, Default)]
pub(super) struct Matching {
    slots: HashMap<u64, Vec<Slot>, Hashed>,
    /// How many budgets have a shape.
    shapes: BTreeMap<u8, usize>,
}

fn hash(value: &str) -> u64 {
    // With fixed keys, so the same in every run.
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Joins the hash of a field to those before it.
fn join(so_far: u64, field: u64) -> u64 {
    let mixed = (so_far ^ field).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) ^ (mixed >> 29)
}

fn key(shape: u8, fields: &[Option<u64>; FIELDS]) -> Option<u64> {
    let wanted = fields.iter().enumerate().filter(|(bit, _)| shape & (1 << bit) != 0);
    wanted.map(|(_, field)| *field).try_fold(u64::from(shape), |so_far, field| Some(join(so_far, field?)))
}

fn of_scope(scope: &Scope) -> (u8, Option<u64>) {
    let fields = [&scope.organisation, &scope.team, &scope.key, &scope.model, &scope.tag, &scope.provider];
    let fields = fields.map(|field| field.as_deref().map(hash));
    let shape = fields.iter().enumerate().map(|(bit, field)| u8::from(field.is_some()) << bit).sum();
    (shape, key(shape, &fields))
}

impl Matching {
    /// A budget comes.
    pub(super) fn insert(&mut self, scope: &Scope, slot: Slot) {
        let (shape, key) = of_scope(scope);
        *self.shapes.entry(shape).or_default() += 1;
        if let Some(key) = key {
            self.slots.entry(key).or_default().push(slot);
        }
    }

    /// A budget goes.
    pub(super) fn remove(&mut self, scope: &Scope, slot: Slot) {
        let (shape, key) = of_scope(scope);
        if let Some(count) = self.shapes.get_mut(&shape) {
            *count -= 1;
            if *count == 0 {
                self.shapes.remove(&shape);
            }
        }
        let Some(key) = key else { return };
        if let Some(slots) = self.slots.get_mut(&key) {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                self.slots.remove(&key);
            }
        }
    }

    /// Whether a budget is here, under its scope.
    pub(super) fn holds(&self, scope: &Scope, slot: Slot) -> bool {
        let (shape, key) = of_scope(scope);
        let slots = key.and_then(|key| self.slots.get(&key));
        self.shapes.contains_key(&shape) && slots.is_some_and(|slots| slots.contains(&slot))
    }

    /// The budgets that a request may count in, each once, in order: all that match, and seldom another.
    pub(super) fn candidates(&self, subject: &Subject) -> Vec<Slot> {
        let given = |field: &Option<String>| field.as_deref().map(hash);
        let mut fields = [
            given(&subject.organisation),
            given(&subject.team),
            Some(hash(&subject.key)),
            Some(hash(&subject.model)),
            None,
            given(&subject.provider),
        ];
        let mut found = Vec::with_capacity(8);
        for shape in self.shapes.keys().filter(|shape| *shape & (1 << TAG) == 0) {
            self.look_up(*shape, &fields, &mut found);
        }
        for tag in &subject.tags {
            let mut tagged = self.shapes.keys().filter(|shape| *shape & (1 << TAG) != 0).peekable();
            if tagged.peek().is_none() {
                break;
            }
            if let Some(field) = fields.get_mut(TAG) {
                *field = Some(hash(tag));
            }
            for shape in tagged {
                self.look_up(*shape, &fields, &mut found);
            }
        }
        // A tag may stand twice in a request; its budget counts it once.
        found.sort_unstable();
        found.dedup();
        found
    }

    fn look_up(&self, shape: u8, fields: &[Option<u64>; FIELDS], found: &mut Vec<Slot>) {
        if let Some(slots) = key(shape, fields).and_then(|key| self.slots.get(&key)) {
            found.extend_from_slice(slots);
        }
    }
}
