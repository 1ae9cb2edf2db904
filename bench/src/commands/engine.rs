//! `bench engine`: the engine alone, per format, batch and context.

use std::time::Duration;

use engine::LocalEngine;
use engine::source::WeightSource;
use protocol::engine::Engine;

use crate::clock::Stopwatch;
use crate::drive::Drive;
use crate::error::BenchError;
use crate::figure::{Figure, rounded, say};
use crate::format::Format;
use crate::measure::{self, PEER_ANSWER, PEER_PREFILL, PEER_PROMPT, TTFT_PROMPT, TTFT_SHARED};
use crate::mixed::{self, Batching};
use crate::setting::Setting;
use crate::stats::{millis, per_second, percentile};
use crate::workload::Prompts;
use crate::{memory, model, split};

mod tables;

/// The median of so many times to the first token counts.
const REPEATS: usize = 3;
/// The mixed load that waste is measured on.
const REQUESTS: usize = 48;
const PROMPTS: (usize, usize) = (64, 1024);
const ANSWERS: (usize, usize) = (16, 128);

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setting: Setting,
    /// Formats: f32, bf16, int8, int4, each with +kv8 for 8-bit keys and values.
    #[arg(long, value_delimiter = ',', default_values_t = [Format::BF16, Format::INT8, Format::INT4])]
    formats: Vec<Format>,
    /// Sequences at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32, 64])]
    batches: Vec<u32>,
    /// Prompt tokens of every sequence.
    #[arg(long, value_delimiter = ',', default_values_t = [128, 1024, 4096])]
    contexts: Vec<u32>,
    /// Memory for keys and values, in MiB: what does not fit is left out.
    #[arg(long, default_value_t = 2048)]
    kv_mib: usize,
    /// Steps to measure, in which every sequence gets a token.
    #[arg(long, default_value_t = 48)]
    steps: usize,
    /// Only what the peers measure, and as they do: decode after prompts of 128 tokens, prefill of 512.
    #[arg(long)]
    as_peers: bool,
}

/// Runs it.
///
/// # Errors
/// The model cannot be opened, or the engine fails.
pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let source = model::open(&options.setting.model, options.setting.seed)?;
    let mut figures = Vec::new();
    let mut note = |figure: Figure| -> Result<(), BenchError> {
        if options.setting.json {
            say(&figure)?;
        }
        figures.push(figure);
        Ok(())
    };
    for (number, format) in options.formats.iter().enumerate() {
        if options.as_peers {
            as_peers(options, source.as_ref(), *format, &mut note)?;
        } else {
            alone(options, source.as_ref(), *format, number == 0, &mut note)?;
        }
    }
    if !options.setting.json {
        tables::print(&figures);
    }
    Ok(())
}

type Note<'a> = &'a mut dyn FnMut(Figure) -> Result<(), BenchError>;

fn as_peers(options: &Options, source: &dyn WeightSource, format: Format, note: Note<'_>) -> Result<(), BenchError> {
    let largest = options.batches.iter().copied().max().unwrap_or(1);
    let block = options.setting.block as usize;
    let room = (PEER_PROMPT + PEER_ANSWER + 2 * block) * largest as usize + PEER_PREFILL + 2 * block;
    let mut engine = start(options, source, format, room, largest, note)?;
    let mut prompts = Prompts::new(options.setting.seed, engine.card().vocabulary);
    let tok_s = measure::prefill(engine.as_mut(), &mut prompts, PEER_PREFILL)?;
    note(Figure { tokens: short(PEER_PREFILL), tok_s: Some(rounded(tok_s)), ..Figure::ours(format, "prefill") })?;
    for batch in &options.batches {
        let tok_s = measure::decode_as_peers(engine.as_mut(), &mut prompts, *batch)?;
        note(Figure { batch: Some(*batch), tok_s: Some(rounded(tok_s)), ..Figure::ours(format, "decode") })?;
    }
    Ok(())
}

