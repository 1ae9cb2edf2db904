//! Coordinators' accounts with stores that outlive them and fail on demand.

use std::sync::Arc;
use std::time::Duration;

use actors::cost::{Accounts, Bill, Order, Part};
use policy::escrow::Settings;
use protocol::account::{Budget, Period, Subject, UsageRecord, Window};
use protocol::escrow::{EscrowAnswer, GranteeId};
use protocol::ids::RequestId;
use protocol::manage::{BudgetState, UsageQuery};
use protocol::money::Price;
use protocol::units::{Nanos, UnixMillis};
use store::contract::FaultyStore;
use store::{MemoryStore, Store};

/// Requests are numbered from here.
pub(crate) const FIRST: u128 = 1_000_000;
/// What a million tokens cost: a token costs a nano.
const MILLION: Nanos = Nanos(1_000_000);
/// How long a grant is good, and a coordinator counts as there.
pub(crate) const LEASE: Duration = Duration::from_secs(3600);
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// The budget that all share.
pub(crate) fn limit() -> Nanos {
    Nanos(10_000)
}

pub(crate) fn order(number: u128, bound: u64) -> Order {
    Order {
        request: RequestId(FIRST + number),
        subject: Subject { key: "key-1".into(), model: "m".into(), ..Subject::default() },
        asked: "m".into(),
        price: Price { input: MILLION, cached: MILLION, output: MILLION },
        bound: Nanos(bound),
        free: false,
    }
}

/// Messages are always due; slices may be as small as they come.
fn settings() -> Settings {
    Settings {
        interval: Duration::ZERO,
        pause: Duration::ZERO,
        patience: Duration::ZERO,
        ttl: LEASE,
        lease: LEASE,
        chunk: Nanos(500),
        records: 7,
        ..Settings::default()
    }
}

/// One coordinator.
pub(crate) struct Seat {
    part: Part,
    memory: MemoryStore,
    disk: Arc<FaultyStore>,
    accounts: Accounts,
}

impl Seat {
    fn open(part: Part, memory: MemoryStore) -> Self {
        let disk = Arc::new(FaultyStore::on(&memory));
        let store = Arc::clone(&disk) as Arc<dyn Store>;
        let (accounts, _alerts) = Accounts::open_as(store, Arc::new(|| NOW), part).unwrap();
        Self { part, memory, disk, accounts }
    }

    fn holder() -> Self {
        Self::open(Part::Holder(settings()), MemoryStore::new())
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub(crate) fn disk(&self) -> &FaultyStore {
        &self.disk
    }
}

/// A holder, and after it those that spend slices.
pub(crate) struct Seats {
    seats: Vec<Seat>,
}

impl Seats {
    pub(crate) async fn open(count: u64) -> Self {
        let holder = Seat::holder();
        let window = Window { every: Period::Total, zone: None };
        let budget = Budget { id: "all".into(), limit: limit(), window, ..Budget::default() };
        holder.accounts.put_budget(budget).await.unwrap();
        let grantee = |id| Seat::open(Part::Grantee { settings: settings(), id: GranteeId(id) }, MemoryStore::new());
        Self { seats: std::iter::once(holder).chain((1..count).map(grantee)).collect() }
    }

    pub(crate) fn seat(&self, at: usize) -> &Seat {
        &self.seats[at]
    }

    /// Nothing more of it reaches its disk; what is there is found by the next.
    pub(crate) fn kill(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        seat.disk.fail(true);
        *seat = Seat::open(seat.part, seat.memory.clone());
    }

    /// Tells the holder all there is to tell; its answer is taken.
    pub(crate) async fn exchange(&self, at: usize) {
        let answer = self.answer(at).await;
        answer.outcome.as_ref().unwrap();
        self.seats[at].accounts.answered(answer).unwrap();
    }

    /// What the holder answers.
    pub(crate) async fn answer(&self, at: usize) -> EscrowAnswer {
        let tell = self.seats[at].accounts.tell().unwrap();
        self.seats[0].accounts.sync(&tell).await.unwrap()
    }

    /// A grantee's reservation; there is room.
    pub(crate) async fn bill(&self, at: usize, number: u128, bound: u64) -> Bill {
        for _ in 0..4 {
            if let Ok(bill) = self.seats[at].accounts.reserve(order(number, bound)) {
                return bill;
            }
            self.exchange(at).await;
        }
        panic!("no slice of {bound} came");
    }

    /// How the budget stands at the holder.
    pub(crate) fn stands(&self) -> BudgetState {
        self.seats[0].accounts.budget("all").unwrap()
    }

    /// All that the holder has recorded.
    pub(crate) async fn records(&self) -> Vec<UsageRecord> {
        let query = UsageQuery { limit: 1000, ..UsageQuery::default() };
        self.seats[0].accounts.usage(query).await.unwrap().records
    }
}
