//! Cache events tell what is cached. That a replay agrees with every grant is watched in all promises:
//! see `Watched::admit`.

use super::watched::Watched;
use super::{Bench, Shape};
use crate::engine::CacheEvent;
use crate::units::Tokens;

/// A block is told when it is full, with the one before it; what is found again is not told again.
pub fn stored_blocks_are_told(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    engine.answer(engine.job(1, 45, 2));
    let events = engine.listen();
    assert_eq!(events.len(), 5, "45 tokens fill five blocks of 8, but: {events:?}");
    assert!(events.iter().all(|event| matches!(event, CacheEvent::Stored { .. })), "{events:?}");
    assert_eq!(engine.index.blocks(&engine.job(1, 45, 2), 8), 5, "the names are not those of the prompt's blocks");
    engine.answer(engine.job(1, 45, 2));
    assert_eq!(engine.listen(), [], "nothing has changed");
    // Answers are cached like prompts.
    let mut longer = engine.job(1, 45, 30);
    longer.generated = engine.answer(longer.clone()).tokens();
    engine.listen();
    assert_eq!(engine.index.blocks(&longer, 8), 9, "74 computed tokens fill nine blocks");
}

/// When room is made, what was thrown out is told, and no grant counts on it.
pub fn removed_blocks_are_told(bench: &dyn Bench) {
    let shape = Shape { blocks: 8, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    for number in 1..6 {
        engine.answer(engine.job(number, 45, 3));
        let removed = engine.listen().iter().filter(|event| matches!(event, CacheEvent::Removed { .. })).count();
        assert!(number == 1 || removed >= 2, "eight blocks cannot hold two prompts of five, {removed} were removed");
        assert_eq!(engine.index.blocks(&engine.job(number, 45, 3), 8), 5, "the newest prompt is cached");
    }
    assert_eq!(engine.index.blocks(&engine.job(1, 45, 3), 8), 0, "the oldest prompt is still told");
    assert_eq!(engine.admit(engine.job(1, 45, 3)).cached, Tokens::ZERO, "the oldest prompt is still there");
    engine.run();
}

/// Another tenant's blocks have other names, so that no index mixes them up.
pub fn another_salt_has_other_names(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    let mut other = engine.job(1, 45, 2);
    other.salt = [7; 16];
    engine.answer(engine.job(1, 45, 2));
    engine.listen();
    assert_eq!(engine.index.blocks(&other, 8), 0, "a tenant's blocks go by another tenant's names");
    engine.answer(other.clone());
    assert_eq!(engine.listen().len(), 5, "the other tenant's blocks are told as well");
    assert_eq!((engine.index.blocks(&other, 8), engine.index.len()), (5, 10));
}

/// Whoever comes late asks for all there is, and hears the same as who listened all the time.
pub fn late_listeners_hear_all(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    for number in 1..4 {
        engine.answer(engine.job(number, 45, 3));
    }
    engine.listen();
    let before = std::mem::take(&mut engine.index);
    let events = engine.listen_anew();
    assert_eq!(events.first(), Some(&CacheEvent::Cleared), "what is told anew begins with Cleared");
    assert_eq!(engine.index, before, "what is told anew is not what was told before");
    assert_eq!(engine.listen(), [], "what was told is told again");
}

/// What nobody hears does not pile up: it gives way to all there is.
pub fn unheard_events_do_not_pile_up(bench: &dyn Bench) {
    let shape = Shape { blocks: 8, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    for number in 1..=shape.queue {
        engine.admit(engine.job(number, 25, 8));
    }
    engine.run();
    // 16 jobs stored 3 blocks each; `listen` checks how much is told, the next grant whether it is true.
    let events = engine.listen();
    assert_eq!(events.first(), Some(&CacheEvent::Cleared), "48 events and more are told as {}", events.len());
    let last = engine.job(shape.queue, 25, 8);
    assert_eq!(engine.index.blocks(&last, 8), 3, "the newest prompt is cached");
    assert_eq!(engine.answer(last).cached, Some(Tokens(24)));
}
