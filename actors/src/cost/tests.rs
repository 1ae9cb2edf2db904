use protocol::account::{KeyRecord, Outcome, Period, UsageRecord, Window};
use protocol::answer::Usage;
use protocol::ids::RequestId;
use protocol::manage::{BudgetState, UsageQuery};
use protocol::units::Tokens;
use store::MemoryStore;
use store::contract::FaultyStore;

use super::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// A nano per token.
const PRICE: Price = Price { input: Nanos(1_000_000), cached: Nanos(500_000), output: Nanos(2_000_000) };

fn clock() -> WallClock {
    Arc::new(|| NOW)
}

fn open(store: &MemoryStore) -> (Accounts, mpsc::Receiver<AlertRaised>) {
    Accounts::open(Arc::new(store.clone()), clock()).unwrap()
}

fn budget(id: &str, limit: u64) -> Budget {
    Budget {
        id: id.into(),
        limit: Nanos(limit),
        alerts: vec![50, 100],
        window: Window { every: Period::Total, zone: None },
        ..Budget::default()
    }
}

fn order(request: u128, bound: u64) -> Order {
    Order {
        request: RequestId(request),
        subject: Subject { key: "key-a".into(), model: "m".into(), ..Subject::default() },
        asked: "auto".into(),
        price: PRICE,
        bound: Nanos(bound),
        free: false,
    }
}

fn used(prompt: u64, cached: u64, completion: u64) -> Usage {
    let (prompt, cached, completion) = (Tokens(prompt), Tokens(cached), Tokens(completion));
    Usage { prompt, cached, completion, cost: Nanos::ZERO }
}

async fn records(accounts: &Accounts) -> Vec<UsageRecord> {
    accounts.flush().await;
    accounts.usage(UsageQuery { limit: 100, ..UsageQuery::default() }).await.unwrap().records
}

fn state(accounts: &Accounts) -> BudgetState {
    accounts.budget("all").unwrap()
}

#[tokio::test]
async fn what_is_set_aside_is_settled_recorded_and_survives_a_restart() {
    let store = MemoryStore::default();
    let (accounts, _alerts) = open(&store);
    accounts.put_budget(budget("all", 100)).await.unwrap();
    let bill = accounts.reserve(order(1, 60)).unwrap();
    assert_eq!((state(&accounts).settled, state(&accounts).reserved), (Nanos(0), Nanos(60)));
    assert!(matches!(accounts.reserve(order(2, 41)), Err(NotReserved::Ledger(ReserveError::OverBudget { .. }))));
    // 8 computed, 2 cached at half the price, 10 of answer at twice.
    let cost = bill.settle(&used(10, 2, 10), Outcome::Done).await;
    assert_eq!(cost, Nanos(8 + 1 + 20));
    let [record] = &records(&accounts).await[..] else { panic!("one record") };
    assert_eq!((record.cost, record.reserved, record.outcome), (cost, Nanos(60), Outcome::Done));
    assert_eq!((record.asked.as_str(), record.prompt, record.cached), ("auto", Tokens(10), Tokens(2)));
    drop(accounts);
    let (again, _alerts) = open(&store);
    assert_eq!((state(&again).settled, state(&again).reserved), (Nanos(29), Nanos(0)));
}

#[tokio::test]
async fn a_bill_that_is_dropped_settles_what_is_known_to_be_used() {
    let store = MemoryStore::default();
    let (accounts, _alerts) = open(&store);
    accounts.put_budget(budget("all", 100)).await.unwrap();
    let mut bill = accounts.reserve(order(1, 60)).unwrap();
    bill.add(Tokens(10), Tokens(0), Tokens(3));
    bill.add(Tokens(10), Tokens(0), Tokens(2));
    drop(bill);
    drop(accounts.reserve(order(2, 60)).unwrap());
    let all = records(&accounts).await;
    let told: Vec<_> = all.iter().map(|record| (record.request.0, record.cost, record.outcome)).collect();
    assert_eq!(told, [(1, Nanos(20), Outcome::Failed), (2, Nanos(0), Outcome::Failed)]);
    assert_eq!((state(&accounts).settled, state(&accounts).reserved), (Nanos(20), Nanos(0)));
}

#[tokio::test]
async fn what_goes_to_somebody_else_leaves_no_record_and_its_id_can_be_used_again() {
    let (accounts, _alerts) = open(&MemoryStore::default());
    accounts.put_budget(budget("all", 100)).await.unwrap();
    accounts.reserve(order(1, 60)).unwrap().give_back().await;
    assert_eq!(state(&accounts).reserved, Nanos(0));
    accounts.reserve(order(1, 90)).unwrap().settle(&used(1, 0, 0), Outcome::Done).await;
    assert_eq!(records(&accounts).await.len(), 1);
}

#[tokio::test]
async fn more_than_was_set_aside_is_told_and_not_booked() {
    let (accounts, _alerts) = open(&MemoryStore::default());
    accounts.put_budget(budget("all", 100)).await.unwrap();
    let mut bill = accounts.reserve(order(1, 10)).unwrap();
    bill.dispute(Nanos(7));
    assert_eq!(bill.settle(&used(0, 0, 100), Outcome::Done).await, Nanos(10));
    let record = records(&accounts).await.remove(0);
    assert_eq!((record.cost, record.disputed, record.completion), (Nanos(10), Nanos(197), Tokens(100)));
}

