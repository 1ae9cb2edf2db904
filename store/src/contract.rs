//! The suite that every implementation of [`Store`] passes: one function per promise of the trait.
//!
//! Rules: a store is seen through the trait alone. A broken promise is a panic that says which.
//!
//! A crate with a store enables the feature `contract` in its dev-dependencies, implements [`Bench`] and
//! [`Place`], and calls [`all`] (or one function per test, for better names) from a test.

#![expect(clippy::expect_used, reason = "this module is a test suite that other crates call")]

use std::sync::Arc;

use protocol::account::{Outcome, Spent, Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::manage::{UsagePlace, UsageQuery};
use protocol::units::{Nanos, Tokens, UnixMillis};

use crate::{Grouping, MAX_NAME, Store, StoreError, Total, Write};

mod changes;
mod faulty;
mod folding;
mod lists;

pub use changes::{
    a_bad_batch_leaves_nothing, a_closed_store_refuses, all_comes_back, budgets_go_with_what_was_spent,
    later_writes_win, reservations_close, settled_requests_are_not_reserved, usage_counts_once,
};
pub use faulty::FaultyStore;
pub use folding::{folded_records_stay_known, folding_keeps_totals, late_records_join_their_day};
pub use lists::{counters_tell_the_ends, filters_hold, pages_are_in_order, spans_hold, totals_are_sums};

/// Makes stores for the suite.
pub trait Bench {
    /// A place with nothing in it.
    fn fresh(&self) -> Box<dyn Place>;
}

/// Where one store lives.
pub trait Place {
    /// Opens the store there. What was opened before is dropped by then; what it kept must be there.
    fn open(&self) -> Arc<dyn Store>;
}

/// Every promise, one after the other.
pub fn all(bench: &dyn Bench) {
    for promise in PROMISES {
        promise(bench);
    }
}

/// One function per promise.
pub const PROMISES: &[fn(&dyn Bench)] = &[
    all_comes_back,
    later_writes_win,
    budgets_go_with_what_was_spent,
    reservations_close,
    usage_counts_once,
    settled_requests_are_not_reserved,
    a_bad_batch_leaves_nothing,
    a_closed_store_refuses,
    pages_are_in_order,
    filters_hold,
    spans_hold,
    counters_tell_the_ends,
    totals_are_sums,
    folding_keeps_totals,
    folded_records_stay_known,
    late_records_join_their_day,
];

const DAY: u64 = 86_400_000;
/// 2026-11-28, at midnight.
const TODAY: u64 = 20_785 * DAY;

/// A record that differs from every other in all that can be asked for.
fn record(number: u64, at: u64) -> UsageRecord {
    let choose = |what: &str, of: u64| format!("{what}{}", number % of);
    UsageRecord {
        request: RequestId(u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number)),
        at: UnixMillis(at),
        subject: Subject {
            organisation: number.is_multiple_of(2).then(|| choose("org", 4)),
            team: number.is_multiple_of(4).then(|| choose("team", 8)),
            key: choose("key-", 5),
            model: choose("model", 3),
            tags: (0..number % 4).rev().map(|tag| format!("tag{tag}")).collect(),
            provider: number.is_multiple_of(3).then(|| choose("provider", 6)),
        },
        asked: "auto".to_owned(),
        prompt: Tokens(100 + number),
        cached: Tokens(number % 100),
        completion: Tokens(10 + number),
        reserved: Nanos(2_000_000 + number),
        cost: Nanos(1_000_001 + number),
        disputed: Nanos(number % 2),
        outcome: if number.is_multiple_of(7) { Outcome::Cancelled } else { Outcome::Done },
    }
}

fn commit(store: &dyn Store, batch: Vec<Write>) {
    let receipt = store.commit(&batch).expect("a batch in order is committed");
    assert_eq!(receipt.duplicates, [], "nothing was there before");
}

fn commit_usage(store: &dyn Store, records: &[UsageRecord]) {
    for records in records.chunks(97) {
        commit(store, records.iter().cloned().map(Write::Usage).collect());
    }
}

fn in_order(mut records: Vec<UsageRecord>) -> Vec<UsageRecord> {
    records.sort_by_key(|record| (record.at, record.request));
    records
}

/// Everything that matches, page by page.
fn read_all(store: &dyn Store, mut query: UsageQuery) -> Vec<UsageRecord> {
    let mut records = Vec::new();
    loop {
        let page = store.usage(&query).expect("usage can be read");
        assert!(query.limit == 0 || page.records.len() <= query.limit as usize, "a page holds at most its limit");
        records.extend(page.records);
        match page.next {
            Some(next) => {
                assert!(query.after.is_none_or(|after| next > after), "each page goes on behind the one before");
                query.after = Some(next);
            }
            None => return records,
        }
    }
}

/// Every grouping there is.
const GROUPINGS: [Grouping; 7] = [
    Grouping::Key,
    Grouping::Model,
    Grouping::Provider,
    Grouping::Tag,
    Grouping::Organisation,
    Grouping::Team,
    Grouping::Day,
];
