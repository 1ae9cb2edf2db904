//! How many nodes a model needs, by what was asked of it lately: the recent requests, replayed on more or fewer nodes
//! that are as fast as those that are here.
//!
//! Rules: one replay at a time, on a thread of its own, so that requests never wait for it; whoever comes second is
//! told to come again. A replay is bounded in what it replays ([`ANSWERS`]) and in time ([`PATIENCE`], looked at
//! in every run all along). What is not known is said in the notes, not guessed in silence. An advice adds and removes no
//! nodes.
//!
//! Left to others: what is remembered (`actors::cluster::recent`), the search and the replay (`replay::plan`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actors::cluster::recent::Remembered;
use protocol::answer::{ErrorKind, JobError};
use protocol::config::{Basis, Breaker, Config, Model, Placement, Policy, Queue};
use protocol::manage::{Managed, ScaleAdvice, ScaleQuery, ScaleRow, Sure};
use protocol::units::{Nanos, Percent, Tokens};
use replay::plan::{Bounds, Outcome, Plan, Target, WhyNot, plan};
use replay::profile::Profile;
use replay::{Rule, Setup, SetupError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::server::{Parts, no_model};

mod fleet;
pub(crate) mod trace;

/// The most tokens of answers of one replay; the oldest requests are left out beyond it. A replay of so many takes a
/// second or two, and an advice has a dozen.
const ANSWERS: Tokens = Tokens(1_000_000);
/// How long an advice may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// When whoever finds another advice under way comes again.
const AGAIN: Duration = Duration::from_secs(5);
/// Fewer requests tell nothing.
const FEW: u64 = 100;
/// So many requests beyond the percentile make it more than chance.
const TAIL: f64 = 10.0;
/// Less time tells little of the hours to come.
const SHORT: Duration = Duration::from_secs(600);

/// What an advice needs of the settings.
#[derive(Debug)]
pub struct Scaling {
    one: Arc<Semaphore>,
    /// What a node costs for an hour, by model.
    hours: BTreeMap<String, Nanos>,
    currency: String,
    models: BTreeMap<String, Model>,
    placement: Placement,
    report_every: Duration,
    queue: Queue,
    breaker: Breaker,
}

impl Scaling {
    /// As the settings say.
    pub fn new(config: &Config) -> Self {
        let hour = |basis| match basis {
            Basis::Time { hour, .. } => Some(hour),
            Basis::Tokens(_) => None,
        };
        let prices = config.prices.models.iter();
        Self {
            one: Arc::new(Semaphore::new(1)),
            hours: prices.filter_map(|(name, price)| Some((name.clone(), hour(price.basis())?))).collect(),
            currency: config.prices.currency.clone(),
            models: config.models.clone(),
            placement: config.placement.clone(),
            report_every: config.health.report_every.0,
            queue: config.queue.clone(),
            breaker: config.breaker.clone(),
        }
    }

    /// Nodes of a kind behind a coordinator that is set as this one.
    fn setup(&self, profile: Profile) -> Setup {
        let rule = match self.placement.policy {
            Policy::Prefix => Rule::Prefix,
            Policy::LeastLoad => Rule::LeastLoad,
            Policy::RoundRobin => Rule::RoundRobin,
            Policy::Random => Rule::Random,
        };
        Setup {
            placement: self.placement.clone(),
            report_every: self.report_every,
            patience: self.queue.patience.0,
            queue: self.queue.clone(),
            breaker: self.breaker.clone(),
            ..Setup::new(profile, 1, rule)
        }
    }

    /// The right to replay, until it is dropped.
    fn take(&self) -> Result<OwnedSemaphorePermit, JobError> {
        Arc::clone(&self.one).try_acquire_owned().map_err(|_| {
            let message = "another advice is being worked out, and there is one at a time: ask again";
            JobError::new(ErrorKind::Busy, message).retry_after(AGAIN)
        })
    }
}

/// What was asked of a model lately, as a trace.
///
/// # Errors
/// There is no such model, or nothing was asked of it.
pub(crate) fn lines(parts: &Parts, model: Option<String>) -> Result<Managed, JobError> {
    let model = named(parts, model)?;
    let remembered = remembered(parts, &model)?;
    let trace = trace::of(&model, &remembered);
    Ok(Managed::ScaleTrace { block: trace.block, lines: trace::lines(&trace), model })
}

/// How many nodes would meet a target.
///
/// # Errors
/// There is no such model, nothing is known of it yet, or somebody else is being advised.
pub(crate) async fn advise(parts: &Parts, query: ScaleQuery) -> Result<ScaleAdvice, JobError> {
    let model = named(parts, query.model.clone())?;
    let machines = parts.shared.directory.machines(&model);
    if machines.is_empty() {
        let message = format!("no node serves '{model}' now: start one, or plan from a trace with simulations plan");
        return Err(JobError::new(ErrorKind::NoNode, message).retry_after(AGAIN));
    }
    let scaling = &parts.scaling;
    let hour = scaling.hours.get(&model).copied();
    let settings = scaling.models.get(&model).cloned().unwrap_or_default();
    let fleet = fleet::of(&model, &machines, &settings, hour).ok_or_else(|| {
        let message = format!("no node has measured yet how fast it is with '{model}': ask again after some requests");
        JobError::new(ErrorKind::Overloaded, message).retry_after(AGAIN)
    })?;
    let remembered = remembered(parts, &model)?;
    let permit = scaling.take()?;
    let mut notes = fleet.notes;
    if parts.upward.is_some() {
        notes.push("other coordinators use these nodes too: what they were asked is not in here".to_owned());
    }
    if hour.is_none() {
        notes.push(format!("what a node costs is not known: give gpu_hour in [prices.models.\"{model}\"]"));
    }
    let advice = ScaleAdvice {
        target: ScaleQuery { model: Some(model.clone()), ..query },
        model,
        nodes: u32::try_from(machines.len()).unwrap_or(u32::MAX),
        hour,
        currency: scaling.currency.clone(),
        speed: fleet.speed,
        room: Tokens(fleet.profile.blocks.0.saturating_mul(fleet.profile.block.0)),
        notes,
        ..ScaleAdvice::default()
    };
    let setup = scaling.setup(fleet.profile.clone());
    let profile = fleet.profile;
    let worked = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work(advice, &remembered, &profile, setup, PATIENCE)
    });
    worked.await.map_err(|error| JobError::new(ErrorKind::Internal, format!("the replay has failed: {error}")))?
}

