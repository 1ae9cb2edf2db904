//! What an operator asks of a coordinator about keys, budgets, usage and decisions, and what it says. The
//! same over HTTP and over QUIC; only a key with `admin` may.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account::{Budget, KeyRecord, KeySettings, UsageRecord};
use crate::answer::{JobError, Route};
use crate::ids::RequestId;
use crate::money::Price;
use crate::units::{Nanos, Tokens, UnixMillis};

mod scale;

pub use scale::{MOST_NODES, ScaleAdvice, ScaleQuery, ScaleRow, Sure};

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manage {
    /// A new key.
    CreateKey(KeySettings),
    /// All keys.
    ListKeys,
    /// Other settings for a key: all of them.
    UpdateKey {
        /// Its id.
        key: String,
        /// What it may do from now on.
        settings: KeySettings,
    },
    /// A key is good no more.
    RevokeKey {
        /// Its id.
        key: String,
    },
    /// A budget, new or in place of the one with its id.
    PutBudget(Budget),
    /// All budgets, and how they stand.
    ListBudgets,
    /// A budget is no more.
    RemoveBudget {
        /// Its id.
        id: String,
    },
    /// What requests have used.
    Usage(UsageQuery),
    /// Why a request went where it went.
    Explain {
        /// Which.
        request: RequestId,
    },
    /// What everything costs.
    Prices,
    /// How many nodes of a model would meet a target, by what was asked of it lately.
    Scale(ScaleQuery),
    /// What was asked of a model lately, as a trace.
    ScaleTrace {
        /// Which; may be left out if there is one.
        model: Option<String>,
    },
}

/// Which usage records, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageQuery {
    /// From then on.
    pub since: Option<UnixMillis>,
    /// Before then.
    pub until: Option<UnixMillis>,
    /// Of this key.
    pub key: Option<String>,
    /// To this model.
    pub model: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Records after this place; from the first if left out.
    pub after: Option<UsagePlace>,
    /// At most so many.
    pub limit: u32,
}

/// A place among the usage records: they are ordered by time, then by request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UsagePlace {
    /// When it ended.
    pub at: UnixMillis,
    /// Which.
    pub request: RequestId,
}

/// What a coordinator says to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Managed {
    /// A key was made. Its secret is never shown again.
    KeyCreated {
        /// The key.
        record: KeyRecord,
        /// What its owner sends.
        secret: String,
    },
    /// A key as it is now.
    Key(KeyRecord),
    /// All keys, by id.
    Keys(Vec<KeyRecord>),
    /// A budget as it is now.
    Budget(BudgetState),
    /// All budgets, by id.
    Budgets(Vec<BudgetState>),
    /// It is done.
    Done(String),
    /// Usage, and where to go on, if there is more.
    Usage {
        /// The oldest first.
        records: Vec<UsageRecord>,
        /// Where to go on.
        next: Option<UsagePlace>,
    },
    /// Why a request went where it went.
    Explained(Box<Explanation>),
    /// What everything costs, by name.
    Prices(Vec<PricedModel>),
    /// How many nodes would meet the target.
    Scale(Box<ScaleAdvice>),
    /// A request on each line, in Mooncake's format; blocks and conversations are numbered as they come.
    ScaleTrace {
        /// The model.
        model: String,
        /// Tokens in one of its blocks.
        block: Tokens,
        /// The lines.
        lines: String,
    },
}

/// How a budget stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetState {
    /// The budget.
    pub budget: Budget,
    /// What was spent in this window.
    pub settled: Nanos,
    /// What running requests may still spend.
    pub reserved: Nanos,
    /// When the window has begun.
    pub since: UnixMillis,
    /// When the next one begins; never, for a total.
    pub resets: Option<UnixMillis>,
}

/// The price of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedModel {
    /// Its name; `provider/model` for those of providers.
    pub model: String,
    /// Its price.
    pub price: Price,
    /// Where the price is from: `cluster.toml`, `gpu-hour`, `default`, or a list with its date.
    pub source: String,
}

/// Why a request went where it went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The request.
    pub request: RequestId,
    /// When it was decided.
    pub at: UnixMillis,
    /// Whose it was.
    pub key: String,
    /// What was asked for.
    pub asked: String,
    /// How hard it seemed, if the cluster was to choose.
    pub route: Option<Route>,
    /// What was reserved.
    pub reserved: Nanos,
    /// Who could have answered, in the order in which they were preferred.
    pub candidates: Vec<Candidate>,
    /// What happened, in order.
    pub steps: Vec<String>,
}

/// One that could have answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The model.
    pub model: String,
    /// A node's name, or a provider's.
    pub place: String,
    /// What it was expected to cost.
    pub money: Nanos,
    /// When its answer was expected to be complete.
    pub time: Duration,
    /// Prompt tokens that were cached there.
    pub cached: Tokens,
    /// It was chosen.
    pub chosen: bool,
    /// Why it was, or was not.
    pub why: String,
}

/// An operator wants something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskManage {
    /// What.
    pub manage: Manage,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerManage {
    /// What a coordinator says, or why nothing was done.
    pub outcome: Result<Managed, JobError>,
}
