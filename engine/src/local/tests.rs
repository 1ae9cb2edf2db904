use super::tiny::{Tiny, config, options};
use super::*;
use protocol::engine::contract::{self, Bench, Shape};
use protocol::ids::{RequestId, TokenId};
use protocol::job::{Limits, Sampling};

use crate::options::{Backend, EngineOptions, KvSize};
use crate::source::{Architecture, ModelConfig, RopeScaling};

mod company;
mod exchange;
mod hot;

fn job(number: u128, prompt: Vec<u32>, answer: u64) -> Job {
    Job {
        key: JobKey { request: RequestId(number), choice: 0, attempt: 0 },
        model: "tiny".into(),
        prompt: prompt.into_iter().map(TokenId).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(answer), min_tokens: Tokens(0), stop_ids: Vec::new() },
        salt: [0; 16],
        priority: 0,
    }
}

fn tokens(engine: &mut LocalEngine, job: Job) -> Vec<u32> {
    engine.admit(job).unwrap();
    let mut events = Vec::new();
    while !engine.load().is_idle() {
        engine.step(&mut events).unwrap();
        engine.check_rules().unwrap();
    }
    events
        .iter()
        .filter_map(|event| if let Event::Token { sampled, .. } = event { Some(sampled.token.0) } else { None })
        .collect()
}

fn start(config: ModelConfig, options: &EngineOptions) -> LocalEngine {
    LocalEngine::from_source(&Tiny::new(config), options).unwrap()
}

#[test]
fn every_switch_of_the_family_computes_the_same_in_chunks_and_at_once() {
    let qwen2 = ModelConfig { architecture: Architecture::Qwen2, qkv_bias: true, tied: false, ..config() };
    let qwen3 = ModelConfig { architecture: Architecture::Qwen3, qk_norm: true, head_dim: 16, ..config() };
    let mistral = ModelConfig { architecture: Architecture::Mistral, window: Some(5), ..config() };
    let mut llama3 = config();
    llama3.rope.scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 64.0 };
    let mut answers = Vec::new();
    for config in [config(), qwen2, qwen3, mistral, llama3] {
        let prompt: Vec<u32> = (0..29).map(|i| i * 5 % 64).collect();
        let whole = tokens(&mut start(config.clone(), &options()), job(1, prompt.clone(), 12));
        let chunked = EngineOptions { prefill_chunk: 7, ..options() };
        assert_eq!(
            whole,
            tokens(&mut start(config.clone(), &chunked), job(1, prompt, 12)),
            "{:?}",
            config.architecture
        );
        answers.push(whole);
    }
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 5, "each switch changes the answer");
}

#[test]
fn a_window_hides_what_lies_before_it() {
    let windowed = ModelConfig { architecture: Architecture::Mistral, layers: 1, window: Some(4), ..config() };
    let answer = |first: u32, config: &ModelConfig| {
        tokens(&mut start(config.clone(), &options()), job(1, vec![first, 2, 3, 4, 5, 6], 1))
    };
    assert_eq!(answer(0, &windowed), answer(60, &windowed));
    let logprobs = |first: u32| {
        let mut engine = start(ModelConfig { window: None, ..windowed.clone() }, &options());
        let mut job = job(1, vec![first, 2, 3, 4, 5, 6], 1);
        job.sampling.logprobs = Some(5);
        engine.admit(job).unwrap();
        let mut events = Vec::new();
        engine.step(&mut events).unwrap();
        events
    };
    assert_ne!(logprobs(0), logprobs(60));
}

#[test]
fn weights_that_are_not_numbers_fail_the_job_and_not_the_engine() {
    // The head is another tensor, so that only whoever reads the poisoned row is hurt.
    let mut source = Tiny::new(ModelConfig { tied: false, ..config() });
    source.poison();
    let mut engine = LocalEngine::from_source(&source, &options()).unwrap();
    engine.admit(job(1, vec![63], 4)).unwrap();
    engine.admit(job(2, vec![1], 4)).unwrap();
    let mut events = Vec::new();
    for _ in 0..10 {
        engine.step(&mut events).unwrap();
    }
    let keys = |wanted: fn(&Event) -> Option<JobKey>| {
        events.iter().filter_map(wanted).map(|key| key.request.0).collect::<Vec<_>>()
    };
    let failed = keys(|event| if let Event::Failed { key, .. } = event { Some(*key) } else { None });
    let finished = keys(|event| if let Event::Finished { key, .. } = event { Some(*key) } else { None });
    assert_eq!((failed, finished), (vec![1], vec![2]));
    assert!(engine.load().is_idle());
    assert_eq!(engine.load().blocks_used, Blocks(0));
    // Its blocks are clean for whoever gets them next, and nothing of it is found as a prefix.
    let prompt: Vec<u32> = (0..20).map(|token| if token == 0 { 63 } else { token }).collect();
    engine.admit(job(3, prompt, 4)).unwrap();
    for _ in 0..4 {
        engine.step(&mut events).unwrap();
    }
    for number in 4..68 {
        assert_eq!(tokens(&mut engine, job(number, vec![1; 9], 2)).len(), 2);
    }
}

