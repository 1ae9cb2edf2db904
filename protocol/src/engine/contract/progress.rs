//! What an engine says of its work: load, steps, order, chunks, log-probabilities.

use super::jobs::{key, seeded};
use super::watched::Watched;
use super::{Bench, Shape};
use crate::units::{Blocks, Tokens};

/// Load names what is there: waiting, then running with what is left to do.
pub fn load_is_consistent(bench: &dyn Bench) {
    let shape = Shape { prefill_chunk: 8, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    let grant = engine.admit(engine.job(1, 40, 6));
    assert_eq!(grant.queue, Tokens::ZERO, "nothing is due before the first job");
    let load = engine.load();
    assert_eq!((load.waiting, load.running), (1, 0), "a granted job waits until a step takes it up");
    assert_eq!(load.prefill, Tokens(40), "its whole prompt is due");
    assert_eq!(load.blocks_used, Blocks::ZERO, "it holds nothing while it waits");
    let grant = engine.admit(engine.job(2, 16, 6));
    assert_eq!(grant.queue, Tokens(40), "the first job's prompt is due before the second");

    engine.cancel(key(2));
    engine.step();
    let load = engine.load();
    assert_eq!((load.waiting, load.running), (0, 1), "a step has taken it up");
    assert_eq!(load.prefill, Tokens(32), "one chunk of 8 is done");
    engine.run_until(key(1), 1);
    let load = engine.load();
    assert_eq!(load.prefill, Tokens::ZERO, "a job that answers has no prefill due");
    assert!(load.context >= Tokens(40), "its prompt is in its context");
    engine.run();
    let load = engine.load();
    assert!(load.is_idle(), "jobs are left");
    assert_eq!(
        (load.prefill, load.context, load.blocks_used),
        (Tokens::ZERO, Tokens::ZERO, Blocks::ZERO),
        "something is left"
    );
}

/// An engine without jobs does nothing, and says so.
pub fn idle_engine_stays_idle(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    for round in 0..2 {
        let before = engine.load();
        for _ in 0..3 {
            let stepped = engine.step();
            assert!(stepped.progress.is_idle(), "round {round}: an idle engine computed something");
            assert!(stepped.progress.pace.is_zero(), "round {round}: an idle step takes time");
        }
        assert_eq!(engine.load(), before, "round {round}: idle steps changed the load");
        engine.answer(engine.job(1, 9, 3));
    }
}

/// A long prompt is computed in chunks, each within its bound.
pub fn prompts_come_in_chunks(bench: &dyn Bench) {
    let shape = Shape { prefill_chunk: 16, step_tokens: 24, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    engine.admit(engine.job(1, 100, 3));
    let mut steps = 0;
    while engine.trace(key(1)).answer.is_empty() {
        let stepped = engine.step();
        assert!(
            stepped.progress.prefill <= Tokens(16),
            "{} of one prompt in a step: prefill_chunk is 16",
            stepped.progress.prefill
        );
        steps += 1;
        assert!(steps <= 100, "no token after {steps} steps");
    }
    assert!(steps >= 7, "100 tokens were computed in {steps} steps of at most 16");
    engine.run();
    assert_eq!(engine.prefilled, Tokens(100), "each prompt token is computed once");
}

/// While a long prompt is computed, an answer that runs gets a token with every step.
pub fn long_prompts_let_others_speak(bench: &dyn Bench) {
    let shape = Shape { prefill_chunk: 8, step_tokens: 16, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    engine.admit(engine.job(1, 8, 60));
    engine.run_until(key(1), 1);
    engine.admit(engine.job(2, 200, 2));
    engine.admit(engine.job(3, 200, 2));
    let mut beside = 0;
    while engine.trace(key(1)).end.is_none() {
        let stepped = engine.step();
        assert!(stepped.tokens_of(key(1)) >= 1, "a step beside a long prompt gave the running answer nothing");
        beside += u32::from(stepped.progress.prefill > Tokens::ZERO);
    }
    assert!(beside >= 10, "the long prompts were computed in {beside} steps beside the answer: they should share");
    engine.run();
}

/// Among jobs that wait, the higher priority begins first.
pub fn priority_goes_first(bench: &dyn Bench) {
    let shape = Shape { max_batch: 1, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    for (number, priority) in [(1, 1), (2, 0), (3, 9)] {
        let mut job = engine.job(number, 8, 3);
        job.priority = priority;
        engine.admit(job);
    }
    let mut order = Vec::new();
    while !engine.load().is_idle() {
        engine.step();
        for number in [1, 2, 3] {
            if engine.trace(key(number)).end.is_some() && !order.contains(&number) {
                order.push(number);
            }
        }
    }
    assert_eq!(order, [3, 1, 2], "jobs of priority 9, 1 and 0 ended in another order");
    engine.run();
}

/// Log-probabilities come where they are asked for, best first, and nowhere else.
pub fn logprobs_where_asked(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    let plain = engine.answer(engine.job(1, 12, 8));
    assert!(plain.answer.iter().all(|sampled| sampled.logprobs.is_none()), "log-probabilities came unasked");
    for sampling in [engine.job(1, 12, 8).sampling, seeded(3)] {
        let mut job = engine.job(1, 12, 8);
        let greedy = sampling.temperature <= 0.0;
        job.sampling = sampling;
        job.sampling.logprobs = Some(3);
        let asked = engine.answer(job);
        if greedy {
            assert_eq!(asked.tokens(), plain.tokens(), "asking for log-probabilities changed the answer");
        }
        for sampled in &asked.answer {
            let Some(logprobs) = &sampled.logprobs else { panic!("a token has no log-probabilities") };
            assert_eq!(logprobs.top.len(), 3, "three alternatives were asked for");
            assert!(
                logprobs.top.is_sorted_by(|a, b| a.1 >= b.1),
                "alternatives are not best first: {:?}",
                logprobs.top
            );
            assert!(logprobs.chosen <= 0.0 && logprobs.chosen.is_finite(), "no log-probability: {}", logprobs.chosen);
            if let Some((_, same)) = logprobs.top.iter().find(|(token, _)| *token == sampled.token) {
                assert!((same - logprobs.chosen).abs() < 1e-4, "the chosen token has two log-probabilities");
            }
            if greedy {
                assert_eq!(logprobs.top.first().map(|(token, _)| *token), Some(sampled.token), "greedy takes the best");
            }
        }
    }
}
