//! What can go wrong, where, when and for how long.

use std::fmt;
use std::time::Duration;

use super::Random;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Towards {
    /// From a node to a coordinator, or from a coordinator to the one that has the budgets.
    Up,
    /// Back.
    Down,
    /// Both.
    Both,
}

/// Two machines that speak with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A node and a coordinator.
    Node(usize, usize),
    /// A coordinator and the one that has the budgets.
    Holder(usize),
}

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Machine {
    /// A coordinator's.
    Coordinator(usize),
    /// A node's.
    Node(usize),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A node is killed, and started anew when the fault ends.
    KillNode(usize),
    /// Likewise a coordinator.
    KillCoordinator(usize),
    /// A node's engine makes no step.
    Stall(usize),
    /// A node's engine is so many times as slow.
    Slow(usize, u32),
    /// A node's engine fails; the next one is there when the fault ends.
    EngineFails(usize),
    /// Nothing passes.
    Cut(Way, Towards),
    /// A connection breaks, and what was under way on it is lost.
    Break(usize, usize),
    /// Of a hundred packets so many are lost. What belongs to a stream is sent again, and comes later.
    Lose(Way, u64),
    /// Datagrams come twice.
    Double(Way),
    /// Packets come later by this.
    Late(Way, Duration),
    /// Datagrams overtake each other.
    Reorder(Way),
    /// Of a hundred batches of a node's cache events so many never come.
    LoseEvents(usize, usize, u64),
    /// A machine's clock jumps ahead.
    Jump(Machine, Duration),
    /// A coordinator's store takes nothing.
    FullDisk(usize),
}

impl Kind {
    /// All names.
    pub const NAMES: [&'static str; 14] = [
        "kill-node",
        "kill-coordinator",
        "stall",
        "slow",
        "engine-fails",
        "cut",
        "break",
        "lose",
        "double",
        "late",
        "reorder",
        "lose-events",
        "jump",
        "full-disk",
    ];

    /// What it is called.
    pub fn as_str(&self) -> &'static str {
        let place = match self {
            Self::KillNode(_) => 0,
            Self::KillCoordinator(_) => 1,
            Self::Stall(_) => 2,
            Self::Slow(..) => 3,
            Self::EngineFails(_) => 4,
            Self::Cut(..) => 5,
            Self::Break(..) => 6,
            Self::Lose(..) => 7,
            Self::Double(_) => 8,
            Self::Late(..) => 9,
            Self::Reorder(_) => 10,
            Self::LoseEvents(..) => 11,
            Self::Jump(..) => 12,
            Self::FullDisk(_) => 13,
        };
        Self::NAMES.get(place).copied().unwrap_or_default()
    }
}

/// Something goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its place in the list.
    pub number: u32,
    /// When.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
    /// What.
    pub kind: Kind,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node, coordinator) => write!(f, "n{node}-c{coordinator}"),
            Self::Holder(coordinator) => write!(f, "c{coordinator}-c0"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator(number) => write!(f, "c{number}"),
            Self::Node(number) => write!(f, "n{number}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{} {}", self.number, self.kind.as_str())?;
        match self.kind {
            Kind::KillNode(node) | Kind::Stall(node) | Kind::EngineFails(node) => write!(f, " n{node}")?,
            Kind::Slow(node, times) => write!(f, " n{node} {times} times")?,
            Kind::KillCoordinator(coordinator) | Kind::FullDisk(coordinator) => write!(f, " c{coordinator}")?,
            Kind::Cut(way, towards) => write!(f, " {way} {towards:?}")?,
            Kind::Break(node, coordinator) => write!(f, " n{node}-c{coordinator}")?,
            Kind::Lose(way, share) => write!(f, " {way} {share} %")?,
            Kind::Double(way) | Kind::Reorder(way) => write!(f, " {way}")?,
            Kind::Late(way, by) => write!(f, " {way} {by:?}")?,
            Kind::LoseEvents(node, coordinator, share) => write!(f, " n{node}-c{coordinator} {share} %")?,
            Kind::Jump(machine, by) => write!(f, " {machine} {by:?}")?,
        }
        write!(f, ", at {:?} for {:?}", self.at, self.lasts)
    }
}

/// What faults need to know of a cluster.
pub(super) struct Shape {
    pub(super) coordinators: usize,
    pub(super) nodes: usize,
    pub(super) calm: Duration,
}

pub(super) fn fault(seed: u64, number: u32, shape: &Shape) -> Fault {
    let mut random = Random::of(seed, 4, number.into());
    let node = random.below(shape.nodes as u64) as usize;
    let coordinator = random.below(shape.coordinators as u64) as usize;
    let between =
        if coordinator > 0 && random.percent(25) { Way::Holder(coordinator) } else { Way::Node(node, coordinator) };
    let machine = if random.percent(50) { Machine::Node(node) } else { Machine::Coordinator(coordinator) };
    let towards = random.one(&[Towards::Up, Towards::Down, Towards::Both]).unwrap_or(Towards::Both);
    let kind = match random.below(18) {
        0..3 => Kind::KillNode(node),
        3 => Kind::KillCoordinator(coordinator),
        4..6 => Kind::Stall(node),
        6 => Kind::Slow(node, random.within(3, 30) as u32),
        7 => Kind::EngineFails(node),
        8..10 => Kind::Cut(between, towards),
        10 => Kind::Break(node, coordinator),
        11 => Kind::Lose(between, random.within(10, 80)),
        12 => Kind::Double(between),
        13 => Kind::Late(between, random.millis(100, 3_000)),
        14 => Kind::Reorder(between),
        15 => Kind::LoseEvents(node, coordinator, random.within(10, 60)),
        16 => Kind::Jump(machine, random.millis(200, 15_000)),
        _ => Kind::FullDisk(coordinator),
    };
    let at = random.millis(500, (shape.calm.as_millis() as u64).saturating_sub(500));
    let most = shape.calm.saturating_sub(at);
    let lasts = if random.percent(30) { random.millis(100, 1_000) } else { random.millis(500, 8_000) };
    Fault { number, at, lasts: lasts.min(most), kind }
}
