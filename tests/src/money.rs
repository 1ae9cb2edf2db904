//! Keys, budgets and usage as an operator sees them, and whether they add up.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use client::{Client, ConnectOptions, Trust};
use protocol::account::{Budget, KeyRecord, KeySettings, Period, Scope, UsageRecord, Window};
use protocol::ids::RequestId;
use protocol::manage::{BudgetState, Manage, Managed, UsageQuery};
use protocol::money::Money;
use protocol::units::Nanos;
use tokio::sync::watch;

use crate::cluster::{Cluster, Reach};
use crate::wait;

/// An operator, with a connection.
#[derive(Clone, Debug)]
pub struct Operator {
    client: Client,
}

impl Operator {
    /// Of a cluster.
    ///
    /// # Panics
    /// There is no connection.
    pub async fn of(cluster: &Cluster) -> Self {
        Self { client: cluster.client().await }
    }

    /// Wants something.
    ///
    /// # Errors
    /// What the coordinator says, or that there is none.
    pub async fn want(&self, manage: Manage) -> Result<Managed, String> {
        self.client.manage(manage).await.map_err(|error| error.to_string())
    }

    /// Makes a key. Its record and its secret.
    ///
    /// # Panics
    /// It is not made.
    pub async fn key(&self, settings: KeySettings) -> (KeyRecord, String) {
        match self.want(Manage::CreateKey(settings)).await {
            Ok(Managed::KeyCreated { record, secret }) => (record, secret),
            other => panic!("no key but {other:?}"),
        }
    }

    /// Sets a budget that never begins anew.
    ///
    /// # Panics
    /// It is not set.
    pub async fn budget(&self, id: &str, scope: Scope, limit: &str) -> Nanos {
        let Ok(limit) = limit.parse::<Money>() else { panic!("{limit} is no amount") };
        let window = Window { every: Period::Total, zone: None };
        let budget = Budget { id: id.to_owned(), scope, limit: limit.0, window, ..Budget::default() };
        match self.want(Manage::PutBudget(budget)).await {
            Ok(Managed::Budget(state)) => state.budget.limit,
            other => panic!("no budget but {other:?}"),
        }
    }

    /// How a budget stands.
    ///
    /// # Errors
    /// There is no coordinator now, or no such budget.
    pub async fn look(&self, id: &str) -> Result<BudgetState, String> {
        match self.want(Manage::ListBudgets).await? {
            Managed::Budgets(all) => {
                all.into_iter().find(|state| state.budget.id == id).ok_or_else(|| format!("no budget '{id}'"))
            }
            other => Err(format!("no budgets but {other:?}")),
        }
    }

    /// Waits until nothing is reserved.
    ///
    /// # Panics
    /// Something stays reserved.
    pub async fn settled(&self, id: &str) -> BudgetState {
        wait::until("nothing is reserved", || async {
            let state = self.look(id).await?;
            if state.reserved == Nanos::ZERO { Ok(state) } else { Err(format!("{state:?}")) }
        })
        .await
    }

    /// All usage of a key.
    ///
    /// # Errors
    /// There is no coordinator now, or it says nonsense.
    pub async fn usage(&self, key: &str) -> Result<Vec<UsageRecord>, String> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let query = UsageQuery { key: Some(key.to_owned()), after, limit: 10_000, ..UsageQuery::default() };
            match self.want(Manage::Usage(query)).await? {
                Managed::Usage { records, next } => {
                    all.extend(records);
                    match next {
                        Some(next) => after = Some(next),
                        None => return Ok(all),
                    }
                }
                other => return Err(format!("no usage but {other:?}")),
            }
        }
    }
}

/// Options of a client of a cluster, with a key.
pub fn options(cluster: &Cluster, key: &str) -> ConnectOptions {
    options_at(&cluster.reach, key)
}

/// Options of a client of one coordinator, with a key.
pub fn options_at(reach: &Reach, key: &str) -> ConnectOptions {
    ConnectOptions::new(&reach.quic, key, Trust::CaFile(reach.ca_file.clone()))
}

/// What clients were told that their requests cost.
#[derive(Debug, Default)]
pub struct Seen(watch::Sender<BTreeMap<RequestId, Nanos>>);

impl Seen {
    /// A client was told.
    ///
    /// # Panics
    /// It was told before of the same request.
    pub fn note(&self, request: RequestId, cost: Nanos) {
        self.0.send_modify(|seen| {
            assert_eq!(seen.insert(request, cost), None, "two answers have the id {request}");
        });
    }

    /// All of it.
    pub fn all(&self) -> BTreeMap<RequestId, Nanos> {
        self.0.borrow().clone()
    }
}

/// Checks that each request stands once in the records, that they add up to what is settled, and that all that a
/// client was told is among them. `seen` must be older than the records, and these older than what is settled.
///
/// # Errors
/// The first that is not so.
pub fn audit(records: &[UsageRecord], settled: Nanos, seen: &BTreeMap<RequestId, Nanos>) -> Result<(), String> {
    let mut costs = BTreeMap::new();
    let mut sum = 0_u64;
    for record in records {
        match costs.entry(record.request) {
            Entry::Occupied(_) => return Err(format!("request {} stands twice in the records", record.request)),
            Entry::Vacant(place) => place.insert(record.cost),
        };
        if record.cost > record.reserved {
            return Err(format!("more was booked than was reserved: {record:?}"));
        }
        sum = sum.checked_add(record.cost.0).ok_or("the costs do not fit")?;
    }
    if sum != settled.0 {
        return Err(format!("the records add up to {}, settled is {}", Money(Nanos(sum)), Money(settled)));
    }
    for (request, cost) in seen {
        match costs.get(request) {
            Some(booked) if booked == cost => {}
            Some(booked) => {
                return Err(format!("request {request} cost {}, and is booked with {}", Money(*cost), Money(*booked)));
            }
            None => return Err(format!("request {request} cost {}, and is not in the records", Money(*cost))),
        }
    }
    Ok(())
}
