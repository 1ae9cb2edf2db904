//! The small real model against a reference implementation: same prompt ids, same greedy tokens, same
//! log-probabilities; alone, in company, in chunks, with a cache too small, and from a cached prefix.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use protocol::config::Dtype;
use protocol::engine::Engine;
use protocol::job::Job;
use protocol::units::Blocks;

mod golden {
    pub(crate) mod cases;
    pub(crate) mod run;
}

use golden::cases::{Case, cases, compare, text};
use golden::run::{greedy, run, start};

/// Below this difference of the two best logits, two right implementations may disagree.
const F32_MARGIN: f64 = 0.001;
const BF16_MARGIN: f64 = 0.3;

fn check(cases: &[Case], answers: &[Vec<u32>], margin: f64) {
    let mut compared = 0;
    for (case, answer) in cases.iter().zip(answers) {
        compared += compare(case, answer, margin);
    }
    assert!(compared >= cases.len(), "only {compared} tokens were compared");
}

#[test]
fn prompts_become_the_reference_ids() {
    let (cases, text) = (cases(), text());
    assert_eq!(cases.len(), 24);
    for case in &cases {
        assert_eq!(case.encode(&text), case.prompt_ids, "{:?}", case.text);
    }
}

#[test]
fn f32_gives_the_reference_tokens_and_logprobs_alone() {
    let cases = cases();
    let mut engine = start(Dtype::F32, |_| {});
    let mut answers = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let mut job = greedy(number, case);
        job.sampling.logprobs = Some(8);
        let outcome = run(&mut engine, vec![job]);
        let first = outcome.logprobs[0].as_ref().unwrap();
        for ((token, logprob), (expected, value)) in first.top.iter().zip(&case.next_top8) {
            assert!((f64::from(*logprob) - value).abs() < 0.01, "{:?}: {logprob} for {value}", case.text);
            // Neighbours closer than the tolerance may change places.
            let tied = case.next_top8.iter().any(|other| other.0 == token.0 && (other.1 - value).abs() < 0.01);
            assert!(token.0 == *expected || tied, "{:?}: {token} for {expected}", case.text);
        }
        answers.extend(outcome.answers);
    }
    check(&cases, &answers, F32_MARGIN);
}

#[test]
fn bf16_gives_the_reference_tokens_where_they_are_clear() {
    let cases = cases();
    let mut engine = start(Dtype::Bf16, |_| {});
    let jobs = cases.iter().enumerate().map(|(number, case)| greedy(number, case)).collect();
    check(&cases, &run(&mut engine, jobs).answers, BF16_MARGIN);
}

#[test]
fn company_chunks_and_a_small_cache_change_nothing() {
    let cases = cases();
    let jobs = || cases.iter().enumerate().map(|(number, case)| greedy(number, case)).collect::<Vec<_>>();
    let together = run(&mut start(Dtype::F32, |_| {}), jobs());
    check(&cases, &together.answers, F32_MARGIN);
    assert_eq!(together.preempted, 0);
    let chunked = run(&mut start(Dtype::F32, |options| options.prefill_chunk = 7), jobs());
    check(&cases, &chunked.answers, F32_MARGIN);
    let tight = run(&mut start(Dtype::F32, |options| options.kv = engine::options::KvSize::Blocks(Blocks(20))), jobs());
    check(&cases, &tight.answers, F32_MARGIN);
    assert!(tight.preempted > 0, "the cache was meant to be too small");
}

#[test]
fn a_cached_prefix_and_a_move_change_nothing() {
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.prompt_ids.len() > 33).take(4).collect();
    let mut engine = start(Dtype::F32, |_| {});
    let jobs = |from: usize| cases.iter().enumerate().map(|(n, case)| greedy(from + n, case)).collect::<Vec<_>>();
    let cold = run(&mut engine, jobs(0));
    let warm = run(&mut engine, jobs(100));
    check(&cases, &warm.answers, F32_MARGIN);
    assert!(warm.cached.iter().all(|cached| *cached >= 32), "{:?} of {:?}", warm.cached, cold.cached);
    // Moved in the middle: the other engine is given what was said so far.
    let mut other = start(Dtype::F32, |_| {});
    let mut moved = jobs(200);
    for (job, answer) in moved.iter_mut().zip(&cold.answers) {
        job.generated = answer.iter().take(answer.len() / 2).copied().map(protocol::ids::TokenId).collect();
    }
    let begun: Vec<Vec<u32>> = moved.iter().map(|job| job.generated.iter().map(|token| token.0).collect()).collect();
    let rest = run(&mut other, moved).answers;
    let whole: Vec<Vec<u32>> = begun.into_iter().zip(rest).map(|(begun, rest)| [begun, rest].concat()).collect();
    check(&cases, &whole, F32_MARGIN);
}

#[test]
fn seeded_answers_are_the_same_in_any_company() {
    let cases: Vec<Case> = cases().into_iter().take(6).collect();
    let jobs = |from: usize| {
        cases.iter().enumerate().map(move |(number, case)| {
            let mut job = greedy(from + number, case);
            job.sampling.temperature = 0.8;
            job.sampling.top_p = 0.95;
            job.sampling.seed = 40 + number as u64;
            job.limits.max_tokens = protocol::units::Tokens(40);
            job
        })
    };
    let mut engine = start(Dtype::F32, |_| {});
    let alone: Vec<Vec<u32>> = jobs(0).flat_map(|job| run(&mut engine, vec![job]).answers).collect();
    assert_eq!(alone, run(&mut start(Dtype::F32, |_| {}), jobs(0).collect()).answers);
    assert_eq!(alone, run(&mut engine, jobs(100).collect()).answers, "from cached prefixes");
    let chunked = run(&mut start(Dtype::F32, |options| options.prefill_chunk = 7), jobs(0).collect());
    assert_eq!(alone, chunked.answers);
    let tight = run(
        &mut start(Dtype::F32, |options| options.kv = engine::options::KvSize::Blocks(Blocks(7))),
        jobs(0).collect(),
    );
    assert_eq!(alone, tight.answers);
    assert!(tight.preempted > 0, "the cache was meant to be too small");
    let mut other = jobs(0).next().unwrap();
    other.sampling.seed = 1;
    assert_ne!(run(&mut engine, vec![Job { key: golden::run::key(999), ..other }]).answers[0], alone[0]);
    assert!(engine.load().is_idle());
}
