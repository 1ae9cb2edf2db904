//! INT8 and INT4 weights: decode of one sequence, which is bound by reading the weights.

use protocol::engine::Engine as _;
use std::time::Duration;

use engine::source::WeightSource;

use super::Options;
use super::outcome::{Outcome, Wanted};
use crate::error::BenchError;
use crate::format::Format;
use crate::measure;
use crate::model;
use crate::stats::per_second;
use crate::workload::Prompts;

const FORMATS: [Format; 3] = [Format::BF16, Format::INT8, Format::INT4];
const CONTEXT: usize = 128;
const STEPS: usize = 48;

pub(super) fn run(options: &Options) -> Result<Vec<Outcome>, BenchError> {
    let model = &options.big;
    let source = model::open(model, options.setting.seed)?;
    let mut best = [0.0_f64; FORMATS.len()];
    for round in 1..=options.rounds {
        for (best, format) in best.iter_mut().zip(FORMATS) {
            eprintln!("weights, round {round} of {}: {format}", options.rounds);
            *best = best.max(decode(options, source.as_ref(), format)?);
        }
    }
    let [bf16, int8, int4] = best;
    let measure = format!("decode, batch 1, tok/s, {}", short(&model.to_string()));
    Ok(vec![
        Outcome::new("INT8 weights over bf16", measure.clone(), bf16, int8, Wanted::More(40.0)),
        Outcome::new("INT4 weights over bf16", measure, bf16, int4, Wanted::More(100.0)),
    ])
}

/// One engine at a time: the threads of another might wait busily.
fn decode(options: &Options, source: &dyn WeightSource, format: Format) -> Result<f64, BenchError> {
    let room = CONTEXT + 2 * STEPS + 4 * options.setting.block as usize;
    let mut engine = model::start(source, &options.setting.options(format, room, 1))?;
    let mut prompts = Prompts::new(options.setting.seed, engine.card().vocabulary);
    let mut best = 0.0_f64;
    for _ in 0..2 {
        let steps = measure::steady_steps(engine.as_mut(), &mut prompts, 1, CONTEXT, STEPS)?;
        best = best.max(per_second(steps.len(), steps.iter().sum::<Duration>()));
    }
    Ok(best)
}

/// The last part of a path.
fn short(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}
