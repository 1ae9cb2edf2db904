//! What a coordinator needs to know when it starts.

use std::collections::BTreeMap;

use protocol::account::{Budget, KeyRecord, Spent, Subject};
use protocol::ids::RequestId;
use protocol::manage::UsagePlace;
use protocol::money::Price;
use protocol::units::{Nanos, UnixMillis};
use serde::{Deserialize, Serialize};

/// All but the usage records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hard {
    /// Keys, by id; revoked ones too.
    pub keys: BTreeMap<String, KeyRecord>,
    /// Budgets, by id.
    pub budgets: BTreeMap<String, Budget>,
    /// What was spent, by the budget's id. Budgets that stand in `cluster.toml` have it too.
    pub spent: BTreeMap<String, Spent>,
    /// Prices set at run time, by name.
    pub prices: BTreeMap<String, Price>,
    /// Reservations that were neither settled nor released.
    pub open: BTreeMap<RequestId, OpenReservation>,
    /// What other parts keep, by name.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// How many usage records there are.
    pub counters: Counters,
}

/// Money that a request may still spend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenReservation {
    /// Whose it is.
    pub request: RequestId,
    /// When it was made.
    pub at: UnixMillis,
    /// Which budgets it counts in.
    pub subject: Subject,
    /// How much.
    pub amount: Nanos,
}

/// How many usage records there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Those that can still be read one by one.
    pub records: u64,
    /// The first of them.
    pub first: Option<UsagePlace>,
    /// The last of them.
    pub last: Option<UsagePlace>,
    /// All that were ever taken, folded ones too.
    pub ever: u64,
}
