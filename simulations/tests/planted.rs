//! What checks must itself be checked: each mistake that is planted is found.
//! `cargo test -p simulations --features planted --test planted`

use policy::invariants::Invariant;
use policy::planted::{Bug, Planted};
use simulations::chaos::{Options, Plan, run};

/// What breaks in the first of 200 seeds that does.
fn found(bug: Bug) -> Option<Invariant> {
    let options = Options { planted: Planted::only(bug), keep: false };
    let broken = (0..200).find_map(|seed| run(&Plan::of(seed), options).breach.map(|breach| (seed, breach)));
    let (seed, breach) = broken?;
    println!("{}: seed {seed}: {breach}", bug.as_str());
    Some(breach.invariant)
}

#[test]
fn a_breaker_that_admits_all_when_half_open_is_found() {
    assert_eq!(found(Bug::LaxBreaker), Some(Invariant::OneProbe));
}

#[test]
fn a_reservation_that_leaks_on_migration_is_found() {
    assert_eq!(found(Bug::LeakedReservation), Some(Invariant::Owned));
}

#[test]
fn an_event_gap_that_is_ignored_is_found() {
    assert_eq!(found(Bug::IgnoredGap), Some(Invariant::IndexTrue));
}
