//! What is written is there, whole, once, and after a restart.

use protocol::account::{Budget, KeyRecord};
use protocol::money::Price;

use super::{
    Bench, MAX_NAME, Nanos, RequestId, Spent, StoreError, TODAY, UnixMillis, UsageQuery, Write, commit, record,
};
use crate::{BadBatch, Hard, MAX_SIZE, MAX_WRITES, OpenReservation};

fn key(id: &str, name: &str) -> KeyRecord {
    let mut key = KeyRecord { id: id.to_owned(), hash: [7; 32], created: UnixMillis(TODAY), ..KeyRecord::default() };
    key.settings.name = name.to_owned();
    key.settings.organisation = Some("Köln & Söhne".to_owned());
    key.settings.limits.tokens_per_minute = Some(10_000);
    key.settings.tags = vec!["a".to_owned(), String::new()];
    key.settings.fallbacks.insert("large".to_owned(), vec!["small".to_owned()]);
    key
}

fn budget(id: &str, limit: u64) -> Budget {
    Budget { id: id.to_owned(), limit: Nanos(limit), alerts: vec![50, 80, 100], ..Budget::default() }
}

fn spent(budget: &str, settled: u64) -> Spent {
    Spent { budget: budget.to_owned(), since: UnixMillis(TODAY), settled: Nanos(settled), alerted: 1 << 50 }
}

fn open(number: u64) -> OpenReservation {
    let record = record(number, TODAY);
    OpenReservation { request: record.request, at: record.at, subject: record.subject, amount: record.reserved }
}

/// One of everything is loaded as it was written, before and after a restart.
pub fn all_comes_back(bench: &dyn Bench) {
    let place = bench.fresh();
    let store = place.open();
    assert_eq!(store.load(), Ok(Hard::default()), "a fresh store is empty");
    assert_eq!(store.commit(&[]).map(|receipt| receipt.duplicates), Ok(vec![]), "an empty batch is fine");
    let price = Price { input: Nanos(1), cached: Nanos(2), output: Nanos(u64::MAX) };
    commit(
        &*store,
        vec![
            Write::PutKey(key("key-0123456789abcdef", "Anna")),
            Write::PutBudget(budget("all", u64::MAX)),
            Write::Spent(spent("all", u64::MAX)),
            Write::PutPrice { name: "provider/model".to_owned(), price },
            Write::Open(open(1)),
            Write::Usage(record(2, TODAY)),
            Write::PutBlob { name: "escrow".to_owned(), bytes: vec![0, 255, 1] },
            Write::PutBlob { name: "empty".to_owned(), bytes: vec![] },
        ],
    );
    let before = store.load().expect("the store can be read");
    assert_eq!(before.keys.get("key-0123456789abcdef"), Some(&key("key-0123456789abcdef", "Anna")));
    assert_eq!(before.budgets.get("all"), Some(&budget("all", u64::MAX)));
    assert_eq!(before.spent.get("all"), Some(&spent("all", u64::MAX)));
    assert_eq!(before.prices.get("provider/model"), Some(&price));
    assert_eq!(before.open.get(&open(1).request), Some(&open(1)));
    assert_eq!(before.blobs.get("escrow"), Some(&vec![0, 255, 1]));
    assert_eq!(before.blobs.get("empty"), Some(&vec![]));
    assert_eq!((before.counters.records, before.counters.ever), (1, 1));
    drop(store);
    let store = place.open();
    assert_eq!(store.load(), Ok(before), "a restart loses nothing");
    let page = store.usage(&UsageQuery::default()).expect("usage can be read");
    assert_eq!(page.records, [record(2, TODAY)]);
    assert_eq!(page.next, None);
}

/// The same name again takes the place of what was there, within a batch too; what is removed is gone.
pub fn later_writes_win(bench: &dyn Bench) {
    let place = bench.fresh();
    let store = place.open();
    let blob = |bytes: &[u8]| Write::PutBlob { name: "b".to_owned(), bytes: bytes.to_vec() };
    let price = |input| Write::PutPrice { name: "p".to_owned(), price: Price { input, ..Price::default() } };
    commit(&*store, vec![Write::PutKey(key("k", "one")), price(Nanos(1)), blob(b"1"), blob(b"2")]);
    commit(&*store, vec![Write::PutKey(key("k", "two")), Write::PutKey(key("k", "three")), price(Nanos(2))]);
    let hard = store.load().expect("the store can be read");
    assert_eq!(hard.keys.values().collect::<Vec<_>>(), [&key("k", "three")]);
    assert_eq!(hard.prices.values().map(|price| price.input).collect::<Vec<_>>(), [Nanos(2)]);
    assert_eq!(hard.blobs.values().collect::<Vec<_>>(), [b"2"]);
    commit(&*store, vec![Write::RemovePrice("p".to_owned()), Write::RemoveBlob("b".to_owned()), blob(b"3")]);
    commit(&*store, vec![Write::RemoveBlob("b".to_owned()), Write::RemoveBlob("never there".to_owned())]);
    let hard = store.load().expect("the store can be read");
    assert_eq!((hard.prices.len(), hard.blobs.len(), hard.keys.len()), (0, 0, 1));
}

