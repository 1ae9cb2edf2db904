//! Every job ends exactly once, and what it held is free.

use super::jobs::key;
use super::watched::Watched;
use super::{Bench, Shape};
use crate::job::Finish;
use crate::units::{Blocks, Tokens};

/// Jobs of all sizes end, each once, with counts that agree; a key can be used again after its end.
pub fn every_job_ends_once(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    for number in 0..12 {
        engine.admit(engine.job(number, 1 + number * 9, 1 + u64::from(number) * 3));
    }
    engine.run();
    for number in 0..12 {
        let trace = engine.trace(key(number));
        assert_eq!(trace.finish(), Finish::Length, "{} has no stop tokens", key(number));
        assert_eq!(trace.usage().generated, Tokens(1 + u64::from(number) * 3), "{}: max_tokens", key(number));
    }
    let again = engine.job(3, 5, 2);
    assert_eq!(engine.answer(again).answer.len(), 2, "a key can be used again after its end");
}

/// A cancelled job is silent and holds nothing: waiting, in the middle of its prefill, and decoding.
pub fn cancel_frees_at_every_stage(bench: &dyn Bench) {
    let shape = Shape { prefill_chunk: 8, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    engine.admit(engine.job(1, 40, 8));
    assert_eq!(engine.cancel(key(1)).prompt, Tokens::ZERO, "a job that has waited has used nothing");
    engine.run();
    assert_eq!(engine.trace(key(1)).cached, None, "a job that was cancelled while it waited has started");

    engine.admit(engine.job(2, 40, 8));
    engine.step();
    engine.step();
    assert!(engine.trace(key(2)).answer.is_empty(), "40 tokens cannot be computed in two chunks of 8");
    assert!(engine.load().blocks_used > Blocks::ZERO, "a job in its prefill holds blocks");
    assert_eq!(engine.cancel(key(2)).prompt, Tokens(16), "two chunks of 8 were computed");
    assert_eq!(engine.load().blocks_used, Blocks::ZERO, "a cancelled prefill holds blocks");
    engine.run();

    engine.admit(engine.job(3, 40, 100));
    engine.run_until(key(3), 20);
    engine.cancel(key(3));
    assert_eq!(engine.load().blocks_used, Blocks::ZERO, "a cancelled answer holds blocks");
    engine.run();

    // One of several that share a prefix: the others go on as if nothing had been.
    let alone = engine.answer(engine.job(4, 40, 20)).tokens();
    for number in 5..8 {
        let mut job = engine.job(4, 40, 20);
        job.key = key(number);
        engine.admit(job);
    }
    engine.run_until(key(6), 5);
    engine.cancel(key(6));
    engine.run();
    for number in [5, 7] {
        assert_eq!(engine.trace(key(number)).tokens(), alone, "a neighbour's cancellation changed an answer");
    }
}

/// A key that is unknown, or has ended, cannot be cancelled.
pub fn cancel_of_a_stranger_is_refused(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    engine.cancel_stranger(key(1));
    engine.admit(engine.job(1, 4, 2));
    engine.cancel_stranger(key(2));
    engine.run();
    engine.cancel_stranger(key(1));
}

/// A stop token ends the answer and is its last token.
pub fn stop_ids_end_the_answer(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    let free = engine.answer(engine.job(1, 12, 24)).tokens();
    for place in [0, 7, 23] {
        let Some(&stop) = free.get(place) else { panic!("the answer has {} tokens instead of 24", free.len()) };
        let mut job = engine.job(1, 12, 24);
        job.limits.stop_ids = vec![stop];
        let stopped = engine.answer(job);
        let until = free.iter().position(|token| *token == stop).unwrap_or(place) + 1;
        assert_eq!(
            stopped.tokens().as_slice(),
            free.get(..until).unwrap_or_default(),
            "it must end with the stop token {stop}"
        );
        assert_eq!(stopped.finish(), Finish::Stop, "it ended with its stop token");
    }
}

/// No stop token is chosen before `min_tokens`.
pub fn min_tokens_hold_the_stop_back(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    let free = engine.answer(engine.job(1, 12, 24)).tokens();
    let mut job = engine.job(1, 12, 24);
    job.limits.stop_ids = free.iter().copied().take(1).collect();
    job.limits.min_tokens = Tokens(6);
    let held = engine.answer(job);
    assert!(held.answer.len() >= 6, "min_tokens is 6, the answer has {}", held.answer.len());
    let early = held.tokens().iter().take(6).any(|token| free.first() == Some(token));
    assert!(!early, "a stop token was chosen within min_tokens: {:?}", held.tokens());
}

/// A job that no memory can hold to its end still ends, and once.
pub fn outgrowing_the_cache_ends(bench: &dyn Bench) {
    let shape = Shape { blocks: 4, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    engine.admit(engine.job(1, 10, 100));
    engine.admit(engine.job(2, 10, 100));
    engine.run();
    let context = Shape { context: 32, ..Shape::default() };
    let mut engine = Watched::new(bench, context);
    let full = engine.answer(engine.job(1, 10, 100));
    assert_eq!(full.finish(), Finish::Length, "the end of the context ends an answer");
}
