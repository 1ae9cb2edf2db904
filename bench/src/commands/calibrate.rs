//! `bench calibrate`: this engine on this machine, as a profile for simulations.
//!
//! What is measured: chunks of prompts at every depth, one prompt alone; and steps in which all sequences of a batch
//! decode, at several batches and contexts. Each is repeated, and the least time counts: other work on the machine
//! can only add. Two lines are laid through the points ([`fit`]), with the terms that a simulated node has: a time
//! for each prompt token and for the context before it; a time for the step, for each sequence and for its context.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::config::Model;
use protocol::engine::Engine;
use protocol::money::Money;
use protocol::units::{Blocks, Tokens};
use replay::profile::Profile;

use crate::clock;
use crate::error::BenchError;
use crate::format::Format;
use crate::model::{self, ModelChoice};
use crate::setting::Setting;
use crate::stats::millis;
use crate::table::Table;
use crate::workload::Prompts;

mod fit;
mod points;

use points::Point;

/// What to measure, and what the profile says beside it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setting: Setting,
    /// The format: f32, bf16, int8, int4, each with +kv8 for 8-bit keys and values.
    #[arg(long, default_value_t = Format::BF16)]
    format: Format,
    /// The longest prompt, in tokens: its chunks lie at every depth.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(2..))]
    prompt: u32,
    /// Sequences that decode at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8, 16, 32], value_parser = clap::value_parser!(u32).range(1..=1024))]
    batches: Vec<u32>,
    /// Tokens of context of each.
    #[arg(long, value_delimiter = ',', default_values_t = [128, 512, 1024], value_parser = clap::value_parser!(u32).range(1..))]
    contexts: Vec<u32>,
    /// Times that each is measured; the least counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Memory for keys and values, in MiB: what does not fit is left out, and the profile has room for so much.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    kv_mib: u32,
    /// The profile's name.
    #[arg(long, default_value = "troupe-cpu")]
    name: String,
    /// Dollars for an hour of such a node.
    #[arg(long)]
    hour: Money,
    /// Where that price comes from, with its date.
    #[arg(long)]
    price_source: String,
    /// Where the profile goes; standard output if left out.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// The model cannot be opened, the engine fails, or what was measured makes no profile.
pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let source = model::open(&options.setting.model, options.setting.seed)?;
    let token = model::kv_bytes(source.as_ref(), options.format).max(1);
    let room = ((options.kv_mib as usize) << 20) / token;
    let largest = points::largest(&options.batches);
    eprintln!("{}: loading {}", options.format, options.setting.model);
    let started = options.setting.options(options.format, room, largest);
    let mut local = model::start(source.as_ref(), &started)?;
    let engine: &mut dyn Engine = local.as_mut();
    let mut prompts = Prompts::new(options.setting.seed, engine.card().vocabulary);

    let context = engine.card().context.as_usize();
    let prompt = (options.prompt as usize).min(context.saturating_sub(1)).min(room);
    eprintln!("prefill: a prompt of {prompt} tokens, {} times", options.repeats);
    let prefill = points::prefill(engine, &mut prompts, prompt, options.repeats)?;
    let mut decode = Vec::new();
    for depth in &options.contexts {
        let answer = points::answer(&started, &options.batches, *depth, options.repeats);
        let needed = largest as usize * (*depth as usize + answer);
        if needed > room || *depth as usize + answer > context {
            eprintln!("left out: {largest} sequences of {depth} tokens need room for {needed}, {room} fit");
            continue;
        }
        eprintln!("decode: up to {largest} sequences of {depth} tokens");
        let depth = *depth as usize;
        decode.extend(points::decode(engine, &mut prompts, &options.batches, depth, answer, options.repeats)?);
    }
    let profile = profile(options, engine, room, &prefill, &decode)?;
    eprintln!("{}", table(&profile, &prefill, &decode));
    let text = profile.to_toml();
    Profile::parse(&options.name, &text).map_err(|error| BenchError::Nothing(error.to_string()))?;
    match &options.out {
        Some(path) => fs::write(path, text).map_err(|source| BenchError::Write { path: path.clone(), source }),
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

fn profile(
    options: &Options,
    engine: &dyn Engine,
    room: usize,
    prefill: &[Point],
    decode: &[Point],
) -> Result<Profile, BenchError> {
    let few = |what| BenchError::Nothing(format!("too few {what} for a line through them: give more of them"));
    let [token, depth] = fit::line(prefill).ok_or_else(|| few("chunks of a prompt"))?;
    let [step, sequence, context] = fit::line(decode).ok_or_else(|| few("batches and contexts"))?;
    let card = engine.card();
    let setting = &options.setting;
    let model = match &setting.model {
        ModelChoice::File(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        other => other.to_string(),
    };
    let source = format!(
        "measured by `cargo xtask bench calibrate` on {}: {model} in {}, {} threads, {}",
        clock::today(),
        options.format,
        setting.threads,
        processor(Path::new("/proc/cpuinfo")),
    );
    Ok(Profile {
        name: options.name.clone(),
        source,
        prefill: token,
        prefill_context: depth,
        step,
        sequence,
        sequence_context: context,
        blocks: Blocks::of(room / card.block.as_usize().max(1)),
        block: card.block,
        queue: Model::default().queue,
        batch: Model::default().max_batch,
        step_tokens: Tokens(setting.step_tokens.into()),
        chunk: Tokens(setting.prefill_chunk.into()),
        context: card.context,
        hour: options.hour.0,
        price_source: options.price_source.clone(),
    })
}

/// What the processor calls itself, as Linux says it.
fn processor(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// What was measured beside what the profile says.
fn table(profile: &Profile, prefill: &[Point], decode: &[Point]) -> Table {
    let mut table = Table::new(["", "sequences", "tokens before", "measured, ms", "profile, ms", "off, %"]);
    let prefill_terms = [profile.prefill, profile.prefill_context];
    let decode_terms = [profile.step, profile.sequence, profile.sequence_context];
    let mut rows = |what: &str, points: &[Point], terms: &[Duration]| {
        for point in points {
            let told = point.told(terms);
            table.row([
                format!("{what} of {}", point.tokens),
                point.sequences.to_string(),
                point.before.to_string(),
                format!("{:.2}", millis(point.least)),
                format!("{:.2}", millis(told)),
                format!("{:+.1}", (told.as_secs_f64() / point.least.as_secs_f64().max(1e-9) - 1.0) * 100.0),
            ]);
        }
    };
    rows("prefill", prefill, &prefill_terms);
    rows("decode", decode, &decode_terms);
    table
}

#[cfg(test)]
mod tests;
