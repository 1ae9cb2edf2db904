//! A request's answer does not depend on the company it is computed in, to the last bit.

use protocol::config::{Dtype, KvQuantization, Quantization};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::Isa;
use crate::options::Backend;

/// Wide enough for the kernels of every instruction set.
fn wide() -> ModelConfig {
    ModelConfig { hidden: 64, heads: 6, kv_heads: 2, head_dim: 32, ffn: 96, ..config() }
}

fn below(random: &mut ChaCha8Rng, end: usize) -> usize {
    random.next_u32() as usize % end
}

/// Jobs of mixed length; some share the beginning of their prompt. Greedy, with log-probabilities.
fn jobs(count: usize, seed: u64) -> Vec<Job> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shared: Vec<u32> = (0..80).map(|_| below(&mut random, 64) as u32).collect();
    let mut make = |number: usize| {
        let common = [0, 0, 40, 70][below(&mut random, 4)];
        let own = 1 + below(&mut random, 40);
        let prompt = shared[..common].iter().copied().chain((0..own).map(|_| below(&mut random, 64) as u32)).collect();
        let mut job = job(number as u128, prompt, 1 + below(&mut random, 60) as u64);
        job.sampling.logprobs = Some(3);
        job
    };
    (0..count).map(&mut make).collect()
}

/// What each job says, in full, and how many preemptions there were.
fn answers(engine: &mut LocalEngine, jobs: &[Job]) -> (Vec<Vec<Event>>, u32) {
    let (mut waiting, mut events, mut preempted) = (jobs.iter(), Vec::new(), 0);
    let mut next = waiting.next();
    loop {
        while let Some(job) = next {
            match engine.admit(job.clone()) {
                Ok(_) => next = waiting.next(),
                Err(RefusalReason::QueueFull { .. }) => break,
                Err(other) => panic!("{other}"),
            }
        }
        if engine.load().is_idle() {
            break;
        }
        preempted += engine.step(&mut events).unwrap().preempted;
        engine.check_rules().unwrap();
    }
    assert_eq!(engine.load().blocks_used, Blocks(0));
    let of = |job: &Job| {
        let mine = events.iter().filter(|event| matches!(event, Event::Token { key, .. } if *key == job.key));
        mine.cloned().collect::<Vec<_>>()
    };
    (jobs.iter().map(of).collect(), preempted)
}

fn formats() -> Vec<EngineOptions> {
    let base = EngineOptions { block: 32, kv: KvSize::Blocks(Blocks(256)), ..options() };
    let weights = [
        (Dtype::F32, Quantization::None),
        (Dtype::Bf16, Quantization::None),
        (Dtype::Bf16, Quantization::Int8),
        (Dtype::Bf16, Quantization::Int4),
    ];
    let caches = [KvQuantization::None, KvQuantization::Int8];
    let all = weights.into_iter().flat_map(|(dtype, quantization)| {
        caches.map(|kv_quantization| EngineOptions { dtype, quantization, kv_quantization, ..base.clone() })
    });
    all.collect()
}

/// Logits are seen through log-probabilities: if one bit of a logit changed, some of these would.
#[test]
fn logits_have_the_same_bits_alone_together_in_chunks_on_threads_and_from_a_cached_prefix() {
    let jobs = jobs(24, 5);
    for format in formats() {
        for isa in Isa::available() {
            let options = EngineOptions { isa: Some(isa), ..format.clone() };
            let named = format!("{isa} {:?} {:?} {:?}", options.dtype, options.quantization, options.kv_quantization);
            let mut engine = start(wide(), &EngineOptions { prefill_chunk: 64, ..options.clone() });
            let alone: Vec<Vec<Event>> = jobs
                .iter()
                .flat_map(|job| answers(&mut start(wide(), &options), std::slice::from_ref(job)).0)
                .collect();
            assert_eq!(answers(&mut engine, &jobs).0, alone, "{named}: together");
            assert_eq!(answers(&mut engine, &jobs).0, alone, "{named}: from cached prefixes");
            let chunked = EngineOptions { prefill_chunk: 7, threads: Some(3), ..options.clone() };
            assert_eq!(answers(&mut start(wide(), &chunked), &jobs).0, alone, "{named}: in chunks");
            let tight = EngineOptions { kv: KvSize::Blocks(Blocks(8)), ..options.clone() };
            let (tight, preempted) = answers(&mut start(wide(), &tight), &jobs);
            assert_eq!(tight, alone, "{named}: with preemptions");
            assert!(preempted > 0, "the cache was meant to be too small");
        }
    }
}

#[test]
fn a_thousand_mixed_requests_get_the_answers_they_get_alone() {
    let jobs = jobs(1_000, 9);
    let options = EngineOptions { max_batch: 64, step_tokens: 256, queue: 2_000, ..formats().swap_remove(6) };
    let mut one = start(wide(), &options);
    let alone: Vec<Vec<Event>> = jobs.iter().flat_map(|job| answers(&mut one, std::slice::from_ref(job)).0).collect();
    let (together, _) = answers(&mut start(wide(), &options), &jobs);
    assert!(together == alone, "with room");
    let tight = EngineOptions { kv: KvSize::Blocks(Blocks(24)), ..options };
    let (together, preempted) = answers(&mut start(wide(), &tight), &jobs);
    assert!(together == alone && preempted > 0, "with {preempted} preemptions");
}

#[test]
fn libtorch_and_the_kernels_agree_on_what_is_probable() {
    let jobs = jobs(12, 3);
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let tolerance = if dtype == Dtype::F32 { 1e-4 } else { 0.3 };
        let kernels = EngineOptions { dtype, block: 32, ..options() };
        let libtorch = EngineOptions { backend: Backend::Libtorch, ..kernels.clone() };
        let (ours, _) = answers(&mut start(wide(), &kernels), &jobs);
        let (theirs, _) = answers(&mut start(wide(), &libtorch), &jobs);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            // The first token's distribution: later ones may follow another choice.
            let first = |events: &[Event]| match &events[0] {
                Event::Token { sampled, .. } => sampled.logprobs.clone().unwrap(),
                other => panic!("{other:?}"),
            };
            let (ours, theirs) = (first(ours), first(theirs));
            for ((_, ours), (_, theirs)) in ours.top.iter().zip(&theirs.top) {
                assert!((ours - theirs).abs() < tolerance, "{dtype:?}: {ours} and {theirs}");
            }
        }
    }
}