#[tokio::test]
async fn a_request_that_was_paid_for_costs_nothing() {
    let (accounts, _alerts) = open(&MemoryStore::default());
    accounts.put_budget(budget("all", 1)).await.unwrap();
    let free = Order { free: true, ..order(1, 0) };
    assert_eq!(accounts.reserve(free).unwrap().settle(&used(5, 0, 5), Outcome::Done).await, Nanos(0));
    assert_eq!(records(&accounts).await[0].completion, Tokens(5));
}

#[tokio::test]
async fn alerts_come_once_and_not_again_after_a_restart() {
    let store = MemoryStore::default();
    let (accounts, mut alerts) = open(&store);
    accounts.put_budget(budget("all", 100)).await.unwrap();
    accounts.reserve(order(1, 60)).unwrap().settle(&used(55, 0, 0), Outcome::Done).await;
    let alert = alerts.try_recv().unwrap();
    assert_eq!((alert.budget.as_str(), alert.share, alert.settled), ("all", 50, Nanos(55)));
    assert!(accounts.reserve(order(2, 60)).is_err());
    assert_eq!(alerts.try_recv().unwrap().share, 100);
    assert!(accounts.reserve(order(3, 60)).is_err());
    assert!(alerts.try_recv().is_err());
    accounts.flush().await;
    let (again, mut alerts) = open(&store);
    assert!(again.reserve(order(4, 60)).is_err());
    assert!(alerts.try_recv().is_err(), "it was told before the restart");
}

#[tokio::test]
async fn what_a_provider_may_have_computed_counts_after_a_loss() {
    let store = MemoryStore::default();
    let (accounts, _alerts) = open(&store);
    accounts.put_budget(budget("all", 100)).await.unwrap();
    let mut own = accounts.reserve(order(1, 10)).unwrap();
    own.add(Tokens(1), Tokens(0), Tokens(1));
    let mut sent = accounts.reserve(order(2, 30)).unwrap();
    sent.journal().await.unwrap();
    let mut settled = accounts.reserve(order(3, 20)).unwrap();
    settled.journal().await.unwrap();
    settled.settle(&used(5, 0, 0), Outcome::Done).await;
    let mut refused = accounts.reserve(order(4, 20)).unwrap();
    refused.journal().await.unwrap();
    refused.give_back().await;
    accounts.flush().await;
    // As a kill does: nobody settles.
    std::mem::forget((own, sent));
    let (again, _alerts) = open(&store);
    assert_eq!((state(&again).settled, state(&again).reserved), (Nanos(35), Nanos(0)));
    let lost: Vec<_> = records(&again).await.into_iter().filter(|record| record.outcome == Outcome::Lost).collect();
    assert_eq!(lost.iter().map(|record| (record.request.0, record.cost)).collect::<Vec<_>>(), [(2, Nanos(30))]);
    drop(again);
    let (third, _alerts) = open(&store);
    assert_eq!(state(&third).settled, Nanos(35), "it is booked once");
}

#[tokio::test]
async fn a_lowered_budget_lets_what_runs_settle_and_nothing_new_in() {
    let (accounts, _alerts) = open(&MemoryStore::default());
    accounts.put_budget(budget("all", 100)).await.unwrap();
    let bill = accounts.reserve(order(1, 80)).unwrap();
    accounts.put_budget(budget("all", 10)).await.unwrap();
    assert!(accounts.reserve(order(2, 1)).is_err());
    assert_eq!(bill.settle(&used(70, 0, 0), Outcome::Done).await, Nanos(70));
    assert_eq!(state(&accounts).settled, Nanos(70));
    accounts.remove_budget("all").await.unwrap();
    assert!(accounts.reserve(order(3, 1_000)).is_ok());
    assert!(accounts.remove_budget("all").await.unwrap_err().to_string().contains("troupe budget list"));
}

#[tokio::test]
async fn keys_are_stored_before_they_count() {
    let store = MemoryStore::default();
    let (accounts, _alerts) = open(&store);
    let record = KeyRecord { id: "key-a".into(), hash: [1; 32], ..KeyRecord::default() };
    accounts.put_key(record.clone()).await.unwrap();
    let (again, _alerts) = open(&store);
    assert_eq!(*again.keys().find(&[1; 32], NOW).unwrap(), record);
    assert!(again.key("key-b").unwrap_err().to_string().contains("troupe key list"));
}

#[tokio::test]
async fn while_nothing_can_be_recorded_nothing_is_let_in_and_nothing_is_lost() {
    let store = Arc::new(FaultyStore::default());
    let (accounts, _alerts) = Accounts::open(Arc::clone(&store) as _, clock()).unwrap();
    accounts.put_budget(budget("all", 100)).await.unwrap();
    let (first, second) = (accounts.reserve(order(1, 20)).unwrap(), accounts.reserve(order(2, 20)).unwrap());
    store.fail(true);
    assert_eq!(first.settle(&used(10, 0, 0), Outcome::Done).await, Nanos(10), "the client is answered all the same");
    assert!(matches!(accounts.reserve(order(3, 1)), Err(NotReserved::Store(_))));
    second.settle(&used(5, 0, 0), Outcome::Done).await;
    accounts.flush().await;
    assert!(accounts.reserve(order(3, 1)).is_err());
    store.fail(false);
    let all = records(&accounts).await;
    assert_eq!(all.iter().map(|record| record.cost).collect::<Vec<_>>(), [Nanos(10), Nanos(5)]);
    accounts.reserve(order(3, 1)).unwrap();
    assert_eq!(store.load().unwrap().spent["all"].settled, Nanos(15));
}
