//! Coordinators that are lost: what becomes of the requests in their hands.

use super::*;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Those that ended; one that ends twice, or never, is an error of the run.
fn ended(results: &Results) -> u64 {
    let summary = results.summary(SECOND, SECOND);
    summary.done + summary.refused + summary.too_long
}

#[test]
fn who_is_lost_twice_before_its_clients_notice_has_them_come_once() {
    let trace = trace(400, at(10), 9);
    let faults = vec![
        (at(2_000), Fault::Lose(1)),
        (at(2_300), Fault::Restart(1)),
        (at(2_900), Fault::Lose(1)),
        (at(3_200), Fault::Restart(1)),
    ];
    let setup = Setup { coordinators: 2, faults, notice: 3 * SECOND, ..setup(4, Rule::Prefix) };
    let results = simulate(&setup, &trace).unwrap();
    assert_eq!(ended(&results), 400);
    let again = results.records.iter().filter(|record| record.took >= setup.notice).count();
    assert!(again > 0, "somebody was in its hands");
}

#[test]
fn a_lost_coordinators_queue_refuses_nobody() {
    // Two nodes are too few: many wait, and their patience ends while they are on their way to the other one.
    let trace = trace(300, at(5), 300);
    let faults = vec![(at(1_000), Fault::Lose(0))];
    let setup = Setup { coordinators: 2, faults, notice: 2 * SECOND, patience: SECOND, ..setup(2, Rule::Prefix) };
    let results = simulate(&setup, &trace).unwrap();
    assert_eq!(ended(&results), 300);
}

#[test]
fn whoever_finds_no_coordinator_is_refused_when_its_patience_ends() {
    let trace = trace(200, at(20), 9);
    let setup = |faults| Setup { faults, notice: at(300), patience: SECOND, ..setup(3, Rule::Prefix) };
    let results = simulate(&setup(vec![(at(2_000), Fault::Lose(0))]), &trace).unwrap();
    let late = || results.records.iter().filter(|record| record.arrived > at(2_000));
    assert!(late().count() > 50 && late().all(|record| (record.outcome, record.took) == (Outcome::Refused, SECOND)));
    // In time for most of those who came less than their patience before.
    let back = simulate(&setup(vec![(at(2_000), Fault::Lose(0)), (at(2_500), Fault::Restart(0))]), &trace).unwrap();
    let served = back.records.iter().filter(|record| record.arrived > at(2_000) && record.outcome == Outcome::Done);
    assert!(served.count() > late().count() / 2);
    // And if clients would try again at once.
    let hasty = Setup { notice: Duration::ZERO, ..setup(vec![(at(2_000), Fault::Lose(0))]) };
    assert_eq!(ended(&simulate(&hasty, &trace).unwrap()), 200);
}

#[test]
fn patience_that_ends_while_a_node_is_asked_ends_with_its_refusal() {
    // A node that is full for long, and asked again whenever it reports.
    let mut trace = trace(12, at(100), 12);
    trace.requests[0].output = Tokens(500);
    let full = Profile { queue: 1, batch: 1, ..profile() };
    let (wire, patience) = (at(400), SECOND);
    let setup = Setup { wire, patience, ..Setup::new(full, 1, Rule::Random) };
    let results = simulate(&setup, &trace).unwrap();
    let took = || results.records[1..].iter().map(|record| record.took);
    assert!(results.records[1..].iter().all(|record| record.outcome == Outcome::Refused));
    assert!(took().any(|took| took > patience), "somebody's patience ended while it was on its way");
    assert!(took().all(|took| took <= patience + 2 * wire), "{:?}", took().collect::<Vec<_>>());
}

#[test]
fn a_second_try_after_a_loss_computes_its_prompt_too() {
    // Long answers: those that are lost have had their first token, and begin again elsewhere.
    let mut trace = trace(40, at(100), 9);
    trace.requests.iter_mut().for_each(|request| request.output = Tokens(100));
    for rule in Rule::ALL {
        let faults = vec![(at(2_000), Fault::Lose(1))];
        let setup = Setup { coordinators: 2, faults, notice: at(300), ..setup(6, rule) };
        let mut world = world::World::new(&setup, &trace);
        world.drive(&|| true).unwrap();
        assert!(world.is_idle(), "what is due to nodes is nothing in the end: {rule:?}");
    }
}
