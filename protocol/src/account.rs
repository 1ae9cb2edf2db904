//! Who may ask, what it may cost, and what it did cost: keys, budgets, usage. What a store keeps and
//! coordinators tell each other.
//!
//! Rules: money is in [`Nanos`], times in [`UnixMillis`]; a secret is never here, only its hash. What is
//! allowed is decided in `policy`, what is kept is the store's affair.

mod faults;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::RequestId;
use crate::job::Class;
use crate::units::{Nanos, Tokens, UnixMillis};

pub use faults::{
    MAX_ALERTS, MAX_FALLBACKS, MAX_GUARDRAILS, MAX_KEY_MODELS, MAX_KEY_TAGS, MAX_MODEL_BYTES, MAX_MOMENT,
    MAX_NAME_BYTES, looks_secret, shown,
};

/// An API key without its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its public id, fit for logs: `key-` and 16 hexadecimal digits.
    pub id: String,
    /// The hash of its secret.
    pub hash: [u8; 32],
    /// When it was made.
    pub created: UnixMillis,
    /// It was taken back.
    pub revoked: bool,
    /// What it may do.
    pub settings: KeySettings,
}

/// What a key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeySettings {
    /// How people call it.
    pub name: String,
    /// Whose it is.
    pub organisation: Option<String>,
    /// Within the organisation.
    pub team: Option<String>,
    /// It may manage keys, budgets and nodes.
    pub admin: bool,
    /// Models that it may ask for; all if empty. `auto` stands for every `auto:…` too.
    pub models: Vec<String>,
    /// How much it may ask for.
    pub limits: KeyLimits,
    /// The most urgent class that it may ask for; a request that names none gets [`Class::Standard`], or this if it is lower.
    pub class: Class,
    /// Labels that every request of it carries, for budgets and reports.
    pub tags: Vec<String>,
    /// When it ends.
    pub expires: Option<UnixMillis>,
    /// Names of the guardrails that apply to its requests.
    pub guardrails: Vec<String>,
    /// Whether answers to it may come from, and go to, the answer cache.
    pub cache: CacheUse,
    /// Where a model's requests go when its budget is spent, the best first.
    pub fallbacks: BTreeMap<String, Vec<String>>,
}

/// How much a key may ask for. What is left out has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyLimits {
    /// Requests in any minute.
    pub requests_per_minute: Option<u32>,
    /// Prompt and answer tokens in any minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub parallel: Option<u32>,
}

/// Whether a key uses the answer cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheUse {
    /// It reads and fills it.
    #[default]
    On,
    /// Neither.
    Off,
}

/// What a request is about, as budgets see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Whose key.
    pub organisation: Option<String>,
    /// Within the organisation.
    pub team: Option<String>,
    /// The key's id.
    pub key: String,
    /// The model that is to answer.
    pub model: String,
    /// Of the key and of the request.
    pub tags: Vec<String>,
    /// The provider, if no node of the cluster's own answers.
    pub provider: Option<String>,
}

/// A limit on money.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Its name, as people chose it.
    pub id: String,
    /// Which requests count.
    pub scope: Scope,
    /// The most, in each window.
    pub limit: Nanos,
    /// When it begins anew.
    pub window: Window,
    /// Shares of the limit at which somebody is told, in hundredths; each once in a window.
    pub alerts: Vec<u8>,
    /// It only tells, and refuses nothing.
    pub soft: bool,
    /// More for a while.
    pub increase: Option<Increase>,
}

/// Which requests count: those that match every field that is given; all, if none is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Of an organisation.
    pub organisation: Option<String>,
    /// Of a team.
    pub team: Option<String>,
    /// Of a key, by its id.
    pub key: Option<String>,
    /// To a model.
    pub model: Option<String>,
    /// With a tag.
    pub tag: Option<String>,
    /// To a provider.
    pub provider: Option<String>,
}

impl Scope {
    /// Whether a request counts.
    pub fn matches(&self, subject: &Subject) -> bool {
        let same = |wanted: &Option<String>, given: Option<&str>| wanted.is_none() || wanted.as_deref() == given;
        same(&self.organisation, subject.organisation.as_deref())
            && same(&self.team, subject.team.as_deref())
            && same(&self.key, Some(&subject.key))
            && same(&self.model, Some(&subject.model))
            && same(&self.provider, subject.provider.as_deref())
            && self.tag.as_ref().is_none_or(|tag| subject.tags.contains(tag))
    }
}

/// When a budget begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// How often.
    pub every: Period,
    /// The time zone of days, weeks (from Monday) and months, by its IANA name; UTC if left out.
    pub zone: Option<String>,
}

/// How often a budget begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// At each full hour.
    Hour,
    /// At midnight.
    Day,
    /// At midnight before Monday.
    Week,
    /// At midnight before the first.
    #[default]
    Month,
    /// Never.
    Total,
}

/// More for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Increase {
    /// On top of the limit.
    pub amount: Nanos,
    /// Until then.
    pub until: UnixMillis,
}

/// What was spent of a budget, as a store keeps it: a ledger that is made from it goes on where it stood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The budget.
    pub budget: String,
    /// When the window has begun in which it was spent.
    pub since: UnixMillis,
    /// What was spent in this window.
    pub settled: Nanos,
    /// Shares of the limit that somebody was told of in this window: bit 50 for 50 hundredths.
    pub alerted: u128,
}

/// What a request has used, and what it cost. One for each request that was priced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// The request; no two records have the same.
    pub request: RequestId,
    /// When it ended.
    pub at: UnixMillis,
    /// Whose, and about what.
    pub subject: Subject,
    /// The model that was asked for.
    pub asked: String,
    /// Prompt tokens, cached ones among them.
    pub prompt: Tokens,
    /// Prompt tokens that came from a cache.
    pub cached: Tokens,
    /// Answer tokens.
    pub completion: Tokens,
    /// What was reserved for it.
    pub reserved: Nanos,
    /// What it cost.
    pub cost: Nanos,
    /// What its provider claims beyond what was reserved: told, never booked.
    pub disputed: Nanos,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a priced request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// With a whole answer.
    #[default]
    Done,
    /// The client left.
    Cancelled,
    /// It failed on the way.
    Failed,
    /// From the answer cache.
    Replayed,
    /// Its coordinator was lost before it was settled: all that was reserved counts.
    Lost,
}

impl Outcome {
    /// As it stands in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Replayed => "replayed",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests;