/// What became of jobs: who failed and who finished, by number.
fn ends(events: &[Event]) -> (Vec<u128>, Vec<u128>) {
    let (mut failed, mut finished) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Failed { key, .. } => failed.push(key.request.0),
            Event::Finished { key, .. } => finished.push(key.request.0),
            _ => {}
        }
    }
    finished.sort_unstable();
    (failed, finished)
}

fn drain(engine: &mut LocalEngine, events: &mut Vec<Event>) {
    for _ in 0..200 {
        if engine.load().is_idle() {
            return;
        }
        engine.step(events).unwrap();
    }
    panic!("work is left: {:?}", engine.load());
}

/// An engine for which token 63 is poison.
fn poisoned(options: &EngineOptions) -> LocalEngine {
    let mut source = Tiny::new(ModelConfig { tied: false, ..config() });
    source.poison();
    LocalEngine::from_source(&source, options).unwrap()
}

#[test]
fn blocks_of_a_failed_or_cancelled_job_do_not_hurt_the_next_one() {
    blocks_are_left_clean(&options());
    let kv_quantization = protocol::config::KvQuantization::Int8;
    blocks_are_left_clean(&EngineOptions { kv_quantization, ..options() });
    blocks_are_left_clean(&EngineOptions { dtype: protocol::config::Dtype::Bf16, ..options() });
}

fn blocks_are_left_clean(options: &EngineOptions) {
    // One block: the second job gets what the first one left.
    let one = EngineOptions { kv: KvSize::Blocks(Blocks(1)), prefill_chunk: 3, ..options.clone() };
    for cancelled in [false, true] {
        let mut engine = poisoned(&one);
        let mut events = Vec::new();
        engine.admit(job(1, vec![63; 5], 2)).unwrap();
        engine.step(&mut events).unwrap();
        if cancelled {
            assert!(engine.cancel(job(1, vec![0], 1).key).is_some());
        }
        drain(&mut engine, &mut events);
        engine.admit(job(2, vec![1], 4)).unwrap();
        drain(&mut engine, &mut events);
        assert_eq!(ends(&events), (if cancelled { vec![] } else { vec![1] }, vec![2]), "cancelled: {cancelled}");
    }
}

#[test]
fn a_failing_job_does_not_hurt_those_whose_tables_are_padded_beside_it() {
    a_failing_job_hurts_nobody(&options());
    let quantization = protocol::config::Quantization::Int8;
    a_failing_job_hurts_nobody(&EngineOptions { quantization, ..options() });
}

fn a_failing_job_hurts_nobody(options: &EngineOptions) {
    // The poison lies in block 0; two answers with tables of 3 and 4 blocks are computed together.
    let mut engine = poisoned(options);
    let mut events = Vec::new();
    engine.admit(job(1, vec![63; 40], 2)).unwrap();
    engine.admit(job(2, vec![2; 25], 6)).unwrap();
    engine.admit(job(3, vec![3; 17], 6)).unwrap();
    drain(&mut engine, &mut events);
    assert_eq!(ends(&events), (vec![1], vec![2, 3]));
}

#[test]
fn a_broken_engine_takes_nothing_in() {
    let mut engine = start(config(), &options());
    engine.broken = Some(EngineError::Invariant("made up".into()));
    assert!(engine.step(&mut Vec::new()).is_err());
    assert_eq!(engine.admit(job(1, vec![1], 1)), Err(RefusalReason::NotReady));
}

/// Of either backend.
struct TinyBench(Backend);

impl Bench for TinyBench {
    fn engine(&self, shape: Shape) -> Box<dyn Engine> {
        let options = EngineOptions {
            kv: KvSize::Blocks(Blocks(shape.blocks.into())),
            block: shape.block,
            context: Some(shape.context),
            step_tokens: shape.step_tokens,
            prefill_chunk: shape.prefill_chunk,
            max_batch: shape.max_batch,
            queue: shape.queue,
            backend: self.0,
            ..options()
        };
        Box::new(start(config(), &options))
    }
}

#[test]
fn it_keeps_every_promise_of_an_engine() {
    contract::all(&TinyBench(Backend::Kernels));
}

#[test]
fn it_keeps_every_promise_of_an_engine_in_libtorch() {
    contract::all(&TinyBench(Backend::Libtorch));
}

#[test]
fn libtorch_fails_a_spoilt_job_alone_and_leaves_its_blocks_clean() {
    let libtorch = EngineOptions { backend: Backend::Libtorch, ..options() };
    a_failing_job_hurts_nobody(&libtorch);
    blocks_are_left_clean(&libtorch);
}
