//! The money of a cluster: one budget, whose store may fail.

use std::sync::Arc;
use std::time::Duration;

use actors::cluster::job::Task;
use actors::cost::{Accounts, Bill, NotReserved, Order};
use policy::invariants::accounts::records_agree;
use policy::invariants::owners::owned;
use policy::invariants::spending::{Stand, within_budget};
use protocol::account::{Budget, Period, Subject, Window};
use protocol::manage::UsageQuery;
use protocol::money::Price;
use protocol::units::{Nanos, Tokens, UnixMillis};
use store::MemoryStore;
use store::contract::FaultyStore;

use super::oracle::Breach;

/// 1, half a nano and 4 nanos for a token.
const PRICE: Price = Price { input: Nanos(1_000_000), cached: Nanos(500_000), output: Nanos(4_000_000) };
/// How long records are kept.
const KEEP: Duration = Duration::from_secs(86_400);
/// The budget's name.
const BUDGET: &str = "all";

/// A budget and the accounts that keep it.
#[derive(Debug)]
pub struct Purse {
    accounts: Accounts,
    disk: Arc<FaultyStore>,
    limit: Nanos,
}

impl Purse {
    /// One budget for all time.
    ///
    /// # Errors
    /// The accounts do not take it.
    pub async fn of(limit: Nanos) -> Result<Self, Breach> {
        let disk = Arc::new(FaultyStore::on(&MemoryStore::default()));
        let store = Arc::clone(&disk) as _;
        let (accounts, _) = Accounts::open_at_once(store, Arc::new(|| UnixMillis(1))).map_err(Breach::harness)?;
        let window = Window { every: Period::Total, zone: None };
        let budget = Budget { id: BUDGET.into(), limit, window, ..Budget::default() };
        accounts.put_budget(budget).await.map_err(Breach::harness)?;
        // What could not be written is written once the disk has room again.
        tokio::spawn(accounts.clone().watch(KEEP));
        Ok(Self { accounts, disk, limit })
    }

    /// The disk is full from now on, or has room again.
    pub fn full(&self, full: bool) {
        self.disk.fail(full);
    }

    /// Sets aside what a request may cost at most.
    ///
    /// # Errors
    /// The budget has no room for it, or nothing can be written.
    pub fn bill(&self, task: &Task) -> Result<Bill, NotReserved> {
        let bound = PRICE.cost(Tokens::of(task.prompt.len()), Tokens::ZERO, task.limits.max_tokens);
        let subject = Subject { key: "k".into(), model: task.model.clone(), ..Subject::default() };
        let bound = bound.unwrap_or(Nanos(u64::MAX));
        let asked = task.model.clone();
        self.accounts.reserve(Order { request: task.request, subject, asked, price: PRICE, bound, free: false })
    }

    /// What was spent and what is set aside.
    ///
    /// # Errors
    /// The budget is not known.
    pub fn stands(&self) -> Result<(Nanos, Nanos), Breach> {
        let state = self.accounts.budget(BUDGET).map_err(Breach::harness)?;
        Ok((state.settled, state.reserved))
    }

    /// What is spent and what is set aside is within the budget.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self) -> Result<(), Breach> {
        let (settled, reserved) = self.stands()?;
        Ok(within_budget(&Stand { budget: BUDGET, settled, reserved, ceiling: self.limit })?)
    }

    /// Nothing is set aside any more, no request was billed twice, and the records add up to what is spent.
    pub(super) async fn check_at_the_end(&self) -> Result<(), Breach> {
        self.check()?;
        self.accounts.promises().kept()?;
        owned("bills", self.accounts.open_reservations() as u64, 0)?;
        self.accounts.flush().await;
        let query = UsageQuery { limit: 10_000, ..UsageQuery::default() };
        let records = self.accounts.usage(query).await.map_err(Breach::harness)?.records;
        let mut requests: Vec<_> = records.iter().map(|record| record.request).collect();
        requests.sort_unstable();
        let twice = requests.windows(2).filter(|pair| pair.first() == pair.last()).count();
        owned("second bills of one request", twice as u64, 0)?;
        let sum = Nanos(records.iter().map(|record| record.cost.0).sum());
        Ok(records_agree(BUDGET, self.stands()?.0, sum)?)
    }
}
