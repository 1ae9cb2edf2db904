//! Paged KV memory against contiguous reservation, at the same memory.
//!
//! Contiguous reservation is paging with one page per sequence, as large as the longest context: the same
//! scheduler and the same kernels, so nothing but the reservation differs.

use engine::source::WeightSource;
use protocol::engine::Engine as _;

use super::Options;
use super::outcome::{Outcome, Wanted};
use crate::drive::Drive;
use crate::error::BenchError;
use crate::mixed::{self, Batching, Carried};
use crate::model;
use crate::workload::Prompts;

/// Lengths: no request comes near the context that is reserved for it, as in chats.
const PROMPT: (usize, usize) = (128, 1536);
const ANSWER: (usize, usize) = (32, 256);

pub(super) fn run(options: &Options, source: &dyn WeightSource) -> Result<Vec<Outcome>, BenchError> {
    let contiguous = carry(options, source, options.reserve)?;
    let paged = carry(options, source, options.setting.block)?;
    let technique = "paged KV over contiguous";
    let flight = |most: &Carried| f64::from(most.most);
    let mut outcomes = vec![
        Outcome::new(technique, "requests in flight, most", flight(&contiguous), flight(&paged), Wanted::More(200.0)),
        Outcome::new(technique, "requests in flight, mean", contiguous.mean, paged.mean, Wanted::More(200.0)),
    ];
    if let (Some(off), Some(on)) = (contiguous.waste, paged.waste) {
        outcomes.push(Outcome::new(technique, "KV memory wasted, %", off * 100.0, on * 100.0, Wanted::Below(4.0)));
    }
    Ok(outcomes)
}

fn carry(options: &Options, source: &dyn WeightSource, block: u32) -> Result<Carried, BenchError> {
    let context = options.reserve.min(u32::try_from(source.config().context).unwrap_or(u32::MAX));
    let tokens = options.contexts as usize * options.reserve as usize;
    eprintln!("paging: blocks of {block} tokens in memory for {tokens}");
    let mut setting = options.setting.clone();
    setting.block = block;
    let sequences = u32::try_from(options.paging_requests).unwrap_or(u32::MAX).max(1);
    let mut engine_options = setting.options(options.format, tokens, sequences);
    engine_options.context = Some(context);
    let mut engine = model::start(source, &engine_options)?;
    let mut prompts = Prompts::new(setting.seed, engine.card().vocabulary);
    let room = context.saturating_sub(ANSWER.1 as u32).max(1) as usize;
    let requests =
        mixed::requests(&mut prompts, options.paging_requests, (PROMPT.0.min(room), PROMPT.1.min(room)), ANSWER);
    let carried = mixed::run(&mut Drive::new(engine.as_mut()), &mut prompts, &requests, Batching::Continuous)?;
    if carried.preempted > 0 {
        eprintln!("paging: {} preemptions", carried.preempted);
    }
    Ok(carried)
}
