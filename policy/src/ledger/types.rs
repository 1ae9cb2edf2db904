//! What a ledger says.

use std::fmt;

use protocol::account::Spent;
use protocol::money::Money;
use protocol::units::{Nanos, UnixMillis};

/// A reservation. The caller chooses it and never uses it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(pub u128);

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Somebody is to be told that a share of a budget is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRaised {
    /// The budget.
    pub budget: String,
    /// The share, in hundredths of the limit.
    pub share: u8,
    /// What was spent in this window.
    pub settled: Nanos,
    /// What running requests may still spend.
    pub reserved: Nanos,
    /// The limit, with what it is increased by.
    pub limit: Nanos,
    /// When.
    pub at: UnixMillis,
}

/// Money is set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Soft budgets that this goes beyond; what [`super::Ledger::spent`] says of them is to be stored.
    pub alerts: Vec<AlertRaised>,
}

/// A reservation has become a cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// What counts.
    pub booked: Nanos,
    /// What was claimed beyond the reservation: told, never booked.
    pub disputed: Nanos,
    /// Shares that are gone by now.
    pub alerts: Vec<AlertRaised>,
    /// What a store must write, together with the usage record.
    pub changes: Vec<Spent>,
}

/// A budget has no room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "budget '{budget}' has no room for {}: of {} are {} spent and {} reserved; {}",
    Money(*asked), Money(*limit), Money(*settled), Money(*reserved), Again(*resets)
)]
pub struct OverBudget {
    /// The budget. If several have no room, the one that has none for longest.
    pub budget: String,
    /// Its limit, with what it is increased by.
    pub limit: Nanos,
    /// What was spent in this window.
    pub settled: Nanos,
    /// What running requests may still spend.
    pub reserved: Nanos,
    /// What was asked for.
    pub asked: Nanos,
    /// When its window begins anew; never, for a total.
    pub resets: Option<UnixMillis>,
}

/// What helps, in words.
struct Again(Option<UnixMillis>);

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = self.0.and_then(|at| jiff::Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok());
        match moment {
            Some(moment) => write!(f, "it begins anew at {moment}: come again then, or raise it"),
            None => f.write_str("it never begins anew: raise it"),
        }
    }
}

/// Why nothing was reserved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    /// A budget has no room.
    #[error("{over}")]
    OverBudget {
        /// Which.
        over: Box<OverBudget>,
        /// Whoever is to be told of it; what [`super::Ledger::spent`] says of their budgets is to be stored.
        alerts: Vec<AlertRaised>,
    },
    /// The reservation is open already.
    #[error("reservation {0} is open already: use a new id for each")]
    Duplicate(ReservationId),
    /// The sum does not fit.
    #[error("{} more does not fit into {of}: settle or release what is open first", Money(*.asked))]
    Overflow {
        /// A budget or a reservation.
        of: String,
        /// What was asked for.
        asked: Nanos,
    },
    /// Too many are open.
    #[error("{open} reservations are open, which is the most: settle or release some first")]
    TooMany {
        /// How many.
        open: usize,
    },
    /// There is none to extend.
    #[error(transparent)]
    Unknown(#[from] UnknownReservation),
}

/// There is no such reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reservation {0} is not open: it was settled or released before, or never made")]
pub struct UnknownReservation(pub ReservationId);

/// A budget that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// Its name.
    #[error("budget id '{id}' cannot be: use 1 to {most} characters without control characters")]
    Id {
        /// Its beginning.
        id: String,
        /// The most bytes.
        most: usize,
    },
    /// No limit.
    #[error("budget '{0}' has a limit of zero: give one of at least 0.000000001, or revoke the key")]
    Zero(String),
    /// Limit and increase together.
    #[error("budget '{id}': limit {} and increase {} do not fit together: lower one", Money(*.limit), Money(*.increase))]
    Increase {
        /// The budget.
        id: String,
        /// Its limit.
        limit: Nanos,
        /// What is to come on top.
        increase: Nanos,
    },
    /// A share.
    #[error("budget '{id}': an alert at {share} % cannot be: use whole shares from 1 to 100")]
    Share {
        /// The budget.
        id: String,
        /// The share.
        share: u8,
    },
    /// Shares.
    #[error("budget '{id}' has {alerts} alerts: give at most {most}")]
    TooManyAlerts {
        /// The budget.
        id: String,
        /// How many.
        alerts: usize,
        /// The most.
        most: usize,
    },
    /// A zone.
    #[error(
        "budget '{id}': there is no time zone '{zone}': use an IANA name such as \"Europe/Berlin\", or leave it out for UTC"
    )]
    Zone {
        /// The budget.
        id: String,
        /// The zone.
        zone: String,
    },
    /// Running requests have reserved more than can be counted.
    #[error("budget '{0}': what running requests have reserved does not fit: put it again when some have ended")]
    Overflow(String),
    /// Budgets.
    #[error("there are {0} budgets, which is the most: remove some first")]
    TooMany(usize),
}

/// A budget was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetPut {
    /// What a store must write, together with the budget.
    pub spent: Spent,
    /// Shares of the new limit that are gone already.
    pub alerts: Vec<AlertRaised>,
}

/// A rule that a ledger breaks: a defect, never a state that input can bring about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// More than may be.
    #[error("budget '{budget}': {settled} settled and {reserved} reserved are more than {ceiling}")]
    OverCeiling {
        /// The budget.
        budget: String,
        /// What was spent.
        settled: Nanos,
        /// What may still be.
        reserved: Nanos,
        /// The most that was ever let in.
        ceiling: Nanos,
    },
    /// What is reserved is not what is open.
    #[error("budget '{budget}': {reserved} reserved, but {open} open")]
    ReservedIsNotOpen {
        /// The budget.
        budget: String,
        /// As it was added up.
        reserved: Nanos,
        /// As it is.
        open: u128,
    },
    /// A reservation does not count where it should, or counts where it should not.
    #[error("reservation {0} does not count in just those budgets that match it")]
    WrongOwners(ReservationId),
    /// A budget is not found by its name or scope.
    #[error("budget '{0}' is not found by its name and scope")]
    Lost(String),
    /// A window that does not hold its last moment.
    #[error("budget '{0}': its window does not hold the last moment it has seen")]
    WrongWindow(String),
}
