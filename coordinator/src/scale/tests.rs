use actors::cluster::recent::Asked;
use protocol::config::ModelPrice;
use protocol::money::Money;
use protocol::units::Percentile;

use super::*;

fn advice(requests: u64, minutes: u64, percentile: &str) -> ScaleAdvice {
    ScaleAdvice {
        target: ScaleQuery { percentile: percentile.parse().unwrap(), ..ScaleQuery::default() },
        requests,
        over: Duration::from_secs(60 * minutes),
        ..ScaleAdvice::default()
    }
}

#[test]
fn one_is_advised_at_a_time() {
    let scaling = Scaling::new(&Config::default());
    let first = scaling.take().unwrap();
    let busy = scaling.take().unwrap_err();
    assert_eq!((busy.kind, busy.retry_after), (ErrorKind::Busy, Some(AGAIN)));
    drop(first);
    assert!(scaling.take().is_ok());
}

#[test]
fn a_node_costs_what_its_gpus_do() {
    let mut config = Config::default();
    let hour = ModelPrice { gpu_hour: Some(Money(Nanos(2_000_000_000))), gpus: Some(4), ..ModelPrice::default() };
    config.prices.models.insert("timed".into(), hour);
    let tokens = ModelPrice { input: Some(Money(Nanos(1))), output: Some(Money(Nanos(1))), ..ModelPrice::default() };
    config.prices.models.insert("by-token".into(), tokens);
    let scaling = Scaling::new(&config);
    assert_eq!(scaling.hours, BTreeMap::from([("timed".to_owned(), Nanos(8_000_000_000))]));
}

#[test]
fn few_requests_or_little_time_make_it_unsure() {
    assert_eq!(sure(&advice(99, 60, "0.5")), Sure::Little);
    assert_eq!(sure(&advice(400, 60, "0.999")), Sure::Little, "not one lies beyond the percentile");
    assert_eq!(sure(&advice(400, 60, "0.99")), Sure::Fairly, "4 lie beyond it");
    assert_eq!(sure(&advice(2000, 5, "0.99")), Sure::Fairly);
    assert_eq!(sure(&advice(2000, 60, "0.99")), Sure::Well);
}

#[test]
fn a_replay_that_is_far_from_what_was_measured_is_told() {
    let with = |measured: u64, replayed: u64| {
        let row = ScaleRow { nodes: 2, ttft: Some(Duration::from_millis(replayed)), ..ScaleRow::default() };
        let advice = advice(100, 1, "0.99");
        mismatch(&ScaleAdvice { nodes: 2, measured: Some(Duration::from_millis(measured)), rows: vec![row], ..advice })
    };
    assert_eq!((with(500, 300), with(12, 1)), (None, None));
    let note = with(900, 300).unwrap();
    assert!(note.contains("900 ms") && note.contains("300 ms") && note.contains("p99"), "{note}");
    assert_eq!(Percentile::default(), Percentile::P99);
}

fn asked(number: u64, answer: Option<u64>, tokens: u64) -> Asked {
    Asked {
        at: Duration::from_millis(number),
        prompt: Tokens(32),
        answer: answer.map(Tokens),
        first: answer.map(|_| Duration::from_millis(tokens)),
        blocks: Vec::new(),
        session: None,
    }
}

fn remembered(asked: Vec<Asked>) -> Remembered {
    Remembered { block: Tokens(128), asked, forgotten: 0, over: Duration::from_secs(60) }
}

fn worked(remembered: &Remembered, target: ScaleQuery, patience: Duration) -> ScaleAdvice {
    let profile = Profile::by_name("troupe-cpu").unwrap();
    let setup = Scaling::new(&Config::default()).setup(profile.clone());
    let advice = ScaleAdvice { model: "m".into(), nodes: 1, target, ..ScaleAdvice::default() };
    work(advice, remembered, &profile, setup, patience).unwrap()
}

fn target(ttft: Option<Duration>) -> ScaleQuery {
    ScaleQuery {
        ttft,
        inter_token: ttft.is_none().then_some(Duration::from_nanos(1)),
        most: 2,
        ..ScaleQuery::default()
    }
}

#[test]
fn what_is_left_out_is_not_counted() {
    // The older half, none of which a node took, does not fit: half of all that may be is in the last answer alone.
    let old = (0..3).map(|number| asked(number, None, 0));
    let all = remembered(old.chain([asked(3, Some(900_000), 7), asked(4, Some(90_000), 7)]).collect());
    let advice = worked(&all, target(None), PATIENCE);
    assert_eq!((advice.requests, advice.unserved), (2, 0));
    assert_eq!(advice.measured, Some(Duration::from_millis(7)), "nobody who counts was refused");
}

#[test]
fn why_there_is_no_advice_is_true_of_each_case() {
    let all = remembered((0..60).map(|number| asked(number, Some(20), 7)).collect());
    let because = |target, patience| worked(&all, target, patience).because.unwrap();
    let slow = because(target(Some(Duration::from_secs(5))), Duration::ZERO);
    assert!(slow.starts_with("the search was not over within 0ns"), "{slow}");
    let impossible = because(target(None), PATIENCE);
    assert!(impossible.ends_with("; more nodes alone do not help"), "{impossible}");
    let few = because(target(Some(Duration::from_millis(300))), PATIENCE);
    assert!(few.starts_with("2 nodes do not meet it") && !few.contains("alone"), "{few}");
}

#[test]
fn a_replay_has_the_queue_and_the_breaker_of_the_cluster() {
    let mut config = Config::default();
    config.queue.requests = 7;
    config.queue.patience = protocol::units::Span(Duration::from_secs(3));
    config.breaker.faults += 1;
    let setup = Scaling::new(&config).setup(Profile::by_name("troupe-cpu").unwrap());
    assert_eq!((setup.queue, setup.breaker, setup.patience), (config.queue, config.breaker, Duration::from_secs(3)));
}
