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