/// A budget that changes keeps what was spent of it; one that is removed does not.
pub fn budgets_go_with_what_was_spent(bench: &dyn Bench) {
    let place = bench.fresh();
    let store = place.open();
    let spend = |id: &str, settled| Write::Spent(spent(id, settled));
    commit(&*store, vec![Write::PutBudget(budget("a", 5)), spend("a", 3), spend("in cluster.toml", 4)]);
    commit(&*store, vec![Write::PutBudget(budget("a", 2))]);
    let hard = store.load().expect("the store can be read");
    assert_eq!(hard.budgets.get("a"), Some(&budget("a", 2)));
    assert_eq!(hard.spent.get("a"), Some(&spent("a", 3)), "a lower limit changes nothing about what was spent");
    assert_eq!(hard.spent.get("in cluster.toml"), Some(&spent("in cluster.toml", 4)));
    commit(&*store, vec![Write::RemoveBudget("a".to_owned()), Write::RemoveBudget("never there".to_owned())]);
    let hard = store.load().expect("the store can be read");
    assert_eq!(hard.budgets.len(), 0);
    assert_eq!(hard.spent.keys().collect::<Vec<_>>(), ["in cluster.toml"]);
}

/// A reservation is there until it is closed; closing twice is harmless.
pub fn reservations_close(bench: &dyn Bench) {
    let place = bench.fresh();
    let store = place.open();
    commit(&*store, vec![Write::Open(open(1)), Write::Open(open(2))]);
    let more = OpenReservation { amount: Nanos(9), ..open(2) };
    commit(&*store, vec![Write::Close(open(1).request), Write::Open(more.clone())]);
    let hard = store.load().expect("the store can be read");
    assert_eq!(hard.open.values().collect::<Vec<_>>(), [&more]);
    commit(&*store, vec![Write::Close(open(1).request), Write::Close(open(2).request), Write::Close(RequestId(3))]);
    assert_eq!(store.load().map(|hard| hard.open.len()), Ok(0));
}

/// A record comes twice, in one batch, in two, with another time, after a restart: it counts once, as it first came.
pub fn usage_counts_once(bench: &dyn Bench) {
    let place = bench.fresh();
    let store = place.open();
    let (one, two) = (record(1, TODAY), record(2, TODAY));
    let again = OpenReservation::default();
    let other = protocol::account::UsageRecord { at: UnixMillis(TODAY + 5), cost: Nanos(77), ..one.clone() };
    let batch = [
        Write::Usage(one.clone()),
        Write::Spent(spent("b", 1)),
        Write::Usage(other.clone()),
        Write::Open(again),
        Write::Usage(two.clone()),
        Write::Usage(two.clone()),
    ];
    let receipt = store.commit(&batch).expect("a batch with a duplicate is committed");
    assert_eq!(receipt.duplicates, [one.request, two.request]);
    assert_eq!(receipt.skipped, [2, 5]);
    drop(store);
    let store = place.open();
    let receipt = store.commit(&[Write::Usage(other), Write::PutBlob { name: "b".to_owned(), bytes: vec![] }]);
    assert_eq!(receipt.map(|receipt| receipt.duplicates), Ok(vec![one.request]));
    let hard = store.load().expect("the store can be read");
    assert_eq!(hard.blobs.len(), 1, "what stands beside a duplicate is written");
    assert_eq!(hard.counters.ever, 2);
    let page = store.usage(&UsageQuery::default()).expect("usage can be read");
    assert_eq!(page.records, super::in_order(vec![one.clone(), two]), "the first counts");
    assert_eq!(store.usage_exists(one.request), Ok(true));
    assert_eq!(store.usage_exists(RequestId(12)), Ok(false));
}

