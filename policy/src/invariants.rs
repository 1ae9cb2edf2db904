//! What must hold whatever happens, as predicates with a name: one file for each property.
//!
//! Simulations ask them after every event, tests where they have the figures at hand, and production where it is cheap:
//! there a breach is counted as `troupe_invariant_breaches_total{invariant}` and logged once.
//!
//! Rules: a predicate looks and changes nothing; it takes figures and not the whole world, so that everybody can ask
//! it; what it says holds the numbers.

pub mod accounts;
pub mod breakers;
pub mod ends;
pub mod index;
pub mod order;
pub mod owners;
pub mod pages;
pub mod queues;
pub mod retries;
pub mod spending;
pub mod tokens;

/// A property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// No token of an answer is lost or comes twice.
    TokensOnce,
    /// A request ends exactly once.
    EndsOnce,
    /// What is settled and reserved is never more than the budget.
    WithinBudget,
    /// What an account says is the sum of what stands in it.
    AccountsAgree,
    /// Nothing is reserved that nobody owns.
    Owned,
    /// The index believes of a node what it holds.
    IndexTrue,
    /// A breaker does not stay open.
    BreakersHeal,
    /// Half open, a breaker lets exactly one through.
    OneProbe,
    /// A queue is within its bounds.
    QueuesBounded,
    /// Retries are within their share.
    RetriesBounded,
    /// When all is well, whoever asks is served.
    Served,
    /// The pieces of an answer come in their order.
    InOrder,
    /// An engine without jobs holds no pages.
    PagesFree,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::TokensOnce,
        Self::EndsOnce,
        Self::WithinBudget,
        Self::AccountsAgree,
        Self::Owned,
        Self::IndexTrue,
        Self::BreakersHeal,
        Self::OneProbe,
        Self::QueuesBounded,
        Self::RetriesBounded,
        Self::Served,
        Self::InOrder,
        Self::PagesFree,
    ];

    /// For metrics and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokensOnce => "tokens_once",
            Self::EndsOnce => "ends_once",
            Self::WithinBudget => "within_budget",
            Self::AccountsAgree => "accounts_agree",
            Self::Owned => "owned",
            Self::IndexTrue => "index_true",
            Self::BreakersHeal => "breakers_heal",
            Self::OneProbe => "one_probe",
            Self::QueuesBounded => "queues_bounded",
            Self::RetriesBounded => "retries_bounded",
            Self::Served => "served",
            Self::InOrder => "in_order",
            Self::PagesFree => "pages_free",
        }
    }
}

/// A property does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", .invariant.as_str())]
pub struct Breach {
    /// Which.
    pub invariant: Invariant,
    /// Where, with the numbers.
    pub what: String,
}

impl Breach {
    /// Of a property.
    pub fn new(invariant: Invariant, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }

    /// Likewise, of whom it is said.
    #[must_use]
    pub fn of(self, whom: impl std::fmt::Display) -> Self {
        Self { what: format!("{whom}: {}", self.what), ..self }
    }
}

/// Fine if it holds; else what it says of the figures.
fn holds(invariant: Invariant, holds: bool, what: impl FnOnce() -> String) -> Result<(), Breach> {
    if holds { Ok(()) } else { Err(Breach::new(invariant, what())) }
}

#[cfg(test)]
mod tests;