/// The model that is meant.
fn named(parts: &Parts, model: Option<String>) -> Result<String, JobError> {
    let directory = &parts.shared.directory;
    match model {
        Some(model) if directory.card(&model).is_some() => Ok(model),
        Some(model) => Err(no_model(&model, directory)),
        None => {
            let all: Vec<String> = directory.models().into_iter().map(|card| card.model).collect();
            match all.as_slice() {
                [one] => Ok(one.clone()),
                [] => Err(JobError::new(ErrorKind::NoNode, "no node serves a model: start one").retry_after(AGAIN)),
                several => {
                    let message =
                        format!("model is left out, and there are several: name one of {}", several.join(", "));
                    Err(JobError::new(ErrorKind::Invalid, message).field("model"))
                }
            }
        }
    }
}

fn remembered(parts: &Parts, model: &str) -> Result<Remembered, JobError> {
    parts.shared.recent.of(model).ok_or_else(|| {
        let message = format!(
            "nothing was asked of '{model}' since this coordinator's start: ask again when something was, or plan from \
             a trace with simulations plan"
        );
        JobError::new(ErrorKind::Overloaded, message).retry_after(AGAIN)
    })
}

/// The replay; it takes its time.
fn work(
    mut advice: ScaleAdvice,
    remembered: &Remembered,
    profile: &Profile,
    setup: Setup,
    patience: Duration,
) -> Result<ScaleAdvice, JobError> {
    let mut trace = trace::of(&advice.model, remembered);
    let left_out = trace::shorten(&mut trace, ANSWERS);
    // What is counted is what is replayed.
    let left = usize::try_from(left_out.requests).unwrap_or(usize::MAX);
    let asked = remembered.asked.get(left..).unwrap_or_default();
    let unserved = trace::unserved(asked);
    let query = &advice.target;
    let target = Target {
        ttft: query.ttft,
        latency: query.latency,
        inter_token: query.inter_token,
        goodput: None,
        percentile: query.percentile,
        headroom: query.headroom,
    };
    let bounds = Bounds { first: advice.nodes, most: query.most };
    let (begun, mut rows) = (Instant::now(), BTreeMap::new());
    let replayed = replay::plan::run::within(setup, || Instant::now() - begun < patience);
    let outcome = plan(profile, &trace, &target, bounds, |nodes, trace| {
        let outcome = replayed(nodes, trace)?;
        rows.insert(nodes, row(nodes, &outcome, &target));
        Ok(outcome)
    });
    match outcome {
        Ok(Plan { nodes, why, .. }) => {
            advice.advised = nodes;
            advice.because = why.map(|why| match why {
                WhyNot::Impossible(why) => format!("{why}; more nodes alone do not help"),
                WhyNot::TooFew { .. } => why.to_string(),
            });
        }
        Err(SetupError::Stopped { .. }) => {
            let message =
                format!("the search was not over within {patience:?}: plan from the trace with simulations plan");
            advice.because = Some(message);
        }
        Err(error) => {
            return Err(JobError::new(ErrorKind::Internal, format!("the replay has failed: {error}")));
        }
    }
    advice.rows = rows.into_values().collect();
    advice.requests = trace.requests.len() as u64;
    advice.over = remembered.over.saturating_sub(left_out.since);
    advice.unserved = unserved;
    advice.measured = trace::measured(asked, advice.target.percentile);
    advice.sure = sure(&advice);
    if left_out.requests > 0 || remembered.forgotten > 0 {
        let older = left_out.requests.saturating_add(remembered.forgotten);
        advice.notes.push(format!("{older} older requests are left out"));
    }
    if unserved > 0 {
        let note = format!(
            "{unserved} requests found no node; their answers are taken to be as long as the others', and clients that \
             came again count again"
        );
        advice.notes.push(note);
    }
    if let Some(note) = mismatch(&advice) {
        advice.notes.push(note);
    }
    Ok(advice)
}

