//! What a seed stands for: a cluster, its work and its faults, as lists that can be run in part.
//!
//! Rules: each piece of work and each fault is drawn from its own number, so that it stays what it is when others are
//! left out. Faults end before [`Plan::calm`].

use std::collections::BTreeSet;
use std::time::Duration;

use actors::mock::{MockOptions, Timing};
use protocol::job::Class;
use protocol::units::Nanos;

mod faults;

pub use faults::{Fault, Kind, Machine, Towards, Way};

/// The model that all nodes serve.
pub const MODEL: &str = "mock";
/// Tokens in a block.
pub const BLOCK: u32 = 8;
/// Keys that share a budget; the next one has none.
pub const KEYS: usize = 4;
/// What a token costs.
pub const PRICE: Nanos = Nanos(1_000_000);

/// Numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Of a seed and a place in it.
    pub fn of(seed: u64, stream: u64, number: u64) -> Self {
        let mut random = Self(seed ^ stream.rotate_left(24) ^ number.rotate_left(40));
        random.draw();
        random.draw();
        random
    }

    /// The next one.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// From `least` to `most`.
    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// With this chance in a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// So many milliseconds at least and at most.
    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_micros(self.within(least * 1000, most * 1000))
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of them.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len() as u64) as usize).copied()
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Its place in the list.
    pub number: u32,
    /// When it comes.
    pub at: Duration,
    /// To which coordinator first.
    pub to: usize,
    /// Whose it is.
    pub key: usize,
    /// How urgent it is.
    pub class: Class,
    /// Prompts of one group begin alike.
    pub group: u64,
    /// With so many tokens.
    pub shared: u32,
    /// So many follow that it has alone.
    pub own: u32,
    /// The longest answer.
    pub answer: u32,
    /// Of the sampler.
    pub seed: u64,
    /// Whether it draws.
    pub warm: bool,
    /// Whether the end token ends it.
    pub stops: bool,
    /// The client reads it as a whole: its tokens may come together.
    pub whole: bool,
    /// The client leaves so long after it came.
    pub leaves: Option<Duration>,
    /// A text ends the answer after so many tokens.
    pub enough: Option<u32>,
    /// The client comes again when it was told to.
    pub patient: bool,
}

/// A node's machine.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeShape {
    /// Its engine.
    pub engine: MockOptions,
    /// Prefill that may wait there.
    pub queue_tokens: u64,
}

/// All that a seed stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Coordinators; the first has the budgets.
    pub coordinators: usize,
    /// Nodes.
    pub nodes: Vec<NodeShape>,
    /// What each key may spend, and all together; none has no budget of its own.
    pub budgets: Vec<Option<Nanos>>,
    /// Of all.
    pub total: Nanos,
    /// Requests that may wait at a coordinator.
    pub queue: u32,
    /// What comes.
    pub work: Vec<Work>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// From then on nothing does.
    pub calm: Duration,
}

/// A part of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// These faults.
    pub faults: BTreeSet<u32>,
    /// This work.
    pub work: BTreeSet<u32>,
}

impl Plan {
    /// What a seed stands for.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::of(seed, 1, 0);
        let coordinators = random.one(&[1, 1, 2, 2, 3, 4]).unwrap_or(1);
        let most = if random.percent(20) { 12 } else { 5 };
        let count = random.within(1, most);
        let nodes: Vec<NodeShape> = (0..count).map(|number| node(seed, number)).collect();
        let budgets = (0..KEYS).map(|key| (key > 0).then(|| Nanos(random.within(200, 4_000) * PRICE.0))).collect();
        let total = Nanos(random.within(4_000, 40_000) * PRICE.0);
        let queue = random.one(&[4, 16, 64]).unwrap_or(16) as u32;
        let calm = random.millis(8_000, 20_000);
        let jobs = random.within(10, 20 + 10 * count);
        let work = (0..jobs as u32).map(|number| work(seed, number, calm, coordinators)).collect();
        let troubles = random.within(2, 10) as u32;
        let shape = faults::Shape { coordinators, nodes: nodes.len(), calm };
        let faults = (0..troubles).map(|number| faults::fault(seed, number, &shape)).collect();
        Self { seed, coordinators, nodes, budgets, total, queue, work, faults, calm }
    }

    /// A part of it.
    #[must_use]
    pub fn only(&self, only: &Only) -> Self {
        let mut part = self.clone();
        part.faults.retain(|fault| only.faults.contains(&fault.number));
        part.work.retain(|work| only.work.contains(&work.number));
        part
    }

    /// All of it, as a part.
    pub fn all(&self) -> Only {
        Only {
            faults: self.faults.iter().map(|fault| fault.number).collect(),
            work: self.work.iter().map(|work| work.number).collect(),
        }
    }
}

