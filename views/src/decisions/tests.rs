use std::time::Duration;

use protocol::ids::RequestId;
use protocol::money::Price;
use protocol::units::{Nanos, Tokens, UnixMillis};
use serde_json::json;

use super::*;

#[test]
fn prices_are_text_for_a_million_tokens() {
    let price = Price { input: Nanos(10_000_000_000), cached: Nanos(2_500_000_000), output: Nanos(30_000_000_000) };
    let view = PriceView::from(PricedModel { model: "p/m".into(), price, source: "cluster.toml".into() });
    let expected = json!({
        "object": "price", "model": "p/m", "input": "10.00", "cached": "2.50", "output": "30.00",
        "per_tokens": 1_000_000, "source": "cluster.toml",
    });
    assert_eq!(serde_json::to_value(view).unwrap(), expected);
}

#[test]
fn an_explanation_has_scores_times_and_money() {
    let candidate = Candidate {
        model: "m".into(),
        place: "node-a".into(),
        money: Nanos(77),
        time: Duration::from_micros(300_900),
        cached: Tokens(8),
        chosen: true,
        why: "cheapest".into(),
    };
    let route = Route { asked: "auto".into(), tier: "small".into(), score: 321, because: vec!["sticky".into()] };
    let explanation = Explanation {
        request: RequestId(0xabc),
        at: UnixMillis(0),
        key: "key-1".into(),
        asked: "auto".into(),
        route: Some(route),
        reserved: Nanos(5),
        candidates: vec![candidate],
        steps: vec!["asked node-a".into()],
    };
    let expected = json!({
        "object": "explanation", "request": "00000000000000000000000000000abc", "at": "1970-01-01T00:00:00.000Z",
        "key": "key-1", "asked": "auto", "reserved": "0.000000005", "steps": ["asked node-a"],
        "route": {"asked": "auto", "tier": "small", "score": 0.321, "because": ["sticky"]},
        "candidates": [{
            "model": "m", "place": "node-a", "cost": "0.000000077", "milliseconds": 300, "cached": 8, "chosen": true,
            "why": "cheapest",
        }],
    });
    assert_eq!(serde_json::to_value(ExplanationView::from(explanation)).unwrap(), expected);
}
