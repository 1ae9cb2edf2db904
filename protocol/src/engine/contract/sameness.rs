//! The same job gives the same tokens, whatever happens around it.

use std::collections::BTreeSet;

use super::jobs::{key, seeded};
use super::watched::Watched;
use super::{Bench, Shape};
use crate::ids::TokenId;
use crate::job::Job;
use crate::units::Tokens;

/// Jobs with prompts of all lengths, every other one with temperature 1.
fn jobs(engine: &Watched) -> Vec<Job> {
    (1..=6)
        .map(|number| {
            let mut job = engine.job(number, 5 + number * 6, 20);
            if number % 2 == 0 {
                job.sampling = seeded(u64::from(number));
            }
            job
        })
        .collect()
}

/// What each job answers on an engine of its own.
fn alone(bench: &dyn Bench) -> Vec<Vec<TokenId>> {
    let all = jobs(&Watched::new(bench, Shape::default()));
    all.into_iter().map(|job| Watched::new(bench, Shape::default()).answer(job).tokens()).collect()
}

/// Runs all jobs together; `late` lets some arrive while others run.
fn together(engine: &mut Watched) -> Vec<Vec<TokenId>> {
    for (late, job) in jobs(engine).into_iter().enumerate() {
        engine.admit(job);
        if late % 2 == 1 {
            engine.step();
        }
    }
    engine.run();
    (1..=6).map(|number| engine.trace(key(number)).tokens()).collect()
}

/// Neighbours do not change an answer.
pub fn same_tokens_alone_and_beside_others(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    assert_eq!(together(&mut engine), alone(bench), "answers differ from those of jobs that ran alone");
    assert_eq!(engine.preempted, 0, "there was room for all, but a job was preempted");
}

/// Nor does a cache so small that jobs lose their blocks and are computed again.
pub fn same_tokens_after_a_preemption(bench: &dyn Bench) {
    let shape = Shape { blocks: 14, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    assert_eq!(together(&mut engine), alone(bench), "answers differ after preemptions");
    assert!(engine.preempted > 0, "six growing jobs fitted into 14 blocks: no preemption was reported");
}

/// Nor does the size of the prefill's chunks, or of the batch.
pub fn same_tokens_with_small_chunks(bench: &dyn Bench) {
    let shape = Shape { prefill_chunk: 7, step_tokens: 11, max_batch: 3, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    assert_eq!(together(&mut engine), alone(bench), "answers differ with a chunk of 7 tokens");
}

/// A job goes on from any of its own prefixes as it would have.
pub fn same_tokens_continued(bench: &dyn Bench) {
    for sampling in [seeded(0), seeded(11)] {
        let mut engine = Watched::new(bench, Shape::default());
        let mut whole = engine.job(1, 21, 24);
        whole.sampling = sampling;
        let answer = engine.answer(whole.clone()).tokens();
        for taken in [1, 10, 23] {
            let (before, after) = answer.split_at_checked(taken).unwrap_or((&answer, &[]));
            let mut rest = whole.clone();
            rest.generated = before.to_vec();
            let warm = engine.answer(rest.clone());
            assert_eq!(warm.tokens(), after, "continued after {taken} tokens on the same engine");
            let cold = Watched::new(bench, Shape::default()).answer(rest);
            assert_eq!(cold.tokens(), after, "continued after {taken} tokens on another engine");
            assert_eq!(cold.usage().generated, Tokens::of(24 - taken), "only its own tokens count as generated");
        }
    }
}

/// With temperature 1 the same seed gives the same answer and another seed another; greedy needs none.
pub fn seed_decides(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    let mut ask = |temperature: f32, seed: u64| {
        let mut job = engine.job(1, 16, 24);
        job.sampling = seeded(seed);
        job.sampling.temperature = temperature;
        engine.answer(job).tokens()
    };
    assert_eq!(ask(1.0, 7), ask(1.0, 7), "the same seed gave two answers");
    assert_eq!(ask(0.0, 7), ask(0.0, 8), "greedy depends on the seed");
    let different: BTreeSet<_> = (0..8).map(|seed| ask(1.0, seed)).collect();
    assert!(different.len() > 1, "eight seeds gave one and the same answer");
}
