//! Simulated nodes: mock engines that take virtual time for each step, and a coordinator that sees them
//! through reports of a certain age, and their caches through what they say of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actors::mock::{MockEngine, MockOptions};
use policy::placement::ledger::{Ledger, Ticket};
use policy::placement::routed::Routed;
use policy::placement::{Candidate, Policy, Prompt, Settings, choose};
use policy::rates::{Estimator, Step};
use policy::restart::Jitter;
use protocol::engine::{BlockHash, CacheEvent, Engine, Event, Load};
use protocol::ids::{JobKey, NodeId};
use protocol::message::Rates;
use protocol::units::{Blocks, Tokens};

use crate::work::Arrival;

/// Blocks of prompts on their way that the coordinator remembers.
const ROUTED: usize = 65_536;

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
    pub placement: Policy,
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
    /// Prompt tokens that were found in a cache.
    pub hits: u64,
    /// Prompt tokens that were believed to be.
    pub predicted: u64,
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
    speed: Estimator,
    reported: Load,
    rates: Rates,
    /// What it said is cached.
    cached: BTreeSet<BlockHash>,
    ledger: Ledger,
    jobs: BTreeMap<JobKey, Ticket>,
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
        speed: Estimator::default(),
        reported: Load::default(),
        rates: Rates::default(),
        cached: BTreeSet::new(),
        ledger: Ledger::default(),
        jobs: BTreeMap::new(),
    };
    let placement = protocol::config::Placement { policy: setup.placement, ..Default::default() };
    let mut run = Run {
        nodes: (0..setup.nodes).map(node).collect(),
        settings: Settings::from(&placement),
        routed: Routed::new(ROUTED, placement.foresight.0),
        turn: 0,
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
            run.report(report);
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
    settings: Settings,
    routed: Routed,
    turn: u64,
    random: Jitter,
    /// When jobs came, until their first token.
    begun: BTreeMap<JobKey, Duration>,
    results: Results,
}

impl Run {
    fn report(&mut self, now: Duration) {
        for node in &mut self.nodes {
            node.reported = node.engine.load();
            node.rates = node.speed.rates();
            node.ledger.on_report(now);
        }
    }

    fn place(&mut self, setup: &Setup, arrival: &Arrival) -> Result<(), String> {
        let Arrival { at, job } = arrival;
        let block = Tokens(setup.engine.block.into());
        let chain: Vec<BlockHash> = BlockHash::chain(job.salt, &job.prompt, block.as_usize()).collect();
        let prompt = Prompt { tokens: Tokens::of(job.prompt.len()), answer: job.limits.max_tokens, block };
        let mut candidates: Vec<Candidate> =
            (0u64..).zip(&self.nodes).map(|(id, node)| node.candidate(NodeId(id), &chain, block)).collect();
        for candidate in &mut candidates {
            let stored = candidate.cached.unwrap_or_default().0 / block.0.max(1);
            let reached = self.routed.reach(*at, candidate.node, &chain, Blocks(stored));
            candidate.cached = Some(Tokens(reached.0 * block.0));
        }
        // Whoever refuses is asked no more.
        while let Some(decision) = {
            self.turn += 1;
            choose(&prompt, &candidates, &self.settings, self.turn, &mut || self.random.draw())
        } {
            let Some(choice) = decision.choices.first() else { break };
            let place = usize::try_from(choice.node.0).unwrap_or(usize::MAX);
            let Some(node) = self.nodes.get_mut(place) else { break };
            let Ok(grant) = node.engine.admit(job.clone()) else {
                candidates.retain(|candidate| candidate.node != choice.node);
                continue;
            };
            self.routed.note(*at, choice.node, &chain, Blocks(choice.cached.0 / block.0.max(1)));
            self.results.predicted += choice.cached.0;
            let ticket = node.ledger.enter(prompt.tokens - grant.cached.max(choice.cached));
            node.ledger.granted(*at, ticket);
            node.jobs.insert(job.key, ticket);
            self.begun.insert(job.key, *at);
            if let Some(count) = self.results.per_node.get_mut(place) {
                *count += 1;
            }
            return node.start_step(*at);
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
            node.hear();
            for event in node.events.drain(..) {
                match event {
                    Event::Token { key, .. } => {
                        self.results.tokens += 1;
                        if let Some(ticket) = node.jobs.get(&key) {
                            node.ledger.computed(*ticket);
                        }
                        if let Some(came) = self.begun.remove(&key) {
                            self.results.first_token.push(now.saturating_sub(came));
                        }
                    }
                    Event::Finished { key, .. } => {
                        if let Some(ticket) = node.jobs.remove(&key) {
                            node.ledger.ended(ticket);
                        }
                        self.results.finished += 1;
                        self.results.took = now;
                    }
                    Event::Failed { key, error } => return Err(format!("job {key} failed: {error}")),
                    Event::Started { cached, .. } => self.results.hits += cached.0,
                }
            }
            node.start_step(now)?;
        }
        Ok(())
    }
}

impl Node {
    /// Itself as the coordinator sees it.
    fn candidate(&self, node: NodeId, chain: &[BlockHash], block: Tokens) -> Candidate {
        let stored = chain.iter().take_while(|hash| self.cached.contains(hash)).count() as u64;
        let card = self.engine.card();
        Candidate {
            node,
            cached: Some(Tokens(stored * block.0)),
            session: None,
            load: self.reported,
            oldest: Duration::ZERO,
            rates: self.rates,
            sent: self.ledger.sent(),
            jobs: card.jobs,
            blocks: card.blocks,
            open: false,
        }
    }

    /// Takes in what its cache stored and removed.
    fn hear(&mut self) {
        let mut said = Vec::new();
        self.engine.cache_events(&mut said);
        for event in said {
            match event {
                CacheEvent::Cleared => self.cached.clear(),
                CacheEvent::Stored { hash, .. } => drop(self.cached.insert(hash)),
                CacheEvent::Removed { hash } => drop(self.cached.remove(&hash)),
            }
        }
    }

    /// Begins the next step, if there is work and none is under way.
    fn start_step(&mut self, now: Duration) -> Result<(), String> {
        if self.busy_until.is_some() || self.engine.load().is_idle() {
            return Ok(());
        }
        let progress = self.engine.step(&mut self.events).map_err(|error| error.to_string())?;
        self.speed.observe(Step { prefill: progress.prefill, decoded: progress.decoded, took: progress.pace });
        self.busy_until = Some(now + progress.pace);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
