//! Both stores are the same store: whatever is written, asked, folded and restarted, they answer alike.

use std::sync::Arc;

use proptest::prelude::*;
use protocol::account::{Budget, Spent, Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::manage::{UsagePlace, UsageQuery};
use protocol::money::Price;
use protocol::units::{Nanos, Tokens, UnixMillis};
use store::{Grouping, MemoryStore, OpenReservation, RedbStore, Store, Write};

const HOUR: u64 = 3_600_000;

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Write>),
    Ask(UsageQuery),
    Sum(Option<UnixMillis>, Option<UnixMillis>, Grouping),
    Fold(UnixMillis),
    Restart,
}

/// Few names, so that they meet.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(str::to_owned)
}

fn request() -> impl Strategy<Value = RequestId> {
    (0..40_u128).prop_map(RequestId)
}

/// A few days, in hours.
fn moment() -> impl Strategy<Value = UnixMillis> {
    (0..100_u64).prop_map(|hour| UnixMillis(hour * HOUR))
}

fn maybe<T: Clone + std::fmt::Debug>(some: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop_oneof![some.prop_map(Some), Just(None)]
}

prop_compose! {
    fn subject()(
        organisation in maybe(name()), team in maybe(name()), key in name(), model in name(),
        tags in prop::collection::vec(name(), 0..4), provider in maybe(name()),
    ) -> Subject {
        Subject { organisation, team, key, model, tags, provider }
    }
}

prop_compose! {
    fn record()(request in request(), at in moment(), subject in subject(), tokens in 0..1_000_u64, cost in 0..1_u64 << 40)
    -> UsageRecord {
        UsageRecord { request, at, subject, prompt: Tokens(tokens), cost: Nanos(cost), ..UsageRecord::default() }
    }
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        6 => record().prop_map(Write::Usage),
        3 => (request(), moment(), subject(), 0..100_u64).prop_map(|(request, at, subject, amount)| {
            Write::Open(OpenReservation { request, at, subject, amount: Nanos(amount) })
        }),
        3 => request().prop_map(Write::Close),
        1 => (name(), any::<u64>()).prop_map(|(id, limit)| {
            Write::PutBudget(Budget { id, limit: Nanos(limit), ..Budget::default() })
        }),
        1 => name().prop_map(Write::RemoveBudget),
        1 => (name(), any::<u64>()).prop_map(|(budget, settled)| {
            Write::Spent(Spent { budget, settled: Nanos(settled), ..Spent::default() })
        }),
        1 => (name(), any::<u64>()).prop_map(|(name, input)| {
            Write::PutPrice { name, price: Price { input: Nanos(input), ..Price::default() } }
        }),
        1 => name().prop_map(Write::RemovePrice),
        1 => (name(), any::<Vec<u8>>()).prop_map(|(name, bytes)| Write::PutBlob { name, bytes }),
        1 => name().prop_map(Write::RemoveBlob),
        // Now and then, one that spoils its batch.
        1 => prop_oneof![Just(String::new()), Just("x".repeat(600)), name()].prop_map(Write::RemovePrice),
    ]
}

prop_compose! {
    fn query()(
        since in maybe(moment()), until in maybe(moment()), key in maybe(name()), model in maybe(name()),
        tag in maybe(name()), after in maybe((moment(), request())), limit in 0..9_u32,
    ) -> UsageQuery {
        let after = after.map(|(at, request)| UsagePlace { at, request });
        UsageQuery { since, until, key, model, tag, after, limit }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let by = prop::sample::select(vec![
        Grouping::Key,
        Grouping::Model,
        Grouping::Provider,
        Grouping::Tag,
        Grouping::Organisation,
        Grouping::Team,
        Grouping::Day,
    ]);
    prop_oneof![
        6 => prop::collection::vec(write(), 0..12).prop_map(Step::Commit),
        3 => query().prop_map(Step::Ask),
        3 => (maybe(moment()), maybe(moment()), by).prop_map(|(since, until, by)| Step::Sum(since, until, by)),
        1 => moment().prop_map(Step::Fold),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_answer_alike(steps in prop::collection::vec(step(), 1..30)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let model = MemoryStore::new();
        let mut store: Arc<dyn Store> = Arc::new(RedbStore::open(&path).unwrap());
        for step in steps {
            match step {
                Step::Commit(batch) => prop_assert_eq!(store.commit(&batch), model.commit(&batch)),
                Step::Ask(query) => prop_assert_eq!(store.usage(&query), model.usage(&query)),
                Step::Sum(since, until, by) => {
                    prop_assert_eq!(store.totals(since, until, by), model.totals(since, until, by));
                }
                Step::Fold(before) => {
                    let (one, other) = (store.compact(before).unwrap(), model.compact(before).unwrap());
                    prop_assert_eq!((one.records, one.totals), (other.records, other.totals));
                }
                Step::Restart => {
                    drop(store);
                    store = Arc::new(RedbStore::open(&path).unwrap());
                }
            }
            prop_assert_eq!(store.load(), model.load());
        }
    }
}
