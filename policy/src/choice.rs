//! Which model answers: among those that are good enough and in time, the cheapest.
//!
//! Rules:
//! - A candidate is good enough if its tier is at least the wanted one. A better tier may win: a prompt that is
//!   cached there can cost less than one that must be computed on a cheaper model.
//! - One that is expected to be done after the deadline comes behind all that are not, the soonest first: late
//!   is better than never. One that cannot be asked now (its breaker is open, its provider says to wait) comes
//!   behind those.
//! - Then money decides, then time, then the order in which they were given. Money differs only if it differs by
//!   more than a hundredth: prices that are made of measured speeds are never equal.
//! - Prices and times are of the whole answer as it is expected, at most as long as it may be.
//!
//! Left to others: which tier is wanted (`complexity`), which node of a model (`placement`), what is set aside
//! (`ledger`: the upper bound, not what is expected).

use std::cmp::Ordering;
use std::time::Duration;

use protocol::money::{Price, TooCostly};
use protocol::units::{Nanos, Tokens};

/// One that could answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The model's name in the cluster.
    pub model: String,
    /// Its tier, from 0 for the cheapest.
    pub tier: usize,
    /// What its tokens cost.
    pub price: Price,
    /// Prompt tokens.
    pub prompt: Tokens,
    /// Prompt tokens that are believed to be cached there.
    pub cached: Tokens,
    /// When the answer is expected to be complete; none if nobody can say.
    pub time: Option<Duration>,
    /// Why it cannot be asked now.
    pub closed: Option<String>,
}

/// What is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// The least tier.
    pub tier: usize,
    /// When the answer must be complete.
    pub deadline: Option<Duration>,
    /// Tokens that the answer is expected to have.
    pub answer: Tokens,
}

/// A candidate with its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Its place in the list of candidates.
    pub at: usize,
    /// What it is expected to cost.
    pub money: Nanos,
    /// Why it is where it is.
    pub why: String,
    /// Whether it meets the deadline and can be asked now.
    pub fit: bool,
}

/// The candidates that are good enough, the best first.
///
/// # Errors
/// A price so high that the cost does not fit.
pub fn rank(candidates: &[Candidate], need: &Need) -> Result<Vec<Ranked>, TooCostly> {
    let mut ranked = Vec::new();
    for (at, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| candidate.tier >= need.tier) {
        let money = candidate.price.cost(candidate.prompt, candidate.cached, need.answer)?;
        ranked.push(Standing { at, money, lateness: lateness(candidate, need), candidate });
    }
    ranked.sort_by(Standing::compare);
    // What is within a hundredth of the cheapest of its kind is as cheap: there, time decides.
    let mut start = 0;
    while let Some(first) = ranked.get(start) {
        let (lateness, limit) = (first.lateness.rank(), first.money.0.saturating_add(first.money.0 / 100));
        let alike = |other: &&Standing<'_>| other.lateness.rank() == lateness && other.money.0 <= limit;
        let count = ranked.iter().skip(start).take_while(alike).count().max(1);
        if let Some(group) = ranked.get_mut(start..start + count)
            && lateness != Lateness::Late(Duration::ZERO).rank()
        {
            group.sort_by_key(|standing| (standing.candidate.time.unwrap_or(Duration::MAX), standing.at));
        }
        start += count;
    }
    let cheapest = ranked.iter().min_by_key(|standing| (standing.candidate.tier, standing.money)).map(|cheap| cheap.at);
    Ok(ranked.iter().map(|standing| standing.told(need, cheapest, candidates)).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lateness {
    InTime,
    Late(Duration),
    Closed,
}

impl Lateness {
    fn rank(self) -> u8 {
        match self {
            Self::InTime => 0,
            Self::Late(_) => 1,
            Self::Closed => 2,
        }
    }
}

struct Standing<'a> {
    at: usize,
    money: Nanos,
    lateness: Lateness,
    candidate: &'a Candidate,
}

impl Standing<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        let late = match (self.lateness, other.lateness) {
            (Lateness::Late(mine), Lateness::Late(theirs)) => mine.cmp(&theirs),
            (mine, theirs) => mine.rank().cmp(&theirs.rank()),
        };
        late.then(self.money.cmp(&other.money)).then(self.at.cmp(&other.at))
    }

    fn told(&self, need: &Need, cheapest: Option<usize>, candidates: &[Candidate]) -> Ranked {
        let candidate = self.candidate;
        let usual = cheapest.and_then(|at| candidates.get(at));
        let why = match (self.lateness, &candidate.closed) {
            (_, Some(reason)) => reason.clone(),
            (Lateness::Late(by), _) => format!("it is expected {by:?} after the deadline"),
            _ if candidate.tier > need.tier && candidate.cached > Tokens::ZERO => {
                let tier = usual.map_or(need.tier, |usual| usual.tier);
                format!("{} of its prompt are cached there, which outweighs tier {tier}'s price", candidate.cached)
            }
            _ if candidate.tier > need.tier => "it is better than needed".to_owned(),
            _ if candidate.cached > Tokens::ZERO => format!("{} of its prompt are cached there", candidate.cached),
            _ => "it is good enough".to_owned(),
        };
        Ranked { at: self.at, money: self.money, why, fit: self.lateness == Lateness::InTime }
    }
}

fn lateness(candidate: &Candidate, need: &Need) -> Lateness {
    if candidate.closed.is_some() {
        return Lateness::Closed;
    }
    match (need.deadline, candidate.time) {
        (Some(deadline), Some(time)) if time > deadline => Lateness::Late(time - deadline),
        _ => Lateness::InTime,
    }
}

#[cfg(test)]
mod tests;