fn row(nodes: u32, outcome: &Outcome, target: &Target) -> ScaleRow {
    let share = |share: f64| Percent((share.clamp(0.0, 1.0) * 100.0).round() as u8);
    ScaleRow {
        nodes,
        meets: target.met_by(outcome),
        ttft: outcome.ttft.at(target.percentile),
        latency: outcome.latency.at(target.percentile),
        inter_token: outcome.inter_token.at(target.percentile),
        refused: outcome.refused,
        busy: share(outcome.busy),
        hits: share(outcome.hits),
    }
}

/// How much it can be relied on: by how many requests there were, how many of them lie beyond the percentile, and
/// over what time.
fn sure(advice: &ScaleAdvice) -> Sure {
    let beyond = advice.requests as f64 * (1.0 - advice.target.percentile.share());
    if advice.requests < FEW || beyond < 1.0 {
        Sure::Little
    } else if beyond < TAIL || advice.over < SHORT {
        Sure::Fairly
    } else {
        Sure::Well
    }
}

/// What clients saw is not what the replay says of as many nodes: then something is not as it is taken to be.
fn mismatch(advice: &ScaleAdvice) -> Option<String> {
    let (measured, row) = (advice.measured?, advice.row(advice.nodes)?);
    let replayed = row.ttft?;
    let (less, more) = (measured.min(replayed).as_secs_f64(), measured.max(replayed).as_secs_f64());
    // A few milliseconds are the network's.
    if advice.target.headroom.0 > 0 || more <= 2.0 * less || more - less < 0.02 {
        return None;
    }
    let percentile = advice.target.percentile;
    let shown = replay::plan::target::shown;
    Some(format!(
        "clients had a {percentile} of TTFT of {}, and the replay says {} for as many nodes: take the advice for a \
         direction",
        shown(measured),
        shown(replayed)
    ))
}

#[cfg(test)]
mod tests;
