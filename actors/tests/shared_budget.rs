//! One budget, three coordinators with their stores: messages that are lost, disks that fail, kills at any write.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

#[path = "shared_budget/bed.rs"]
mod bed;

use std::collections::BTreeMap;
use std::time::Duration;

use actors::cost::escrow::NotSynced;
use actors::cost::{Bill, NotReserved};
use bed::{FIRST, LEASE, Seats, limit, order};
use policy::escrow::grantee::Refused;
use policy::restart::Jitter;
use proptest::prelude::*;
use protocol::account::{KeyLimits, KeyRecord, Outcome};
use protocol::answer::Usage;
use protocol::ids::RequestId;
use protocol::units::{Nanos, Tokens};

/// Uses so many nanos: a token costs one.
fn used(nanos: u64) -> Usage {
    Usage { completion: Tokens(nanos), ..Usage::default() }
}

#[tokio::test]
async fn what_a_grantee_spends_is_booked_once_and_its_keys_are_the_holders() {
    let seats = Seats::open(2).await;
    seats.seat(0).accounts().put_key(KeyRecord { id: "key-1".into(), ..KeyRecord::default() }).await.unwrap();
    let grantee = seats.seat(1).accounts();
    assert!(grantee.is_new() && grantee.journals() && !seats.seat(0).accounts().journals());
    let closed = grantee.reserve(order(1, 10)).unwrap_err();
    assert!(matches!(closed, NotReserved::Escrow(Refused::Closed { .. })), "{closed}");
    seats.exchange(1).await;
    assert!(!grantee.is_new() && grantee.key("key-1").is_ok());
    // The first is turned away and makes itself known; with the next grant it passes.
    let slice = grantee.reserve(order(1, 10)).unwrap_err();
    assert!(matches!(slice, NotReserved::Escrow(Refused::Slice { .. })), "{slice}");
    seats.exchange(1).await;
    let mut bill = grantee.reserve(order(1, 10)).unwrap();
    bill.journal().await.unwrap();
    bill.dispute(Nanos(3));
    assert_eq!(bill.settle(&used(12), Outcome::Done).await, Nanos(10));
    assert_eq!(seats.stands().settled, Nanos::ZERO);
    seats.exchange(1).await;
    let records = seats.records().await;
    assert_eq!((records[0].cost, records[0].reserved, records[0].disputed), (Nanos(10), Nanos(10), Nanos(5)));
    seats.exchange(1).await;
    assert_eq!((seats.stands().settled, seats.records().await.len()), (Nanos(10), 1));
}

#[tokio::test]
async fn a_request_waits_for_a_larger_slice_and_not_for_ever() {
    let seats = Seats::open(2).await;
    let grantee = seats.seat(1).accounts();
    seats.exchange(1).await;
    let waiting = tokio::spawn({
        let grantee = grantee.clone();
        async move { grantee.reserve_within(order(1, 10), Duration::from_secs(30)).await }
    });
    // It is due at once, since somebody asks.
    grantee.due().await;
    while !waiting.is_finished() {
        seats.exchange(1).await;
        tokio::task::yield_now().await;
    }
    waiting.await.unwrap().unwrap().give_back().await;
    let refused = grantee.reserve_within(order(2, limit().0 / 2), Duration::from_millis(1)).await;
    assert!(matches!(refused, Err(NotReserved::Escrow(Refused::Slice { .. }))), "{refused:?}");
    let over = grantee.reserve_within(order(3, limit().0 + 1), Duration::from_secs(30)).await;
    assert!(matches!(over, Err(NotReserved::Ledger(_))), "{over:?}");
}

#[tokio::test]
async fn what_a_grantee_had_open_is_spent_when_it_is_back() {
    let mut seats = Seats::open(2).await;
    let (mut open, settled) = (seats.bill(1, 1, 10).await, seats.bill(1, 2, 20).await);
    open.journal().await.unwrap();
    assert_eq!(settled.settle(&used(7), Outcome::Done).await, Nanos(7));
    seats.kill(1);
    drop(open);
    seats.exchange(1).await;
    let mut costs: Vec<_> = seats.records().await.iter().map(|record| (record.cost, record.outcome)).collect();
    costs.sort_by_key(|(cost, _)| *cost);
    assert_eq!(costs, [(Nanos(7), Outcome::Done), (Nanos(10), Outcome::Lost)]);
    // Another start finds nothing more.
    seats.kill(1);
    seats.exchange(1).await;
    assert_eq!(seats.stands().settled, Nanos(17));
}

