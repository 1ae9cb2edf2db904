//! What an answer costs, why it came from where it came, and what is left of the key's limits.

use std::time::Duration;

use coordinator::service::{Rate, RateState};
use protocol::answer::{Answer, ErrorKind, JobError, Route, Started};
use protocol::units::Nanos;
use serde_json::{Value, json};

use crate::fake::{Fake, MODEL, Script, answer, delta, done, finished, started};
use crate::support::{CHAT, COMPLETIONS, body, door, post_json};

#[tokio::test]
async fn a_whole_answer_says_what_it_cost_to_the_nano() {
    for (nanos, header, number) in [
        (1, "0.000000001", "0.000000001"),
        (123_000, "0.000123", "0.000123"),
        (5_000_000_000, "5.00", "5"),
        // As a float this would be another amount.
        (9_007_199_254_740_993, "9007199.254740993", "9007199.254740993"),
        (0, "0.00", "0"),
    ] {
        let (fake, _seen) = Fake::new(move |request| {
            let mut pieces = answer(request);
            if let Some(Answer::Done { usage }) = pieces.last_mut() {
                usage.cost = Nanos(nanos);
            }
            Script::Pieces(pieces)
        });
        for path in [CHAT, COMPLETIONS] {
            let got = post_json(&door(&fake), path, &body(path, json!({}))).await;
            assert_eq!(got.header("x-troupe-cost"), Some(header));
            assert!(got.text.contains(&format!("\"cost\":{number}}}")), "{}", got.text);
        }
    }
}

#[tokio::test]
async fn costs_of_several_prompts_are_summed() {
    let (fake, _seen) = Fake::well();
    let got = post_json(&door(&fake), COMPLETIONS, &body(COMPLETIONS, json!({"prompt": ["a", "b", "c"]}))).await;
    assert_eq!(got.header("x-troupe-cost"), Some("0.0045"));
    assert_eq!(got.json()["usage"]["cost"], json!(0.0045));
}

#[tokio::test]
async fn a_stream_says_it_with_its_usage_and_not_otherwise() {
    let (fake, _seen) = Fake::well();
    let door = door(&fake);
    let got = post_json(&door, CHAT, &body(CHAT, json!({"stream": true}))).await;
    assert_eq!(got.header("x-troupe-cost"), None);
    assert!(!got.text.contains("cost"), "{}", got.text);
    let extra = json!({"stream": true, "stream_options": {"include_usage": true}});
    let chunks = post_json(&door, CHAT, &body(CHAT, extra)).await.chunks();
    assert_eq!(chunks.last().unwrap()["usage"]["cost"], json!(0.0015));
}

#[tokio::test]
async fn headers_say_who_answers_and_why() {
    let (fake, _seen) = Fake::new(|_| {
        let Answer::Started(plain) = started() else { panic!("not a start") };
        let route = Route {
            asked: "auto:balanced".to_owned(),
            tier: "small".to_owned(),
            score: 321,
            because: vec!["sticky".to_owned(), "budget".to_owned()],
        };
        let start = Started { provider: Some("openai".to_owned()), route: Some(route), ..plain };
        Script::Pieces(vec![Answer::Started(start), delta(0, "x"), finished(0), done(1)])
    });
    let (plain, _seen) = Fake::well();
    for stream in [false, true] {
        let extra = json!({ "stream": stream });
        let got = post_json(&door(&fake), CHAT, &body(CHAT, extra.clone())).await;
        assert_eq!(got.header("x-troupe-model"), Some(MODEL));
        assert_eq!(got.header("x-troupe-provider"), Some("openai"));
        assert_eq!(got.header("x-troupe-route"), Some("small; score=0.321; because=sticky,budget"));
        let got = post_json(&door(&plain), CHAT, &body(CHAT, extra)).await;
        assert_eq!(got.header("x-troupe-model"), Some(MODEL));
        assert_eq!((got.header("x-troupe-provider"), got.header("x-troupe-route")), (None, None));
    }
}

#[tokio::test]
async fn tags_and_an_idempotency_key_go_with_the_request() {
    let (fake, mut seen) = Fake::well();
    let mut request = crate::support::post(CHAT, body(CHAT, json!({"metadata": {"tags": "no"}})).to_string());
    request.headers_mut().insert("x-troupe-tags", "a, b".parse().unwrap());
    request.headers_mut().insert("idempotency-key", "once".parse().unwrap());
    assert_eq!(crate::support::send(&door(&fake), request).await.status, 200);
    let care = seen.asked.try_recv().unwrap().care;
    assert_eq!((care.tags, care.idempotency.as_deref()), (vec!["a".to_owned(), "b".to_owned()], Some("once")));
}

fn rates() -> RateState {
    let rate = |limit, remaining, millis| Some(Rate { limit, remaining, reset: Duration::from_millis(millis) });
    RateState { requests: rate(60, 59, 1_000), tokens: rate(10_000, 9_000, 360_000) }
}

const RATES: [(&str, &str); 6] = [
    ("x-ratelimit-limit-requests", "60"),
    ("x-ratelimit-remaining-requests", "59"),
    ("x-ratelimit-reset-requests", "1s"),
    ("x-ratelimit-limit-tokens", "10000"),
    ("x-ratelimit-remaining-tokens", "9000"),
    ("x-ratelimit-reset-tokens", "6m0s"),
];

#[tokio::test]
async fn what_is_left_of_the_limits_stands_on_answers_and_on_refusals_for_them() {
    let limited = || JobError::new(ErrorKind::RateLimited, "60 requests a minute").field("requests_per_minute");
    type Plot = fn() -> Script;
    let plots: [(Plot, bool); 2] = [
        (|| Script::Pieces(answer(&Default::default())), true),
        (|| Script::Refuse(JobError::new(ErrorKind::Invalid, "m")), false),
    ];
    for (plot, there) in plots {
        for extra in [json!({}), json!({"stream": true})] {
            let (fake, _seen) = Fake::made(move |_| plot(), |fake| fake.rates = rates());
            let got = post_json(&door(&fake), CHAT, &body(CHAT, extra)).await;
            for (name, value) in RATES {
                assert_eq!(got.header(name), there.then_some(value), "{name}");
            }
        }
    }
    let (fake, _seen) = Fake::made(move |_| Script::Refuse(limited()), |fake| fake.rates = rates());
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({}))).await;
    assert_eq!(got.status, 429);
    for (name, value) in RATES {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_key_without_limits_has_no_such_headers() {
    let (fake, _seen) = Fake::well();
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({}))).await;
    for (name, _) in RATES {
        assert_eq!(got.header(name), None);
    }
    let one = RateState { tokens: None, ..rates() };
    let (fake, _seen) = Fake::made(|request| Script::Pieces(answer(request)), |fake| fake.rates = one);
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({}))).await;
    assert_eq!(got.header("x-ratelimit-limit-requests"), Some("60"));
    assert_eq!(got.header("x-ratelimit-limit-tokens"), None);
    assert_ne!(got.json()["usage"], Value::Null);
}
