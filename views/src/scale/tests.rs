use protocol::units::Percent;

use super::*;

fn advice(nodes: u32, advised: Option<u32>) -> ScaleAdvice {
    let target = ScaleQuery { ttft: Some(Duration::from_millis(500)), most: 64, ..ScaleQuery::default() };
    let row = |nodes| ScaleRow { nodes, meets: Some(nodes) >= advised, busy: Percent(50), ..ScaleRow::default() };
    ScaleAdvice {
        model: "m".into(),
        target,
        nodes,
        advised,
        requests: 4000,
        rows: (1..=4).map(row).collect(),
        hour: Some(Nanos(2_500_000_000)),
        currency: "USD".into(),
        sure: Sure::Well,
        ..ScaleAdvice::default()
    }
}

#[test]
fn the_advice_is_a_sentence() {
    let with = |change: &dyn Fn(&mut ScaleAdvice)| {
        let mut advice = advice(2, Some(3));
        change(&mut advice);
        sentence(&advice)
    };
    assert_eq!(with(&|_| {}), "add 1 node (2.50 USD an hour): 3 nodes meet p99 of TTFT within 500ms");
    assert_eq!(
        with(&|advice| (advice.nodes, advice.advised) = (3, Some(1))),
        "2 nodes may go (5.00 USD an hour): 1 node still meets p99 of TTFT within 500ms"
    );
    let little =
        with(&|advice| (advice.nodes, advice.sure, advice.requests, advice.hour) = (3, Sure::Little, 12, None));
    assert_eq!(little, "keep 3 nodes: no fewer meet p99 of TTFT within 500ms; 12 requests are too few to rely on it");
    let none = |because: &str, meets: bool| {
        with(&|advice| {
            (advice.advised, advice.because) = (None, Some(because.into()));
            advice.rows.iter_mut().for_each(|row| row.meets = meets && row.nodes >= 3);
        })
    };
    let start = "no number of nodes was found that meets p99 of TTFT within 500ms: ";
    // More may well help in the first two.
    for because in ["64 nodes do not meet it", "the search was not over within 20s", "a step takes longer"] {
        assert_eq!(none(because, false), format!("{start}{because}"));
    }
    let cut_short = none("the search was not over within 20s", true);
    assert!(cut_short.starts_with("3 nodes meet p99 of TTFT within 500ms, and fewer may: "), "{cut_short}");
    let more = with(&|advice| {
        advice.target.headroom = Percent(20);
        advice.target.latency = Some(Duration::from_secs(9));
    });
    assert!(more.ends_with("p99 of TTFT within 500ms, of latency within 9s, with 20% more asked"), "{more}");
}

#[test]
fn json_has_its_units() {
    let json = serde_json::to_value(AdviceView::from(&advice(2, Some(3)))).unwrap();
    assert_eq!((json["target"]["ttft"].as_f64(), json["target"]["percentile"].as_str()), (Some(500.0), Some("p99")));
    assert_eq!((json["change"].as_i64(), json["sure"].as_str()), (Some(1), Some("well")));
    assert_eq!((json["replayed"][2]["hour"].as_str(), json["replayed"][2]["busy"].as_f64()), (Some("7.50"), Some(0.5)));
    assert_eq!(json["node"]["hour"], "2.50");
}
