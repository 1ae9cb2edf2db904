use std::time::Duration;

use protocol::answer::Route;
use protocol::money::Price;
use protocol::units::{Nanos, Tokens, UnixMillis};

use super::*;

#[test]
fn a_decision_is_told_with_its_candidates_and_steps() {
    let candidate = |place: &str, chosen| Candidate {
        model: "m".into(),
        place: place.into(),
        money: Nanos(77),
        time: Duration::from_millis(300),
        cached: Tokens(8),
        chosen,
        why: if chosen { "cheapest" } else { "dearer" }.into(),
    };
    let route = Route { asked: "auto".into(), tier: "small".into(), score: 7, because: vec!["sticky".into()] };
    let mut explanation = Explanation {
        request: RequestId(0xabc),
        at: UnixMillis(0),
        key: "key-1".into(),
        asked: "au\nto".into(),
        route: Some(route),
        reserved: Nanos(5_000_000_000),
        candidates: vec![candidate("node-a", true), candidate("node-b", false)],
        steps: vec!["asked node-a\u{1b}".into(), "done".into()],
    };
    let text = told(&explanation);
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(text.contains("small at a score of 0.007, because of sticky\n"), "{text}");
    assert!(text.contains("reserved 5.00\n") && text.contains("decided  1970-01-01T00:00:00.000Z\n"), "{text}");
    assert!(words.contains(&vec!["*", "m", "node-a", "0.000000077", "300", "ms", "8", "cheapest"]), "{text}");
    assert!(words.contains(&vec!["m", "node-b", "0.000000077", "300", "ms", "8", "dearer"]), "{text}");
    assert!(text.ends_with("1. asked node-a?\n2. done\n"), "{text}");
    explanation.candidates.clear();
    assert!(told(&explanation).contains("no models were compared"));
}

#[test]
fn prices_are_for_a_million_tokens() {
    let price = Price { input: Nanos(10_000_000_000), cached: Nanos(2_500_000_000), output: Nanos(30_000_000_000) };
    let text = listed(&[PricedModel { model: "p/m".into(), price, source: "cluster.toml".into() }]);
    let last: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(last, ["p/m", "10.00", "2.50", "30.00", "cluster.toml"]);
    assert!(listed(&[]).contains("cluster.toml"));
}

#[test]
fn a_request_is_named_by_its_id_or_its_answers() {
    let id = "00000000000000000000000000000abc";
    for text in [id.to_owned(), format!("chatcmpl-{id}"), format!("cmpl-{id}")] {
        assert_eq!(request(&text), Ok(RequestId(0xabc)));
    }
    assert!(request("abc").is_err());
}
