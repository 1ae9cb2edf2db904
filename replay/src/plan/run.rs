//! A replay, as a plan asks for it: nodes of one kind, one coordinator, the cluster's own placement.

use crate::plan::outcome::{Answered, Outcome};
use crate::profile::Profile;
use crate::results::{self, Results};
use crate::rules::Rule;
use crate::run::{Setup, SetupError, simulate_while};
use crate::trace::Trace;

/// Replays traces on so many nodes of a kind, with the defaults of `cluster.toml`. The seed decides all that is left to
/// chance: the same gives the same.
pub fn on(profile: &Profile, seed: u64) -> impl Fn(u32, &Trace) -> Result<Outcome, SetupError> {
    with(Setup { seed, ..Setup::new(profile.clone(), 1, Rule::Prefix) })
}

/// Likewise, set as it is given; of each of its kinds there are so many nodes.
pub fn with(setup: Setup) -> impl Fn(u32, &Trace) -> Result<Outcome, SetupError> {
    within(setup, || true)
}

/// Likewise, for as long as `goes_on` says so: a run under way is stopped then, with [`SetupError::Stopped`].
pub fn within(setup: Setup, goes_on: impl Fn() -> bool) -> impl Fn(u32, &Trace) -> Result<Outcome, SetupError> {
    move |nodes, trace| {
        let mut setup = setup.clone();
        setup.kinds.iter_mut().for_each(|kind| kind.count = nodes);
        simulate_while(&setup, trace, &goes_on).map(|results| outcome(&results))
    }
}

/// What a target asks of it. What fits no node is refused like what nobody took in time.
pub fn outcome(results: &Results) -> Outcome {
    let done = results.records.iter().filter(|record| record.outcome == results::Outcome::Done);
    let answers: Vec<Answered> = done
        .filter_map(|record| Some(Answered { ttft: record.first?, latency: record.took, tokens: record.output }))
        .collect();
    let refused = results.records.len() - answers.len();
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let busy: f64 = results.nodes.iter().map(|node| node.busy.as_secs_f64()).sum();
    let (prompts, cached) = results.records.iter().fold((0, 0), |(prompts, cached), record| {
        let counted = record.outcome == results::Outcome::Done;
        let add = |sum: u64, tokens: u64| if counted { sum.saturating_add(tokens) } else { sum };
        (add(prompts, record.input.0), add(cached, record.cached.0))
    });
    let busy = share(busy, results.span.as_secs_f64() * results.nodes.len() as f64);
    Outcome::new(answers, refused, results.span, busy, share(cached as f64, prompts as f64))
}
