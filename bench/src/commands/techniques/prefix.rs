//! Prefix caching: the first token of a prompt of which most was asked before.

use protocol::engine::Engine as _;
use std::time::Duration;

use engine::source::WeightSource;

use super::Options;
use super::outcome::{Outcome, Wanted};
use crate::error::BenchError;
use crate::measure::{self, TTFT_PROMPT, TTFT_SHARED};
use crate::model;
use crate::stats::{millis, percentile};
use crate::workload::Prompts;

/// The median of so many counts.
const REPEATS: usize = 5;

pub(super) fn run(options: &Options, source: &dyn WeightSource) -> Result<Vec<Outcome>, BenchError> {
    eprintln!("prefix caching: the first token of {TTFT_PROMPT}");
    let room = 4 * (TTFT_PROMPT + options.setting.block as usize);
    let mut engine = model::start(source, &options.setting.options(options.format, room, 1))?;
    let mut prompts = Prompts::new(options.setting.seed, engine.card().vocabulary);
    let mut found = 0;
    let mut median = |shared| -> Result<Duration, BenchError> {
        let mut times = Vec::with_capacity(REPEATS);
        for _ in 0..REPEATS {
            let (time, cached) = measure::first_token(engine.as_mut(), &mut prompts, TTFT_PROMPT, shared)?;
            times.push(time);
            found = cached;
        }
        Ok(percentile(&times, 50))
    };
    // The first forward passes of a process are slower: they are nobody's.
    median(0)?;
    let (cold, warm) = (median(0)?, median(TTFT_SHARED)?);
    let measure = format!("first token of {TTFT_PROMPT}, {TTFT_SHARED} shared ({found} in whole blocks), ms");
    Ok(vec![Outcome::new("prefix caching", measure, millis(cold), millis(warm), Wanted::Share(10.0))])
}
