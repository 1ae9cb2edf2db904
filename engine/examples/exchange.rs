//! What it costs to hand cached blocks to another engine, beside computing them: `exchange MODEL.gguf`.
//!
//! For each format of the KV cache: prefill of 1,024 tokens, then export and import of their blocks.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use engine::LocalEngine;
use engine::options::{Backend, EngineOptions, KvSize};
use protocol::config::{KvQuantization, Model};
use protocol::engine::{BlockHash, Engine};
use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Job, Limits, Sampling};
use protocol::units::{Blocks, Tokens};

const TOKENS: u32 = 1024;
const ROUNDS: u32 = 5;

fn job(round: u32) -> Job {
    Job {
        key: JobKey { request: RequestId(round.into()), choice: 0, attempt: 0 },
        model: "m".to_owned(),
        prompt: (0..=TOKENS).map(|i| TokenId(1000 + (i * 31 + round * 7) % 20_000)).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(1), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
        salt: [0; 16],
        priority: 0,
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement takes the time that passes")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "as above")]
fn since(begun: Instant) -> Duration {
    begun.elapsed()
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: exchange MODEL.gguf")?;
    let bf16 =
        EngineOptions { kv: KvSize::Blocks(Blocks(512)), ..EngineOptions::new("m", &Model::default(), "cpu", None) };
    let int8 = EngineOptions { kv_quantization: KvQuantization::Int8, ..bf16.clone() };
    let libtorch = EngineOptions { backend: Backend::Libtorch, ..bf16.clone() };
    for options in [bf16, int8, libtorch] {
        measure(Path::new(&path), &options)?;
    }
    Ok(())
}

fn measure(path: &Path, options: &EngineOptions) -> Result<(), Box<dyn Error>> {
    let mut first = LocalEngine::load(path, options)?;
    let mut second = LocalEngine::load(path, options)?;
    let layout = first.layout();
    let (mut prefill, mut export, mut import) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let mut bytes = 0;
    for round in 0..ROUNDS {
        let job = job(round);
        let hashes: Vec<BlockHash> = BlockHash::chain(job.salt, &job.prompt, layout.block as usize).collect();
        let begun = now();
        first.admit(job)?;
        let mut events = Vec::new();
        while !first.load().is_idle() {
            first.step(&mut events)?;
        }
        prefill = prefill.min(since(begun));
        let begun = now();
        let mut blocks = Vec::new();
        first.export_blocks(&hashes, &mut blocks);
        export = export.min(since(begun));
        bytes = blocks.iter().map(|block| block.bytes.len()).sum();
        let begun = now();
        let imported = second.import_blocks(&layout, blocks);
        import = import.min(since(begun));
        if let Some(refusal) = imported.refused {
            return Err(refusal.into());
        }
    }
    let (mb, thousand) = (bytes as f64 / 1e6, 1000.0 / f64::from(TOKENS));
    let rate = |took: Duration| mb / took.as_secs_f64();
    let millis = |took: Duration| took.as_secs_f64() * 1000.0 * thousand;
    println!(
        "{}: {:.1} KB a token; export {:.0} MB/s, import {:.0} MB/s; per 1,000 tokens: export {:.1} ms, import {:.1} ms, prefill {:.0} ms",
        layout.format,
        bytes as f64 / 1e3 / f64::from(TOKENS),
        rate(export),
        rate(import),
        millis(export),
        millis(import),
        millis(prefill),
    );
    println!("  cheaper than prefill above {:.0} MB/s on the wire", mb * thousand / (millis(prefill) / 1000.0));
    Ok(())
}
