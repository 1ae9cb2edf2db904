use std::convert::Infallible;
use std::time::Duration;

use protocol::units::{Blocks, Percentile, Tokens};

use super::*;
use crate::trace::Request;

/// 1,000 prompt tokens a second, a token of an answer each 10 ms.
pub(super) fn profile() -> Profile {
    Profile {
        name: "test".into(),
        source: "made up".into(),
        prefill: Duration::from_millis(1),
        prefill_context: Duration::ZERO,
        step: Duration::from_millis(10),
        sequence: Duration::ZERO,
        sequence_context: Duration::ZERO,
        blocks: Blocks(1000),
        block: Tokens(32),
        queue: 256,
        batch: 64,
        step_tokens: Tokens(512),
        chunk: Tokens(256),
        context: Tokens(8192),
        hour: Nanos(2_000_000_000),
        price_source: "made up".into(),
    }
}

/// Prompts of 320 tokens, the first 64 of each alike, two each so often.
pub(super) fn trace(count: u64, gap: Duration) -> Trace {
    let request = |number: u64| Request {
        at: gap * u32::try_from(number / 2).unwrap(),
        input: Tokens(320),
        output: Tokens(5),
        blocks: (0..10).map(|at| if at < 2 { at } else { 100 + number * 10 + at }).collect(),
        session: None,
    };
    Trace { name: "test".into(), block: Tokens(32), requests: (0..count).map(request).collect() }
}

fn ttft(millis: u64) -> Target {
    Target { ttft: Some(Duration::from_millis(millis)), ..Target::default() }
}

const BOUNDS: Bounds = Bounds { first: 1, most: 16 };

#[test]
fn the_least_number_meets_the_target_and_one_less_does_not() {
    // Two prompts a second of about 260 ms each come together, twice a second.
    let (profile, trace) = (profile(), trace(200, Duration::from_millis(500)));
    let planned = plan(&profile, &trace, &ttft(500), BOUNDS, run::on(&profile, 1)).unwrap();
    let nodes = planned.nodes.unwrap();
    assert!(nodes > 1, "two at once on one node take more than 500 ms: {planned:?}");
    let target = ttft(500);
    assert!(target.met_by(planned.met().unwrap()));
    assert!(!target.met_by(&planned.tried[&(nodes - 1)]));
    let met = planned.met().unwrap();
    assert_eq!((met.requests(), met.refused), (200, 0));
    assert!(met.busy > 0.1 && met.busy < 1.0 && met.hits > 0.1 && met.hits <= 0.2, "{} {}", met.busy, met.hits);
    let again = plan(&profile, &trace, &target, BOUNDS, run::on(&profile, 1)).unwrap();
    assert_eq!(planned, again, "the same seed gives the same");
}

#[test]
fn headroom_asks_for_as_many_nodes_or_more() {
    let (profile, trace) = (profile(), trace(200, Duration::from_millis(500)));
    let nodes = |headroom| {
        let target = Target { headroom: Percent(headroom), ..ttft(700) };
        plan(&profile, &trace, &target, BOUNDS, run::on(&profile, 1)).unwrap().nodes.unwrap()
    };
    assert!(nodes(200) > nodes(0), "thrice as many requests need more nodes");
    let hurried = hurried(&trace, Percent(100));
    assert_eq!(hurried.requests.last().unwrap().at * 2, trace.requests.last().unwrap().at);
}

#[test]
fn why_there_is_none_is_said_with_what_was_missed() {
    let (profile, trace) = (profile(), trace(400, Duration::from_millis(50)));
    let bounds = Bounds { first: 1, most: 2 };
    let planned = plan(&profile, &trace, &ttft(400), bounds, run::on(&profile, 1)).unwrap();
    assert_eq!((planned.nodes, planned.tried.len()), (None, 2));
    let why = planned.why.unwrap().to_string();
    assert!(why.starts_with("2 nodes do not meet it: p99 of TTFT is "), "{why}");
}

#[test]
fn nothing_is_run_for_what_no_number_can_mend() {
    let (profile, trace) = (profile(), trace(10, Duration::from_secs(1)));
    let run = |_: u32, _: &Trace| -> Result<Outcome, Infallible> { panic!("nothing was to be run") };
    let Ok(planned) = plan(&profile, &trace, &ttft(100), BOUNDS, run);
    assert_eq!((planned.nodes, planned.tried.len()), (None, 0));
    assert!(matches!(planned.why, Some(WhyNot::Impossible(Impossible::Slow { .. }))), "{planned:?}");
}

#[test]
fn money_is_by_nodes_and_hours() {
    assert_eq!(cost(Nanos(3), 4, MONTH), Nanos(3 * 4 * 730));
    assert_eq!(Percentile::default(), Percentile::P99);
}
