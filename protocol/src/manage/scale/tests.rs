use super::*;

fn good() -> ScaleQuery {
    ScaleQuery { ttft: Some(Duration::from_millis(500)), most: 64, ..ScaleQuery::default() }
}

#[test]
fn a_target_has_a_time_that_can_be_met() {
    assert_eq!(good().faults(), []);
    let second = Some(Duration::from_secs(1));
    for (query, field, words) in [
        (ScaleQuery { ttft: None, ..good() }, "ttft", "give one, as ttft=500ms"),
        (ScaleQuery { ttft: Some(Duration::ZERO), ..good() }, "ttft", "is 0"),
        (ScaleQuery { inter_token: Some(Duration::ZERO), ..good() }, "inter_token", "is 0"),
        (ScaleQuery { ttft: second.map(|s| 2 * s), latency: second, ..good() }, "latency", "is 1s, below ttft, 2s"),
        (ScaleQuery { most: 0, ..good() }, "max_nodes", "give 1 to 512"),
        (ScaleQuery { most: 513, ..good() }, "max_nodes", "is 513"),
    ] {
        let faults = query.faults();
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert_eq!(fault.field, field);
        assert!(fault.problem.contains(words), "{fault}");
    }
}
