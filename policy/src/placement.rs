//! Which node is asked first: the one where a prompt costs least time.
//!
//! Rules:
//! - The cost of a node is a time: what must be computed there, what waits there, and what the answer takes
//!   there and takes from the others ([`cost`]). Loads are in tokens and jobs, rates as the node measured
//!   them. What was sent since a node's last report is added ([`ledger`]).
//! - A request stays with its prefix until somewhere else is sooner by more than a margin, so that noise
//!   does not make a conversation wander. The margin is never more than what the prefix saves.
//! - Where every node is saturated, a request waits at its prefix: to compute it a second time would make
//!   the cluster slower still. It does not wait there for ever: see [`Settings::pin`].
//! - A node without room ranks behind one with room.
//! - Equals are told apart by chance, so that no node is favoured for its place in a list.
//! - A node is believed within its card, and gains nothing by figures that cannot be.
//! - Time and memory grow with the number of candidates, once.

use std::cmp::Ordering;
use std::time::Duration;

use protocol::engine::Load;
use protocol::ids::NodeId;
use protocol::message::Rates;
use protocol::units::{Blocks, Tokens};

pub use protocol::config::Policy;

mod claims;
pub mod cost;
pub mod ledger;
mod pace;
pub mod roster;
mod routed;
pub mod sessions;
mod standing;

use claims::Claims;
use cost::{Bar, Price, Yardstick};
use ledger::Sent;
use standing::Standing;

/// What is to be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its tokens, with those of the answer so far.
    pub tokens: Tokens,
    /// The longest answer that may still come.
    pub answer: Tokens,
    /// Tokens in a block.
    pub block: Tokens,
}

/// A node that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub node: NodeId,
    /// Prompt tokens that the index believes to be cached there; none if the index does not know the node.
    pub cached: Option<Tokens>,
    /// If the session was there last: tokens of its prompt then.
    pub session: Option<Tokens>,
    /// What it carries, as last reported.
    pub load: Load,
    /// Age of the oldest job that waits there, as last reported.
    pub oldest: Duration,
    /// How fast it is, as last reported.
    pub rates: Rates,
    /// What was sent to it, as far as the report does not hold it.
    pub sent: Sent,
    /// Jobs it can hold, by its card.
    pub jobs: u32,
    /// Blocks it has, by its card.
    pub blocks: Blocks,
    /// Its breaker is open: it is not asked. One whose breaker is half open counts like any other, or it
    /// would never be tried.
    pub open: bool,
}

/// What is looked at of every candidate. Of most it shows already that they cannot be among the best.
#[derive(Clone, Copy, Debug)]
struct Listed {
    /// Prefill that is due there.
    due: Tokens,
    /// Jobs there.
    jobs: u32,
    /// See [`Candidate::open`].
    open: bool,
    /// Something of the prompt may be cached there: it is one of those who have [`Said`] so.
    said: bool,
    /// Where all is known of it.
    at: u32,
}

/// What may be cached at one of those who are listed.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// See [`Candidate::cached`].
    cached: Option<Tokens>,
    /// See [`Candidate::session`].
    session: Option<Tokens>,
}

/// Who may be asked.
#[derive(Debug, Default)]
struct List {
    listed: Vec<Listed>,
    /// Of those who are marked, in the same order.
    said: Vec<Said>,
}

impl List {
    fn of(candidates: &[Candidate], standings: &[Standing]) -> Self {
        let mut list = Self::default();
        for (at, (candidate, standing)) in (0..).zip(candidates.iter().zip(standings)) {
            let Candidate { cached, session, open, .. } = *candidate;
            list.said.push(Said { cached, session });
            list.listed.push(Listed { due: standing.due, jobs: standing.jobs, open, said: true, at });
        }
        list
    }
}

/// How nodes are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// By what rule.
    pub policy: Policy,
    /// Nodes that a decision names, at most.
    pub candidates: usize,
    /// How much sooner another node must be before a request leaves its prefix.
    pub stick: Duration,
    /// A node on which a prompt waits for so long is saturated.
    pub saturated: Duration,
    /// Where all are saturated: how much longer a request waits at its prefix than it would elsewhere.
    pub pin: Duration,
    /// Tokens that an answer is expected to have, where it may have more.
    pub answer: Tokens,
    /// How fast nodes are while none has measured it.
    pub rates: Rates,
}

