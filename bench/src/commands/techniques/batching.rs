//! Continuous batching against static batching, on the same requests and with the same largest batch.
//!
//! Static batching is measured twice: as mildly as it can be done (who has ended is not computed any
//! more, but the place stays empty until all have ended) and as it is mostly done (the whole batch is
//! computed until its longest answer ends).

use engine::source::WeightSource;
use protocol::engine::Engine as _;

use super::Options;
use super::outcome::{Outcome, Wanted};
use crate::drive::Drive;
use crate::error::BenchError;
use crate::mixed::{self, Batching};
use crate::model;
use crate::stats::per_second;
use crate::workload::Prompts;

const PROMPT: (usize, usize) = (16, 256);
const ANSWER: (usize, usize) = (8, 512);

pub(super) fn run(options: &Options, source: &dyn WeightSource) -> Result<Vec<Outcome>, BenchError> {
    let batch = options.batch as usize;
    let room = batch * (PROMPT.1 + ANSWER.1 + 2 * options.setting.block as usize);
    let mut engine_options = options.setting.options(options.format, room, options.batch);
    engine_options.max_batch = options.batch;
    let mut engine = model::start(source, &engine_options)?;
    let vocabulary = engine.card().vocabulary;
    let requests =
        mixed::requests(&mut Prompts::new(options.setting.seed, vocabulary), options.requests, PROMPT, ANSWER);
    let mut prompts = Prompts::new(options.setting.seed.wrapping_add(1), vocabulary);
    let mut tok_s = |name: &str, batching| -> Result<f64, BenchError> {
        eprintln!("batching: {} requests, {name}", requests.len());
        let carried = mixed::run(&mut Drive::new(engine.as_mut()), &mut prompts, &requests, batching)?;
        Ok(per_second(carried.tokens, carried.time))
    };
    let mild = tok_s("static", Batching::Static(batch))?;
    let padded = tok_s("static with padding", Batching::Padded(batch))?;
    let continuous = tok_s("continuous", Batching::Continuous)?;
    let measure = format!("answers, batch {batch}, tok/s");
    let wanted = Wanted::More(150.0);
    Ok(vec![
        Outcome::new("continuous batching over static", measure.clone(), mild, continuous, wanted),
        Outcome::new("continuous batching over static, padded", measure, padded, continuous, wanted),
    ])
}