#[tokio::test]
async fn a_holder_whose_disk_fails_grants_nothing_and_books_all_once_it_is_mended() {
    let seats = Seats::open(2).await;
    let bill = seats.bill(1, 1, 10).await;
    bill.settle(&used(10), Outcome::Done).await;
    let grantee = seats.seat(1).accounts();
    let tell = grantee.tell().unwrap();
    seats.seat(0).disk().fail(true);
    for _ in 0..2 {
        let refused = seats.seat(0).accounts().sync(&tell).await;
        assert!(matches!(refused, Err(NotSynced::Store)), "{refused:?}");
    }
    assert_eq!(seats.records().await, []);
    seats.seat(0).disk().fail(false);
    seats.exchange(1).await;
    assert_eq!(seats.records().await.len(), 1);
    assert_eq!(seats.stands().settled, Nanos(10));
    let twice = grantee.sync(&tell).await;
    assert!(matches!(twice, Err(NotSynced::NotHolder)), "{twice:?}");
}

#[tokio::test]
async fn regression_no_sum_is_written_past_a_record_that_the_disk_refused() {
    let mut seats = Seats::open(2).await;
    for at in [0, 1] {
        let (mut first, second) = (seats.bill(at, 1, 10).await, seats.bill(at, 2, 20).await);
        first.journal().await.unwrap();
        seats.seat(at).disk().fail(true);
        first.settle(&used(4), Outcome::Done).await;
        if at == 1 {
            let told = seats.seat(1).accounts().tell().unwrap().sync.records;
            assert_eq!(told, [], "nobody hears of what is not on disk");
        }
        // With the second comes the first.
        seats.seat(at).disk().fail(false);
        second.settle(&used(5), Outcome::Done).await;
        seats.kill(at);
        seats.exchange(1).await;
        let costs: Nanos = seats.records().await.iter().map(|record| record.cost).sum();
        assert_eq!((costs, seats.stands().settled), (Nanos(9), Nanos(9)), "seat {at}");
        seats = Seats::open(2).await;
    }
}

#[tokio::test]
async fn hundreds_of_records_that_waited_for_the_disk_are_all_written() {
    let mut seats = Seats::open(2).await;
    for at in [0, 1] {
        let mut bills = Vec::new();
        for number in 0..600 {
            bills.push(seats.bill(at, 1 + number + 1000 * at as u128, 5).await);
        }
        seats.seat(at).disk().fail(true);
        for bill in bills {
            bill.settle(&used(3), Outcome::Done).await;
        }
        seats.seat(at).disk().fail(false);
        seats.seat(at).accounts().flush().await;
        seats.kill(at);
    }
    assert_eq!((seats.records().await.len(), seats.stands().settled), (600, Nanos(1800)));
    // A message has few of them.
    while seats.stands().settled < Nanos(3600) {
        seats.exchange(1).await;
    }
    let records = seats.records().await;
    assert_eq!(records.len(), 1000, "a page is full");
    assert!(records.iter().all(|record| record.cost == Nanos(3)));
}