impl Only {
    /// Reads `f0,f3,w7`.
    ///
    /// # Errors
    /// A word that names neither a fault nor a request.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut only = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let wrong = || format!("--only {text}: '{word}' names neither a fault (f3) nor a request (w7)");
            let (kind, number) = word.split_at_checked(1).ok_or_else(wrong)?;
            let number = number.parse().map_err(|_| wrong())?;
            match kind {
                "f" => only.faults.insert(number),
                "w" => only.work.insert(number),
                _ => return Err(wrong()),
            };
        }
        Ok(only)
    }
}

impl std::fmt::Display for Only {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let faults = self.faults.iter().map(|number| format!("f{number}"));
        let all: Vec<String> = faults.chain(self.work.iter().map(|number| format!("w{number}"))).collect();
        f.write_str(&all.join(","))
    }
}

fn node(seed: u64, number: u64) -> NodeShape {
    let mut random = Random::of(seed, 2, number);
    let timing = Timing {
        prefill_per_token: Duration::from_micros(random.within(100, 1_000)),
        decode_per_step: Duration::from_micros(random.within(5_000, 30_000)),
        decode_per_sequence: Duration::from_micros(random.within(100, 1_000)),
        ..Timing::ZERO
    };
    let engine = MockOptions {
        model: MODEL.to_owned(),
        // Enough for the longest prompt and answer, so that none is cut short.
        blocks: random.within(48, 160) as u32,
        block: BLOCK,
        queue: random.within(2, 12) as u32,
        step_tokens: 64,
        prefill_chunk: 32,
        max_batch: random.within(1, 6) as u32,
        context: 384,
        timing,
        ..MockOptions::default()
    };
    NodeShape { engine, queue_tokens: random.within(200, 1_000) }
}

fn work(seed: u64, number: u32, calm: Duration, coordinators: usize) -> Work {
    let mut random = Random::of(seed, 3, number.into());
    let last = calm.as_millis() as u64;
    let at = random.millis(300, last);
    let answer = if random.percent(30) { random.within(60, 150) } else { random.within(1, 60) } as u32;
    Work {
        number,
        at,
        to: random.below(coordinators as u64) as usize,
        key: random.below(KEYS as u64) as usize,
        class: random.one(&Class::ALL).unwrap_or_default(),
        group: random.below(4),
        shared: if random.percent(60) { 8 * random.within(2, 8) as u32 } else { 0 },
        own: random.within(4, 80) as u32,
        answer,
        seed: random.draw(),
        warm: random.percent(50),
        stops: random.percent(50),
        whole: random.percent(40),
        leaves: random.percent(12).then(|| random.millis(20, 4_000)),
        enough: random.percent(10).then(|| random.within(1, u64::from(answer)) as u32),
        patient: random.percent(50),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_plan_is_what_it_was_in_the_whole() {
        let plan = Plan::of(7);
        assert_eq!(plan, Plan::of(7));
        assert_ne!(plan, Plan::of(8));
        let only = Only::parse("f1, w3,w4").unwrap();
        assert_eq!(only.to_string(), "f1,w3,w4");
        let part = plan.only(&only);
        assert_eq!((part.faults.len(), part.work.len()), (1, 2));
        assert_eq!(part.work[0], plan.work[3]);
        assert_eq!(plan.only(&plan.all()), plan);
    }

    #[test]
    fn what_is_no_part_is_named() {
        for wrong in ["x3", "f", "3", "w1,f-2", "é"] {
            assert!(Only::parse(wrong).unwrap_err().contains("names neither"), "{wrong}");
        }
    }

    #[test]
    fn every_kind_of_fault_comes_up_and_ends_in_time() {
        let mut kinds = BTreeSet::new();
        for seed in 0..200 {
            let plan = Plan::of(seed);
            assert!((1..=4).contains(&plan.coordinators) && (1..=12).contains(&plan.nodes.len()));
            for fault in &plan.faults {
                assert!(fault.at + fault.lasts <= plan.calm, "{fault:?}");
                kinds.insert(fault.kind.as_str());
            }
        }
        assert_eq!(kinds.len(), Kind::NAMES.len(), "{kinds:?}");
    }
}
