use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

#[test]
fn nothing_asked_is_nothing_special() {
    assert_eq!(of(&headers(&[])).unwrap(), Care::default());
}

#[test]
fn every_header_is_read() {
    let all = [
        (SESSION, "s1"),
        (CLASS, "bulk"),
        (FORBID, "2, 3"),
        (CACHE, "no"),
        (RETRIES, "1"),
        (TAGS, "a, b,a"),
        (IDEMPOTENCY, "i 1"),
    ];
    let wanted = Care {
        session: Some("s1".into()),
        class: Some(Class::Bulk),
        forbid: vec![2, 3],
        fresh: true,
        again: true,
        tags: vec!["a".into(), "b".into()],
        idempotency: Some("i 1".into()),
        ..Care::default()
    };
    assert_eq!(of(&headers(&all)).unwrap(), wanted);
    assert_eq!(of(&headers(&[(FORBID, "all")])).unwrap().forbid, [1, 2, 3, 4, 5]);
    assert!(of(&headers(&[("cache-control", "no-store")])).unwrap().fresh);
}

#[test]
fn what_cannot_be_read_is_named_with_a_remedy() {
    let long = "s".repeat(MAX_SESSION_BYTES + 1);
    let many = (0..=MAX_TAGS).map(|at| format!("t{at}")).collect::<Vec<_>>().join(",");
    let wide = "t".repeat(MAX_TAG_BYTES + 1);
    for (name, value) in [
        (SESSION, ""),
        (SESSION, long.as_str()),
        (CLASS, "vip"),
        (FORBID, "6"),
        (CACHE, "maybe"),
        (TAGS, ""),
        (TAGS, "a,,b"),
        (TAGS, &many),
        (TAGS, &wide),
        (TAGS, "sk-troupe-0123456789abcdef"),
        (IDEMPOTENCY, ""),
        (IDEMPOTENCY, &wide),
    ] {
        let error = of(&headers(&[(name, value)])).unwrap_err().to_string();
        assert!(error.starts_with("400") && error.contains(name), "{error}");
        assert!(!error.contains("0123456789abcdef"), "{error}");
    }
}

#[test]
fn several_headers_of_tags_are_one_list() {
    let mut given = headers(&[(TAGS, "a,b")]);
    given.append(TAGS, HeaderValue::from_static("b,c"));
    assert_eq!(of(&given).unwrap().tags, ["a", "b", "c"]);
    let all: Vec<String> = (0..MAX_TAGS).map(|at| format!("t{at}")).collect();
    assert_eq!(of(&headers(&[(TAGS, &all.join(","))])).unwrap().tags, all);
}
