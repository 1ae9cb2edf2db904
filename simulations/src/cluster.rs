//! Simulated nodes: mock engines that take virtual time for each step, and a coordinator that sees them
//! through reports of a certain age.

use std::collections::BTreeMap;
use std::time::Duration;

use actors::mock::{MockEngine, MockOptions};
use policy::placement::{Candidate, Sent, order};
use policy::restart::Jitter;
use protocol::engine::{Engine, Event, Load};
use protocol::ids::{JobKey, NodeId};
use protocol::units::Tokens;

use crate::work::Arrival;

/// How nodes are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// As the coordinator does: `policy::placement`.
    Load,
    /// By chance, to compare with.
    Random,
}

/// A simulated cluster.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Nodes.
    pub nodes: u32,
    /// Each of them.
    pub engine: MockOptions,
    /// How often they report.
    pub report_every: Duration,
    /// How they are chosen.
    pub placement: Placement,
    /// Decides all that is left to chance.
    pub seed: u64,
}

/// What came of a simulation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// From arrival to the first token, sorted.
    pub first_token: Vec<Duration>,
    /// Jobs that ended well.
    pub finished: u64,
    /// Jobs that nobody took.
    pub refused: u64,
    /// Tokens of all answers.
    pub tokens: u64,
    /// Jobs of each node.
    pub per_node: Vec<u64>,
    /// Until the last job ended.
    pub took: Duration,
}

impl Results {
    /// The time within which this share of the jobs had a first token.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let last = self.first_token.len().checked_sub(1)?;
        self.first_token.get((last as f64 * share).round() as usize).copied()
    }
}

struct Node {
    engine: MockEngine,
    /// When its step under way ends.
    busy_until: Option<Duration>,
    /// What that step will say.
    events: Vec<Event>,
    reported: Load,
    sent: Sent,
}

/// Runs a simulation to its end.
///
/// # Errors
/// An engine that fails: a fault was asked for, or its rules are broken.
pub fn simulate(setup: &Setup, arrivals: &[Arrival]) -> Result<Results, String> {
    let node = |_| Node {
        engine: MockEngine::new(setup.engine.clone()),
        busy_until: None,
        events: Vec::new(),
        reported: Load::default(),
        sent: Sent::default(),
    };
    let mut run = Run {
        nodes: (0..setup.nodes).map(node).collect(),
        random: Jitter::new(setup.seed),
        begun: BTreeMap::new(),
        results: Results { per_node: vec![0; setup.nodes as usize], ..Results::default() },
    };
    let mut due = arrivals.iter().peekable();
    let mut report = setup.report_every;
    loop {
        let step = run.nodes.iter().filter_map(|node| node.busy_until).min();
        let arrival = due.peek().map(|arrival| arrival.at);
        let Some(next) = [step, arrival].into_iter().flatten().min() else { break };
        // Steps end before reports are made, and reports are read before the next job is placed.
        if step.is_some_and(|step| step <= report.min(next)) {
            run.end_steps(next)?;
        } else if report <= next {
            run.report();
            report += setup.report_every;
        } else if let Some(arrival) = due.next() {
            run.place(setup, arrival)?;
        }
    }
    run.results.first_token.sort_unstable();
    Ok(run.results)
}

struct Run {
    nodes: Vec<Node>,
    random: Jitter,
    /// When jobs came, until their first token.
    begun: BTreeMap<JobKey, Duration>,
    results: Results,
}

impl Run {
    fn report(&mut self) {
        for node in &mut self.nodes {
            node.reported = node.engine.load();
            node.sent.on_report();
        }
    }

    fn place(&mut self, setup: &Setup, arrival: &Arrival) -> Result<(), String> {
        let candidate = |(id, node): (u64, &Node)| Candidate {
            node: NodeId(id),
            prefill: node.reported.prefill,
            context: node.reported.context,
            sent: node.sent.tokens(),
        };
        let blind =
            |candidate: Candidate| Candidate { prefill: Tokens(0), context: Tokens(0), sent: Tokens(0), ..candidate };
        let candidates = (0u64..).zip(&self.nodes).map(candidate);
        let candidates: Vec<Candidate> = match setup.placement {
            Placement::Load => candidates.collect(),
            Placement::Random => candidates.map(blind).collect(),
        };
        for id in order(candidates, || self.random.draw()) {
            let place = usize::try_from(id.0).unwrap_or(usize::MAX);
            let Some(node) = self.nodes.get_mut(place) else { continue };
            if node.engine.admit(arrival.job.clone()).is_err() {
                continue;
            }
            node.sent.add(Tokens::of(arrival.job.prompt.len()));
            self.begun.insert(arrival.job.key, arrival.at);
            if let Some(count) = self.results.per_node.get_mut(place) {
                *count += 1;
            }
            return node.start_step(arrival.at);
        }
        self.results.refused += 1;
        Ok(())
    }

    fn end_steps(&mut self, now: Duration) -> Result<(), String> {
        for node in &mut self.nodes {
            if node.busy_until.is_none_or(|until| until > now) {
                continue;
            }
            node.busy_until = None;
            for event in node.events.drain(..) {
                match event {
                    Event::Token { key, .. } => {
                        self.results.tokens += 1;
                        if let Some(came) = self.begun.remove(&key) {
                            self.results.first_token.push(now.saturating_sub(came));
                        }
                    }
                    Event::Finished { .. } => {
                        self.results.finished += 1;
                        self.results.took = now;
                    }
                    Event::Failed { key, error } => return Err(format!("job {key} failed: {error}")),
                    Event::Started { .. } => {}
                }
            }
            node.start_step(now)?;
        }
        Ok(())
    }
}

impl Node {
    /// Begins the next step, if there is work and none is under way.
    fn start_step(&mut self, now: Duration) -> Result<(), String> {
        if self.busy_until.is_some() || self.engine.load().is_idle() {
            return Ok(());
        }
        let progress = self.engine.step(&mut self.events).map_err(|error| error.to_string())?;
        self.busy_until = Some(now + progress.pace);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