impl From<&protocol::config::Placement> for Settings {
    fn from(config: &protocol::config::Placement) -> Self {
        Self {
            policy: config.policy,
            candidates: config.candidates as usize,
            stick: config.stick.0,
            saturated: config.saturated.0,
            pin: config.pin.0,
            answer: Tokens(config.answer.into()),
            rates: Rates { prefill: config.prefill_rate, step: config.step.0, sequence: config.sequence.0 },
        }
    }
}

/// What was decided, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whom to ask, the best first; at least one.
    pub choices: Vec<Choice>,
    /// Why the first is the first.
    pub reason: Reason,
}

/// A node that is worth asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its place in the list of candidates.
    pub place: usize,
    /// Who.
    pub node: NodeId,
    /// What is believed to be cached there.
    pub cached: Tokens,
    /// What it costs.
    pub price: Price,
}

/// Why a node was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It has most of the prompt.
    Prefix,
    /// It costs least, or it was its turn.
    Load,
    /// The session was there last, and the index knows no better.
    Session,
    /// It has most of the prompt, and all are saturated.
    Pinned,
    /// There is no other.
    Only,
}

impl Reason {
    /// For metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Load => "load",
            Self::Session => "session",
            Self::Pinned => "pinned",
            Self::Only => "only",
        }
    }
}

/// A choice and what it is compared by: the lesser goes first.
#[derive(Clone, Copy)]
struct Ranked {
    choice: Choice,
    /// What is cached there is known by the session alone.
    by_session: bool,
    /// Without room.
    behind: bool,
    key: u64,
    chance: f64,
}

impl Ranked {
    fn order(&self, other: &Self) -> Ordering {
        (self.behind, self.key).cmp(&(other.behind, other.key)).then_with(|| self.chance.total_cmp(&other.chance))
    }

    /// Whether it is the better holder of the prompt.
    fn holds_more(&self, other: &Self) -> bool {
        let (this, that) = (self.choice.cached, other.choice.cached);
        this > that || this == that && self.order(other).is_lt()
    }
}

/// Chooses among candidates. `turn` counts decisions, for [`Policy::RoundRobin`]; `random` gives numbers in
/// [0, 1). None if there is nobody to ask.
pub fn choose(
    prompt: &Prompt,
    candidates: &[Candidate],
    settings: &Settings,
    turn: u64,
    random: &mut impl FnMut() -> f64,
) -> Option<Decision> {
    let standings: Vec<Standing> = candidates.iter().map(Standing::of).collect();
    let asked = candidates.iter().zip(&standings).filter(|(candidate, _)| !candidate.open);
    let claims = Claims::of(asked.map(|(_, standing)| standing));
    let whole = |at: u32| Some((candidates.get(at as usize)?.node, standings.get(at as usize)?));
    choose_by(prompt, &List::of(candidates, &standings), whole, &claims, settings, turn, random)
}

