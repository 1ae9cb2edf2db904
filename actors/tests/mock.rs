//! The mock engine keeps every promise of the trait, and its words are text.

use std::time::Duration;

use actors::mock::{Faults, MockEngine, MockOptions, Timing, bundle};
use protocol::engine::contract::{Bench, PROMISES, Shape};
use protocol::engine::{Engine, Event};
use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Job, Limits, Sampling};
use protocol::units::Tokens;
use text::{Special, Text};

struct Mocks;

impl Bench for Mocks {
    fn engine(&self, shape: Shape) -> Box<dyn Engine> {
        let Shape { blocks, block, queue, step_tokens, prefill_chunk, max_batch, context } = shape;
        let options = MockOptions {
            blocks,
            block,
            queue,
            step_tokens,
            prefill_chunk,
            max_batch,
            context,
            ..MockOptions::default()
        };
        Box::new(MockEngine::new(options))
    }
}

fn job(prompt: Vec<TokenId>, max_tokens: u64) -> Job {
    Job {
        key: JobKey { request: RequestId(1), choice: 0, attempt: 0 },
        model: "mock".to_owned(),
        prompt,
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(max_tokens), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
        salt: [0; 16],
        priority: 0,
    }
}

#[test]
fn keeps_every_promise() {
    for promise in PROMISES {
        promise(&Mocks);
    }
}

#[test]
fn every_byte_survives_its_tokenizer() {
    let text = Text::new(bundle()).unwrap();
    let said = "Größe \"quoted\" back\\slash\ttab\n<end> \u{1f600}";
    let ids = text.encode(said, Special::Plain).unwrap();
    assert_eq!(ids.iter().map(|id| u8::try_from(id.0).unwrap()).collect::<Vec<_>>(), said.as_bytes());
    assert_eq!(text.encode("a<end>", Special::Parse).unwrap(), [TokenId(97), TokenId(256)]);
}

#[test]
fn answers_are_printable() {
    let mut engine = MockEngine::new(MockOptions::default());
    engine.admit(job(vec![TokenId(65); 10], 300)).unwrap();
    let mut events = Vec::new();
    while !engine.load().is_idle() {
        engine.step(&mut events).unwrap();
    }
    let tokens = events
        .iter()
        .filter_map(|event| if let Event::Token { sampled, .. } = event { Some(sampled.token.0) } else { None });
    assert_eq!(tokens.clone().count(), 300);
    for token in tokens {
        assert!(token == 256 || token == 10 || (32..127).contains(&token), "token {token} cannot be printed");
    }
}

#[test]
fn steps_cost_what_the_timing_says() {
    let timing = Timing {
        prefill_per_token: Duration::from_millis(2),
        decode_per_step: Duration::from_millis(30),
        decode_per_sequence: Duration::from_millis(5),
        ..Timing::ZERO
    };
    let mut engine = MockEngine::new(MockOptions { timing, ..MockOptions::default() });
    engine.admit(job(vec![TokenId(65); 10], 3)).unwrap();
    let mut paces = Vec::new();
    while !engine.load().is_idle() {
        paces.push(engine.step(&mut Vec::new()).unwrap().pace.as_millis());
    }
    assert_eq!(paces, [20, 35, 35], "ten prompt tokens, then two steps with one sequence");
}

#[test]
fn context_costs_time_in_prefill_and_in_decode() {
    let timing = Timing {
        // 1,024 ns for each 1,024 tokens: a nanosecond for each pair of tokens.
        prefill_per_context: Duration::from_nanos(1024),
        decode_per_context: Duration::from_micros(1024),
        ..Timing::ZERO
    };
    let mut engine = MockEngine::new(MockOptions { timing, prefill_chunk: 64, ..MockOptions::default() });
    engine.admit(job(vec![TokenId(65); 100], 3)).unwrap();
    let mut paces = Vec::new();
    while !engine.load().is_idle() {
        paces.push(engine.step(&mut Vec::new()).unwrap().pace.as_nanos());
    }
    let pairs = |from: u128, to: u128| (from..to).sum::<u128>();
    assert_eq!(paces, [pairs(0, 64), pairs(64, 100), 100_000, 101_000]);
}

#[test]
fn faults_come_when_they_are_told_to() {
    let with = |faults: Faults| {
        let mut engine = MockEngine::new(MockOptions { faults, ..MockOptions::default() });
        engine.admit(job(vec![TokenId(65); 10], 8)).unwrap();
        engine
    };
    let mut failing = with(Faults { fail_at: Some(2), ..Faults::default() });
    let outcomes: Vec<bool> = (0..3).map(|_| failing.step(&mut Vec::new()).is_ok()).collect();
    assert_eq!(outcomes, [true, true, false]);

    let mut stalling = with(Faults { stall_from: Some(1), ..Faults::default() });
    let idle: Vec<bool> = (0..3).map(|_| stalling.step(&mut Vec::new()).unwrap().is_idle()).collect();
    assert_eq!(idle, [false, true, true]);
    assert!(!stalling.load().is_idle(), "the job is still there");

    let mut poisoned = with(Faults { poison: Some(TokenId(65)), ..Faults::default() });
    let mut events = Vec::new();
    poisoned.step(&mut events).unwrap();
    assert!(matches!(events.last(), Some(Event::Failed { .. })), "{events:?}");
    assert_eq!(poisoned.load().blocks_used.0, 0);
}
