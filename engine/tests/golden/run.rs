//! Runs jobs on the small real model.

use engine::options::{Backend, KvSize};
use engine::{EngineOptions, LocalEngine};
use protocol::config::{Dtype, KvQuantization, Quantization};
use protocol::engine::{Engine, Event};
use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Job, Limits, Logprobs, Sampling};
use protocol::units::{Blocks, Tokens};

use super::cases::{Case, model, stops};

/// What came of some jobs, in their order.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) answers: Vec<Vec<u32>>,
    /// Of each job's first token.
    pub(crate) logprobs: Vec<Option<Logprobs>>,
    pub(crate) cached: Vec<u64>,
    pub(crate) preempted: u32,
}

pub(crate) fn start(dtype: Dtype, change: impl FnOnce(&mut EngineOptions)) -> LocalEngine {
    let mut options = EngineOptions {
        name: "small".into(),
        dtype,
        quantization: Quantization::None,
        kv_quantization: KvQuantization::None,
        batch_invariant: true,
        backend: Backend::Kernels,
        device: "cpu".into(),
        kv: KvSize::Blocks(Blocks(256)),
        block: 32,
        context: None,
        step_tokens: 512,
        prefill_chunk: 256,
        max_batch: 64,
        queue: 256,
        threads: Some(1),
        isa: None,
    };
    change(&mut options);
    LocalEngine::load(&model(), &options).unwrap()
}

pub(crate) fn key(number: usize) -> JobKey {
    JobKey { request: RequestId(number as u128), choice: 0, attempt: 0 }
}

pub(crate) fn greedy(number: usize, case: &Case) -> Job {
    Job {
        key: key(number),
        model: "small".into(),
        prompt: case.prompt_ids.iter().copied().map(TokenId).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(64), min_tokens: Tokens(0), stop_ids: stops() },
        salt: [0; 16],
        priority: 0,
    }
}

pub(crate) fn run(engine: &mut LocalEngine, jobs: Vec<Job>) -> Outcome {
    let keys: Vec<JobKey> = jobs.iter().map(|job| job.key).collect();
    for job in jobs {
        engine.admit(job).unwrap();
    }
    let (mut events, mut preempted) = (Vec::new(), 0);
    while !engine.load().is_idle() {
        preempted += engine.step(&mut events).unwrap().preempted;
        engine.check_rules().unwrap();
    }
    assert_eq!(engine.load().blocks_used, Blocks(0));
    let tokens = |wanted: JobKey| {
        events.iter().filter_map(move |event| match event {
            Event::Token { key, sampled } if *key == wanted => Some(sampled),
            _ => None,
        })
    };
    let cached = |wanted: JobKey| {
        events.iter().find_map(|event| match event {
            Event::Started { key, cached } if *key == wanted => Some(cached.0),
            _ => None,
        })
    };
    Outcome {
        answers: keys.iter().map(|key| tokens(*key).map(|sampled| sampled.token.0).collect()).collect(),
        logprobs: keys.iter().map(|key| tokens(*key).next().and_then(|sampled| sampled.logprobs.clone())).collect(),
        cached: keys.iter().map(|key| cached(*key).unwrap()).collect(),
        preempted,
    }
}
