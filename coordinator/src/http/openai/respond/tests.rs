use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn written(nanos: u64) -> String {
    let usage = UsageBody::from(Usage { cost: Nanos(nanos), ..Usage::default() });
    let json = super::super::error::to_json(&usage);
    let (_, rest) = json.split_once("\"cost\":").unwrap();
    rest.trim_end_matches('}').to_owned()
}

#[test]
fn costs_are_plain_numbers() {
    for (nanos, text) in [
        (0, "0"),
        (1, "0.000000001"),
        (123_000, "0.000123"),
        (1_500_000_000, "1.5"),
        (10_000_000_000, "10"),
        (100_000_000_000, "100"),
        (u64::MAX, "18446744073.709551615"),
    ] {
        assert_eq!(written(nanos), text);
    }
}

#[test]
fn routes_are_one_line() {
    let route = |score, because: &[&str]| Route {
        asked: "auto".into(),
        tier: "small".into(),
        score,
        because: because.iter().map(|&word| word.to_owned()).collect(),
    };
    assert_eq!(why(&route(321, &["sticky", "budget"])), "small; score=0.321; because=sticky,budget");
    assert_eq!(why(&route(7, &[])), "small; score=0.007");
    assert_eq!(why(&route(1000, &[])), "small; score=1.000");
}

proptest! {
    /// What a client reads digit by digit is the amount; what it reads as a float is within a float's reach.
    #[test]
    fn costs_come_back_to_the_nano(nanos in any::<u64>()) {
        let text = written(nanos);
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let read: u64 = format!("{whole}{part:0<9}").parse().unwrap();
        prop_assert_eq!(read, nanos);
        let value: Value = serde_json::from_str(&text).unwrap();
        prop_assert!(value.is_number());
    }
}