/// A reservation that comes after the request's usage is a late replay: it would stay open for ever.
pub fn settled_requests_are_not_reserved(bench: &dyn Bench) {
    let place = bench.fresh();
    let store = place.open();
    let request = open(1).request;
    commit(&*store, vec![Write::Open(open(1)), Write::Usage(record(1, TODAY)), Write::Close(request)]);
    let receipt = store.commit(&[Write::Open(open(2)), Write::Open(open(1))]).expect("it is committed");
    assert_eq!((receipt.duplicates, receipt.skipped), (vec![request], vec![1]));
    let hard = store.load().expect("the store can be read");
    assert_eq!(hard.open.keys().copied().collect::<Vec<_>>(), [open(2).request]);
}

/// Whether a reason is the right one.
type Judge = fn(&BadBatch) -> bool;

/// A batch with one impossible write is refused whole, and the reason names the write.
pub fn a_bad_batch_leaves_nothing(bench: &dyn Bench) {
    let place = bench.fresh();
    let store = place.open();
    let long = "x".repeat(MAX_NAME + 1);
    let mut tagged = record(3, TODAY);
    tagged.subject.tags.push(long.clone());
    let mut many = record(3, TODAY);
    many.subject.tags = vec!["x".repeat(MAX_NAME); MAX_SIZE / MAX_NAME];
    let blob = |name: &str, bytes| Write::PutBlob { name: name.to_owned(), bytes: vec![0; bytes] };
    let cases: [(Write, Judge); 9] = [
        (blob("", 1), |bad| matches!(bad, BadBatch::Unnamed { place: 2, what: "blob name" })),
        (blob(&long, 1), |bad| matches!(bad, BadBatch::LongName { place: 2, bytes, .. } if *bytes == MAX_NAME + 1)),
        (blob("b", MAX_SIZE), |bad| matches!(bad, BadBatch::LargeValue { place: 2, .. })),
        (Write::Usage(tagged), |bad| matches!(bad, BadBatch::LongName { place: 2, what: "tag", .. })),
        (Write::Usage(many), |bad| matches!(bad, BadBatch::LargeValue { place: 2, .. })),
        (Write::Usage(record(3, u64::MAX)), |bad| matches!(bad, BadBatch::Far { place: 2, at: u64::MAX })),
        (Write::PutKey(key("", "x")), |bad| matches!(bad, BadBatch::Unnamed { place: 2, .. })),
        (Write::PutBudget(budget(&long, 1)), |bad| matches!(bad, BadBatch::LongName { place: 2, .. })),
        (Write::RemovePrice(String::new()), |bad| matches!(bad, BadBatch::Unnamed { place: 2, .. })),
    ];
    for (write, right) in cases {
        let outcome = store.commit(&[Write::Usage(record(1, TODAY)), blob("good", 1), write.clone()]);
        assert!(matches!(&outcome, Err(StoreError::Refused(bad)) if right(bad)), "{write:?} gave {outcome:?}");
    }
    let outcome = store.commit(&vec![Write::Close(RequestId(1)); MAX_WRITES + 1]);
    assert_eq!(outcome, Err(StoreError::Refused(BadBatch::Long(MAX_WRITES + 1))));
    let half = MAX_SIZE / 2;
    let outcome = store.commit(&vec![blob("b", half); 9]);
    assert!(matches!(outcome, Err(StoreError::Refused(BadBatch::Large(bytes))) if bytes >= 9 * half), "{outcome:?}");
    assert_eq!(store.load(), Ok(Hard::default()), "nothing of a refused batch is there");
    commit(&*store, vec![blob(&"x".repeat(MAX_NAME), half); 7]);
}

/// After it is closed, a store says so, and its place can be opened again.
pub fn a_closed_store_refuses(bench: &dyn Bench) {
    let place = bench.fresh();
    let store = place.open();
    commit(&*store, vec![Write::Usage(record(1, TODAY))]);
    assert_eq!(store.close(), Ok(()));
    assert_eq!(store.load(), Err(StoreError::Closed));
    assert_eq!(store.commit(&[Write::Close(RequestId(1))]), Err(StoreError::Closed));
    assert_eq!(store.usage(&UsageQuery::default()), Err(StoreError::Closed));
    assert_eq!(store.totals(None, None, crate::Grouping::Key), Err(StoreError::Closed));
    assert_eq!(store.compact(UnixMillis(TODAY)), Err(StoreError::Closed));
    assert_eq!(store.usage_exists(RequestId(1)), Err(StoreError::Closed));
    assert_eq!(store.close(), Err(StoreError::Closed));
    drop(store);
    assert_eq!(place.open().load().map(|hard| hard.counters.records), Ok(1));
}