/// Likewise, by what was listed and by claims that were gathered already. `whole` says who stands at a place, and how.
fn choose_by<'a>(
    prompt: &Prompt,
    list: &List,
    whole: impl Fn(u32) -> Option<(NodeId, &'a Standing)>,
    claims: &Claims,
    settings: &Settings,
    turn: u64,
    random: &mut impl FnMut() -> f64,
) -> Option<Decision> {
    let yardstick = Yardstick::new(prompt, claims, settings);
    let count = claims.count.max(1);
    let (mut best, mut holder) = (Podium::new(settings.candidates), None::<Ranked>);
    let (mut saturated, mut position) = (true, 0u64);
    // What one must be below to be among the best: none while anybody may.
    let mut bar = Bar::NONE;
    let mut said = list.said.iter();
    for (place, known) in list.listed.iter().enumerate() {
        let said = if known.said { said.next() } else { None };
        if known.open {
            continue;
        }
        let cached = said.map_or(Tokens::ZERO, |said| yardstick.believed(said.cached.or(said.session)));
        // Most cost more than the best few in any case. Who holds most of the prompt is looked for beside these.
        let hopeless = bar.excludes(yardstick.before(known.due, cached), known.jobs);
        if hopeless && !saturated && (cached == Tokens::ZERO || best.has_better(holder.as_ref(), cached)) {
            continue;
        }
        let Some((node, standing)) = whole(known.at) else { continue };
        let price = yardstick.price(standing, cached);
        let (behind, key) = match settings.policy {
            Policy::Prefix => (!price.room, price.total()),
            Policy::LeastLoad => (false, standing.carries),
            Policy::RoundRobin => (false, (position + count - turn % count) % count),
            Policy::Random => (false, 0),
        };
        position += 1;
        saturated &= price.saturated(settings.saturated);
        if cached == Tokens::ZERO && best.excludes(behind, key) {
            continue;
        }
        let by_session = said.is_some_and(|said| said.cached.is_none());
        let ranked =
            Ranked { choice: Choice { place, node, cached, price }, by_session, behind, key, chance: random() };
        if cached > Tokens::ZERO && holder.as_ref().is_none_or(|holder| ranked.holds_more(holder)) {
            holder = Some(ranked);
        }
        best.offer(ranked);
        if settings.policy == Policy::Prefix {
            bar = best.bar().map_or(Bar::NONE, |cost| yardstick.bar(cost));
        }
    }
    let first = best.first()?;
    let mut pinned = false;
    if settings.policy == Policy::Prefix
        && let Some(holder) = holder.filter(|holder| holder.choice.place != first.choice.place)
    {
        pinned = saturated && within(&holder, &first, settings.pin);
        let spared = holder.choice.cached - first.choice.cached;
        let there = list.listed.get(holder.choice.place).and_then(|there| whole(there.at));
        let worth = there.map_or(Duration::ZERO, |(_, there)| yardstick.worth(there, spared));
        let near = !saturated && holder.behind == first.behind && within(&holder, &first, settings.stick.min(worth));
        if pinned || near {
            best.put_first(holder);
        }
    }
    let chosen = best.first()?;
    let reason = match settings.policy {
        _ if count == 1 => Reason::Only,
        Policy::Prefix if pinned => Reason::Pinned,
        Policy::Prefix if holder.is_some_and(|holder| holder.choice.cached == chosen.choice.cached) => {
            if chosen.by_session { Reason::Session } else { Reason::Prefix }
        }
        _ => Reason::Load,
    };
    Some(Decision { choices: best.choices(), reason })
}

/// Whether one costs at most so much more than the other.
fn within(one: &Ranked, other: &Ranked, margin: Duration) -> bool {
    let margin = u64::try_from(margin.as_micros()).unwrap_or(u64::MAX);
    one.choice.price.total() <= other.choice.price.total().saturating_add(margin)
}

/// The best few, in order.
struct Podium {
    places: Vec<Ranked>,
    most: usize,
}

impl Podium {
    fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { places: Vec::with_capacity(most.min(16) + 1), most }
    }

    fn first(&self) -> Option<Ranked> {
        self.places.first().copied()
    }

    /// Whether there is no place for such a one, whatever chance says.
    fn excludes(&self, behind: bool, key: u64) -> bool {
        let worst = self.places.last().filter(|_| self.places.len() == self.most);
        worst.is_some_and(|worst| (worst.behind, worst.key) < (behind, key))
    }

    /// What the worst costs, if nobody who costs more has a place.
    fn bar(&self) -> Option<u64> {
        let worst = self.places.last().filter(|worst| self.places.len() == self.most && !worst.behind);
        worst.map(|worst| worst.key)
    }

    /// Whether there is a better holder of the prompt than one who has so much and costs more than the worst.
    fn has_better(&self, holder: Option<&Ranked>, cached: Tokens) -> bool {
        let Some((holder, worst)) = holder.zip(self.places.last()) else { return false };
        let less = (holder.behind, holder.key) <= (worst.behind, worst.key);
        holder.choice.cached > cached || holder.choice.cached == cached && less
    }

    fn offer(&mut self, ranked: Ranked) {
        let worst = self.places.last().filter(|_| self.places.len() == self.most);
        if worst.is_some_and(|worst| worst.order(&ranked).is_lt()) {
            return;
        }
        let place = self.places.partition_point(|other| other.order(&ranked).is_lt());
        self.places.insert(place, ranked);
        self.places.truncate(self.most);
    }

    fn put_first(&mut self, ranked: Ranked) {
        self.places.retain(|other| other.choice.place != ranked.choice.place);
        self.places.insert(0, ranked);
        self.places.truncate(self.most);
    }

    fn choices(&self) -> Vec<Choice> {
        self.places.iter().map(|ranked| ranked.choice).collect()
    }
}

#[cfg(test)]
mod tests;