fn alone(
    options: &Options,
    source: &dyn WeightSource,
    format: Format,
    first: bool,
    note: Note<'_>,
) -> Result<(), BenchError> {
    let setting = &options.setting;
    let fits = fitting(options, model::kv_bytes(source, format), source.config().context);
    let room = fits.iter().map(|fit| fit.room).max().unwrap_or(0).max(2 * (TTFT_PROMPT + PEER_PREFILL));
    let largest = options.batches.iter().copied().max().unwrap_or(1);
    let mut engine = start(options, source, format, room, largest, note)?;
    let local = engine.as_mut();
    let mut prompts = Prompts::new(setting.seed, local.card().vocabulary);
    let engine: &mut dyn Engine = local;

    eprintln!("{format}: prefill of {PEER_PREFILL} tokens");
    let tok_s = measure::prefill(engine, &mut prompts, PEER_PREFILL)?;
    note(Figure { tokens: short(PEER_PREFILL), tok_s: Some(rounded(tok_s)), ..Figure::ours(format, "prefill") })?;
    eprintln!("{format}: time to the first token");
    for shared in [0, TTFT_SHARED] {
        let mut times = Vec::new();
        let mut cached = 0;
        for _ in 0..REPEATS {
            let (time, found) = measure::first_token(engine, &mut prompts, TTFT_PROMPT, shared)?;
            times.push(time);
            cached = found;
        }
        let ms = Some(rounded(millis(percentile(&times, 50))));
        let cached = u32::try_from(cached).ok();
        note(Figure { tokens: short(TTFT_PROMPT), cached, ms, ..Figure::ours(format, "ttft") })?;
    }
    for Fit { batch, context, .. } in fits.iter().copied() {
        eprintln!("{format}: {batch} sequences of {context} tokens");
        let steps = measure::steady_steps(engine, &mut prompts, batch, context as usize, options.steps)?;
        let tok_s = per_second(steps.len() * batch as usize, steps.iter().sum::<Duration>());
        note(Figure {
            batch: Some(batch),
            context: Some(context),
            tok_s: Some(rounded(tok_s)),
            p50_ms: Some(rounded(millis(percentile(&steps, 50)))),
            p99_ms: Some(rounded(millis(percentile(&steps, 99)))),
            ..Figure::ours(format, "decode")
        })?;
    }
    if first {
        eprintln!("{format}: waste under {REQUESTS} requests of mixed lengths");
        let requests = mixed::requests(&mut prompts, REQUESTS, PROMPTS, ANSWERS);
        let carried = mixed::run(&mut Drive::new(engine), &mut prompts, &requests, Batching::Continuous)?;
        let percent = carried.waste.map(|waste| rounded(waste * 100.0));
        note(Figure { batch: Some(carried.most), percent, ..Figure::ours(format, "waste") })?;
    }
    let ends = [fits.first(), fits.iter().max_by_key(|fit| fit.batch)];
    for Fit { batch, context, .. } in ends.into_iter().flatten().copied() {
        eprintln!("{format}: where a step of {batch} sequences of {context} tokens goes");
        for (part, percent) in split::decode(local, &mut prompts, batch, context as usize)? {
            note(Figure {
                part: Some(part.as_str().to_owned()),
                batch: Some(batch),
                context: Some(context),
                percent: Some(rounded(percent)),
                ..Figure::ours(format, "split")
            })?;
        }
    }
    Ok(())
}

fn start(
    options: &Options,
    source: &dyn WeightSource,
    format: Format,
    room: usize,
    largest: u32,
    note: Note<'_>,
) -> Result<Box<LocalEngine>, BenchError> {
    eprintln!("{format}: loading {}", options.setting.model);
    memory::forget_peak();
    let watch = Stopwatch::start();
    let engine = model::start(source, &options.setting.options(format, room, largest))?;
    let ms = Some(rounded(millis(watch.elapsed())));
    let memory = memory::now();
    let mib = memory.map(|memory| rounded(memory.held));
    let peak_mib = memory.map(|memory| rounded(memory.peak));
    note(Figure { ms, mib, peak_mib, ..Figure::ours(format, "load") })?;
    Ok(engine)
}

fn short(count: usize) -> Option<u32> {
    u32::try_from(count).ok()
}

/// A batch whose keys and values fit, and the tokens of KV memory that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fit {
    batch: u32,
    context: u32,
    room: usize,
}

/// All that fit, longest contexts last.
fn fitting(options: &Options, bytes: usize, limit: usize) -> Vec<Fit> {
    let tokens = (options.kv_mib << 20) / bytes.max(1);
    let mut fits = Vec::new();
    for context in &options.contexts {
        for batch in &options.batches {
            let answer = answer_room(&options.setting, options.steps, *batch, *context);
            let room = *batch as usize * (*context as usize + answer);
            if room <= tokens && *context as usize + answer <= limit {
                fits.push(Fit { batch: *batch, context: *context, room });
            } else {
                eprintln!("left out: {batch} sequences of {context} tokens need room for {room}, {tokens} fit");
            }
        }
    }
    fits
}

/// Tokens that the first answer may have grown to once the last prompt is computed and all is measured.
fn answer_room(setting: &Setting, steps: usize, batch: u32, context: u32) -> usize {
    let prompts = batch as usize * context as usize;
    // A step hands out its tokens to the answers first, and the rest to prompts.
    let per_step = setting.step_tokens.saturating_sub(batch).min(setting.prefill_chunk).max(1) as usize;
    steps + prompts.div_ceil(per_step) + batch as usize + 2 * setting.block as usize
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn what_outgrows_memory_or_the_model_is_left_out() {
        let line = ["x", "--batches", "1,8", "--contexts", "128,4096", "--kv-mib", "512", "--steps", "16"];
        let options = Only::parse_from(line).options;
        let kept = |bytes, limit| -> Vec<(u32, u32)> {
            fitting(&options, bytes, limit).iter().map(|fit| (fit.batch, fit.context)).collect()
        };
        // 512 MiB at 46,080 bytes a token hold 11,650 tokens: one sequence of 4,096, not eight.
        assert_eq!(kept(46_080, 8192), [(1, 128), (8, 128), (1, 4096)]);
        assert_eq!(kept(46_080, 2048), [(1, 128), (8, 128)]);
        assert_eq!(kept(4_608, 8192).len(), 4);
    }
}
