//! What became of days of requests, and what can be wrong with them.

use policy::ledger::{AlertRaised, ReserveError};
use protocol::manage::BudgetState;
use protocol::units::{Nanos, UnixMillis};

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ran {
    /// Requests that came.
    pub requests: u64,
    /// Answers that each tier computed.
    pub asked: Vec<u64>,
    /// Answers of each tier that clients got.
    pub answered: Vec<u64>,
    /// Unsure answers that stood, since there was no money for another.
    pub stood: u64,
    /// Requests that a lower tier answered, since the budget of the wanted one was spent.
    pub lowered: u64,
    /// Requests that their conversation kept on another tier than their score, or raised.
    pub kept: u64,
    /// Requests that nobody answered.
    pub refused: Vec<Refused>,
    /// What was booked.
    pub settled: Nanos,
    /// The most that was set aside for requests at once.
    pub reserved: Nanos,
    /// The mean score of the answers; nothing if nobody knows.
    pub quality: f64,
    /// Who was told what, and when.
    pub alerts: Vec<AlertRaised>,
    /// How budgets stand at the end.
    pub budgets: Vec<BudgetState>,
}

/// Requests that a budget had no room for, in one of its windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Which budget.
    pub budget: String,
    /// When the first came.
    pub first: UnixMillis,
    /// What it was told.
    pub said: String,
    /// How many.
    pub count: u64,
    /// Whether a lower tier answered them.
    pub lowered: bool,
}

/// A run that cannot be, or that broke a rule: then there is a defect.
#[derive(Debug, thiserror::Error)]
pub enum DayError {
    /// A budget.
    #[error(transparent)]
    Budget(#[from] policy::ledger::BudgetError),
    /// A tier that a budget names.
    #[error("budgets: '{id}' counts tier '{tier}', which the mix '{mix}' does not have: name one of {known}")]
    Tier {
        /// The budget.
        id: String,
        /// What it names.
        tier: String,
        /// The mix.
        mix: String,
        /// Its tiers.
        known: String,
    },
    /// A sum or a number of requests at once does not fit.
    #[error("{0}")]
    Reserve(ReserveError),
    /// Settled twice.
    #[error(transparent)]
    Unknown(#[from] policy::ledger::UnknownReservation),
    /// A journal that cannot be gone on with: a defect.
    #[error(transparent)]
    Journal(#[from] policy::escrow::grantee::BadJournal),
    /// A message between coordinators that was not taken: a defect.
    #[error("a coordinator refuses another's message: {0}")]
    Escrow(#[from] protocol::escrow::EscrowRefusal),
    /// The ledger's own rules.
    #[error("the ledger is broken: {0}")]
    Broken(#[from] policy::ledger::Broken),
    /// Costs do not add up.
    #[error("the ledger has booked {ledger}, the requests cost {requests}: a defect")]
    Sum {
        /// What the ledger says.
        ledger: Nanos,
        /// What requests say.
        requests: Nanos,
    },
}
