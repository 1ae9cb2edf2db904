//! Traces that nobody recorded: made from a seed, for what recorded ones do not show.
//!
//! Rules: the same plan gives the same trace, byte for byte. Arrivals, lengths, groups and times to think are drawn
//! each from an own sequence, so that other lengths do not move arrivals. Blocks are named 0, 1, 2.. in the order in
//! which they first come. The first request comes at 0.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use policy::restart::Jitter;
use protocol::units::{Span, Tokens};

use super::error::short;
use super::lengths::Lengths;
use super::read::{BLOCK, LONGEST, LONGEST_TIME};
use super::{Request, Trace};

mod agents;
mod arrivals;
mod check;
mod names;

use arrivals::Arrivals;
use names::{Name, Names};

pub use check::PlanError;

/// What a synthetic trace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Prompts begin with the text of one of several groups, as those of an application with system prompts do.
    SharedPrefix,
    /// No two prompts begin alike.
    NoSharing,
    /// Short prompts, long answers, nothing shared.
    DecodeHeavy,
    /// Prompts as under shared prefix, that come in bursts with silence between.
    Bursts,
    /// Conversations: each next prompt is the last one, its answer, and new text.
    Agents,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::SharedPrefix, Self::NoSharing, Self::DecodeHeavy, Self::Bursts, Self::Agents];

    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SharedPrefix => "shared-prefix",
            Self::NoSharing => "no-sharing",
            Self::DecodeHeavy => "decode-heavy",
            Self::Bursts => "bursts",
            Self::Agents => "agents",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("'{}' is no kind of trace: one of {}", short(text), known()))
    }
}

/// What a synthetic trace is made by. Fields that a kind has no use for say nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What it is for.
    pub kind: Kind,
    /// The same seed gives the same trace.
    pub seed: u64,
    /// Requests in all.
    pub requests: u32,
    /// Requests a second, in the mean.
    pub rate: f64,
    /// Tokens in a block.
    pub block: Tokens,
    /// What a prompt has for itself, beyond what it shares: for agents, the new text of each turn.
    pub input: Lengths,
    /// Answers.
    pub output: Lengths,
    /// Groups of prompts that begin alike: for agents, system prompts. 0 for none.
    pub groups: u32,
    /// With how many tokens they do; only whole blocks count as shared.
    pub prefix: Tokens,
    /// How unevenly the groups are asked: the n-th is asked in proportion to n to the power of -skew.
    pub skew: f64,
    /// How long a burst is, in the mean.
    pub on: Duration,
    /// How long nothing comes between two, in the mean.
    pub off: Duration,
    /// Requests of a conversation, in the mean.
    pub turns: f64,
    /// Time from an answer to the next request of its conversation, in the mean.
    pub think: Duration,
    /// What each token of an answer is taken to need before the next request can be asked.
    pub pace: Duration,
    /// A conversation ends before prompt and answer are longer than this.
    pub context: Tokens,
}

impl Plan {
    /// What is usual for a kind: 1,000 requests, one a second.
    pub fn new(kind: Kind) -> Self {
        let lengths = |mean: f64| Lengths::LogNormal { mean, sigma: 0.8 };
        let (input, output) = match kind {
            Kind::SharedPrefix | Kind::Bursts => (256.0, 256.0),
            Kind::NoSharing => (2048.0, 256.0),
            Kind::DecodeHeavy => (128.0, 1024.0),
            Kind::Agents => (512.0, 256.0),
        };
        let groups = match kind {
            Kind::SharedPrefix | Kind::Bursts => 32,
            Kind::Agents => 4,
            Kind::NoSharing | Kind::DecodeHeavy => 0,
        };
        Self {
            kind,
            seed: 1,
            requests: 1000,
            rate: 1.0,
            block: BLOCK,
            input: lengths(input),
            output: lengths(output),
            groups,
            prefix: Tokens(if groups == 0 { 0 } else { 2048 }),
            skew: 1.0,
            on: Duration::from_secs(10),
            off: Duration::from_secs(30),
            turns: 8.0,
            think: Duration::from_secs(10),
            pace: Duration::from_millis(20),
            context: Tokens(32_768),
        }
    }

    /// Makes the trace.
    ///
    /// # Errors
    /// Figures that make no trace.
    pub fn generate(&self) -> Result<Trace, PlanError> {
        check::check(self)?;
        let mut requests = match self.kind {
            Kind::Agents => agents::generate(self),
            _ => self.independent(),
        };
        let first = requests.first().map_or(Duration::ZERO, |request| request.at);
        for request in &mut requests {
            request.at -= first;
            if request.at > LONGEST_TIME {
                return Err(PlanError::Long { limit: Span(LONGEST_TIME) });
            }
        }
        Ok(Trace { name: format!("{}-{}", self.kind, self.seed), block: self.block, requests })
    }

    /// Requests that know nothing of each other but the groups.
    fn independent(&self) -> Vec<Request> {
        let mut arrivals = match self.kind {
            Kind::Bursts => Arrivals::bursts(self.stream(1), self.rate, self.on, self.off),
            _ => Arrivals::poisson(self.stream(1), self.rate),
        };
        let (mut inputs, mut outputs) = (self.stream(2), self.stream(3));
        let mut groups = Groups::new(self);
        let mut names = Names::default();
        let mut request = |number: u32| {
            let group = groups.draw();
            let own = self.input.draw(&mut inputs);
            let shared = group.map_or(Tokens::ZERO, |_| self.prefix);
            let input = Tokens((own + shared).0.min(LONGEST));
            let common = shared.0 / self.block.0;
            let blocks = (0..input.blocks(self.block).0).map(|at| match group {
                Some(group) if at < common => names.of(Name::Group(group, at)),
                _ => names.of(Name::Own(number.into(), at)),
            });
            let blocks = blocks.collect();
            Request { at: arrivals.draw(), input, output: self.output.draw(&mut outputs), blocks, session: None }
        };
        (0..self.requests).map(&mut request).collect()
    }

    /// A sequence of its own for each concern.
    fn stream(&self, concern: u64) -> Jitter {
        Jitter::new(self.seed.rotate_left(32) ^ concern.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }
}

/// Draws groups, the first ones more often.
#[derive(Debug)]
struct Groups {
    random: Jitter,
    /// The sum of the weights up to each.
    weights: Vec<f64>,
}

impl Groups {
    fn new(plan: &Plan) -> Self {
        let mut sum = 0.0;
        let weights = (1..=plan.groups).map(|number| {
            sum += f64::from(number).powf(-plan.skew);
            sum
        });
        Self { random: plan.stream(4), weights: weights.collect() }
    }

    /// None if there are no groups.
    fn draw(&mut self) -> Option<u64> {
        let drawn = self.random.draw() * self.weights.last()?;
        let at = self.weights.partition_point(|upto| *upto <= drawn);
        Some(at.min(self.weights.len() - 1) as u64)
    }
}
