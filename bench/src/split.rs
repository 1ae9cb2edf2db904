//! Where the time of decode steps goes, part by part.

use std::time::Duration;

use engine::LocalEngine;
use engine::profile::Part;
use protocol::engine::Engine;

use crate::clock;
use crate::error::BenchError;
use crate::workload::{Prompts, job};

/// Steps that are measured.
const STEPS: usize = 24;

/// The share of each part in steps in which `batch` sequences get a token each, in hundredths.
///
/// # Errors
/// The engine fails, or has no room for so many.
pub(crate) fn decode(
    engine: &mut LocalEngine,
    prompts: &mut Prompts,
    batch: u32,
    context: usize,
) -> Result<Vec<(Part, f64)>, BenchError> {
    let keys: Vec<_> = (0..batch)
        .map(|number| {
            let job = job(u128::from(number), prompts.next(context), engine.card().context.0 - context as u64);
            let key = job.key;
            engine.admit(job).map(|_| key)
        })
        .collect::<Result<_, _>>()?;
    let mut events = Vec::new();
    loop {
        let progress = engine.step(&mut events)?;
        if progress.prefill.0 == 0 && progress.decoded == batch {
            break;
        }
        if progress.is_idle() {
            return Err(BenchError::Nothing(format!("{batch} sequences of {context} tokens do not run together")));
        }
    }
    engine.profile().start(clock::since_first);
    for _ in 0..STEPS {
        events.clear();
        engine.step(&mut events)?;
    }
    let spent = engine.profile().spent();
    for key in keys {
        engine.cancel(key);
    }
    let all: Duration = spent.iter().map(|(_, spent)| *spent).sum();
    let share = |spent: Duration| 100.0 * spent.as_secs_f64() / all.as_secs_f64().max(1e-9);
    Ok(spent.into_iter().map(|(part, spent)| (part, share(spent))).collect())
}
