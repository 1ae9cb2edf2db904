use policy::index::Index;

use super::super::fleet::Event;
use super::storm::Storm;
use super::*;

const RATE: u64 = 1_000_000;

/// A clock that goes on by a microsecond each time it is read, and once stands for longer.
fn clock(stall: Option<(u64, Duration)>) -> impl FnMut() -> Duration {
    let (mut reads, mut now) = (0, Duration::ZERO);
    move || {
        reads += 1;
        now += Duration::from_micros(1);
        now += stall.filter(|(at, _)| *at == reads).map_or(Duration::ZERO, |(_, long)| long);
        now
    }
}

fn setting(operations: u64) -> (Fleet, Desk, Index, Vec<Event>) {
    let mut fleet = Fleet::new(20, 600, &mut Jitter::new(1));
    let (index, desk) = (fleet.index(), Desk::new(&fleet, 1));
    let events = fleet.events(operations);
    (fleet, desk, index, events)
}

#[test]
fn whatever_comes_while_nothing_is_done_has_waited() {
    let (fleet, mut desk, mut index, events) = setting(100_000);
    let calm = open_loop(&fleet, &mut desk, &mut index, &events, RATE, &mut clock(None));
    assert!(calm.events.iter().all(|latency| *latency < Duration::from_millis(1)), "{:?}", calm.events.iter().max());
    let (fleet, mut desk, mut index, events) = setting(100_000);
    let stall = Duration::from_millis(40);
    let storm = open_loop(&fleet, &mut desk, &mut index, &events, RATE, &mut clock(Some((20_000, stall))));
    let long = |times: &[Duration]| times.iter().filter(|time| **time > stall / 2).count();
    // Half of what came within the 40 ms: 20,000 operations, and 40 requests.
    let each = 100_000 / events.len();
    assert!(long(&storm.events) >= 19_000 / each, "{} events", long(&storm.events));
    assert!(long(&storm.waited) >= 38, "{} requests", long(&storm.waited));
    assert!(storm.placements.iter().all(|took| *took < Duration::from_millis(1)), "no placement took it itself");
}

#[test]
fn what_the_index_refuses_is_not_applied() {
    let (fleet, mut desk, mut index, mut events) = setting(40_000);
    let lost = events.remove(3);
    let later: u64 = events.iter().skip(3).filter(|event| event.node == lost.node).map(Event::operations).sum();
    let all: u64 = events.iter().map(Event::operations).sum();
    let Storm { taken, .. } = open_loop(&fleet, &mut desk, &mut index, &events, RATE, &mut clock(None));
    assert!(later > 0);
    assert_eq!((taken.came, taken.applied, taken.refused), (all, all - later, later));
}

#[test]
fn a_backlog_is_counted_from_its_first_event_to_its_last() {
    let (fleet, mut desk, mut index, events) = setting(40_000);
    let all: u64 = events.iter().map(Event::operations).sum();
    let (taken, placements) =
        backlog(&fleet, &mut desk, &mut index, &events, &mut clock(Some((50, Duration::from_millis(100)))));
    assert_eq!((taken.came, taken.applied, taken.refused), (all, all, 0));
    assert!(taken.took >= 100.0 && placements >= 199, "{taken:?}, {placements}");
    assert!((taken.rate - all as f64 / taken.took * 1e3).abs() < 1.0);
}

#[test]
fn all_of_it_is_measured() {
    let load = Load { nodes: 20, blocks: 600, placements: 200, operations: 20_000, rate: 10_000_000, seed: 1 };
    let measured = measure_by(&load, &mut clock(None));
    assert!(measured.common.p50 > 0.0 && measured.placement.p50 > 0.0 && measured.events.longest > 0.0);
    assert_eq!((measured.steady.refused, measured.backlog.refused), (0, 0));
    assert!(measured.steady.came + measured.backlog.came >= 20_000, "{measured:?}");
    assert!(measured.held > 20 * 400, "{measured:?}");
}