#[tokio::test]
async fn regression_what_is_given_back_while_the_disk_fails_is_not_spent_after_a_kill() {
    for at in [0, 1] {
        let mut seats = Seats::open(2).await;
        let mut bill = seats.bill(at, 1, 10).await;
        bill.journal().await.unwrap();
        seats.seat(at).disk().fail(true);
        bill.give_back().await;
        let refused = seats.seat(at).accounts().reserve(order(2, 10));
        assert!(matches!(refused, Err(NotReserved::Store(_))), "{refused:?}");
        seats.seat(at).disk().fail(false);
        seats.seat(at).accounts().flush().await;
        assert_eq!(seats.seat(at).accounts().open_reservations(), 0);
        seats.kill(at);
        seats.exchange(1).await;
        assert_eq!(seats.stands().settled, Nanos::ZERO, "seat {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_are_there_share_the_limits_of_keys() {
    let seats = Seats::open(3).await;
    let limits = KeyLimits { requests_per_minute: Some(61), ..KeyLimits::default() };
    let part = |at: usize| seats.seat(at).accounts().pace().state("key-1", &limits).requests.unwrap().limit;
    seats.exchange(1).await;
    assert_eq!((part(0), part(1)), (31, 30), "the other has not come yet");
    seats.exchange(2).await;
    seats.exchange(1).await;
    let mut parts = [part(0), part(1), part(2)];
    assert_eq!(parts.iter().sum::<u64>(), 61);
    parts.sort_unstable();
    assert_eq!(parts, [20, 20, 21]);
    // One is not heard of for the lease: the others have its part.
    tokio::time::advance(LEASE).await;
    seats.exchange(1).await;
    assert_eq!((part(0), part(1)), (31, 30));
}

/// A reservation, and what is known of it.
struct Open {
    at: usize,
    request: RequestId,
    bill: Bill,
    bound: Nanos,
}

/// What must be found in the end.
#[derive(Default)]
struct Known {
    /// Settled, and on disk before whoever asked heard of it.
    sure: BTreeMap<RequestId, Nanos>,
    /// The most that each may cost.
    most: BTreeMap<RequestId, Nanos>,
}

async fn random(seed: u64, steps: usize) {
    let mut jitter = Jitter::new(seed);
    let mut draw = move |below: u64| (jitter.draw() * below as f64) as u64;
    let mut seats = Seats::open(3).await;
    let (mut open, mut known, mut next) = (Vec::<Open>::new(), Known::default(), 0_u128);
    for _ in 0..steps {
        let at = draw(3) as usize;
        match draw(100) {
            0..40 => {
                next += 1;
                let bound = Nanos(1 + draw(limit().0 / 8));
                let (request, seat) = (RequestId(FIRST + next), seats.seat(at));
                if let Ok(mut bill) = seat.accounts().reserve(order(next, bound.0)) {
                    known.most.insert(request, bound);
                    match bill.journal().await {
                        Ok(()) => open.push(Open { at, request, bill, bound }),
                        Err(_) => bill.give_back().await,
                    }
                }
            }
            40..60 if !open.is_empty() => {
                let Open { at, request, bill, bound } = open.swap_remove(draw(open.len() as u64) as usize);
                let cost = bill.settle(&used(draw(bound.0 + 5)), Outcome::Done).await;
                if seats.seat(at).disk().works() {
                    known.sure.insert(request, cost);
                }
            }
            60..65 if !open.is_empty() => {
                open.swap_remove(draw(open.len() as u64) as usize).bill.give_back().await;
            }
            65..90 => {
                let at = 1 + draw(2) as usize;
                let Some(tell) = seats.seat(at).accounts().tell() else { continue };
                // Messages are lost, doubled and late.
                if draw(5) > 0 {
                    let answer = seats.seat(0).accounts().sync(&tell).await;
                    if draw(5) == 0 {
                        let _ = seats.seat(0).accounts().sync(&tell).await;
                    }
                    if let Ok(answer) = answer
                        && draw(5) > 0
                    {
                        let _ = seats.seat(at).accounts().answered(answer);
                    }
                }
            }
            90..96 => seats.seat(at).disk().fail_after(draw(6)),
            _ => {
                seats.kill(at);
                open.retain(|open| open.at != at);
            }
        }
        let state = seats.stands();
        assert!(state.settled + state.reserved <= limit(), "{state:?}");
    }
    for at in 0..3 {
        seats.kill(at);
    }
    open.clear();
    for _ in 0..8 {
        seats.exchange(1).await;
        seats.exchange(2).await;
    }
    let (records, state) = (seats.records().await, seats.stands());
    assert_eq!(records.iter().map(|record| record.cost).sum::<Nanos>(), state.settled, "to the nano");
    assert_eq!(state.reserved, Nanos::ZERO);
    let mut found = BTreeMap::new();
    for record in &records {
        assert_eq!(found.insert(record.request, record.cost), None, "twice: {record:?}");
        assert!(record.cost <= known.most[&record.request], "{record:?}");
    }
    for (request, cost) in known.sure {
        assert_eq!(found.get(&request), Some(&cost), "{request:?} was settled");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_counted_twice_and_no_budget_exceeded_whatever_fails(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(random(seed, 250));
    }
}
