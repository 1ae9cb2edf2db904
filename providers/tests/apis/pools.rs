//! Many providers: breakers, standing in, and what is measured.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::breaker::State;
use protocol::config::{self, Breaker, ProviderKind};
use protocol::units::Span;
use providers::mock::{Beat, Mock, Reply};
use providers::{Failure, FailureKind, Pool};

use crate::support::*;

/// Two faults open it, for a moment.
fn breaker() -> Breaker {
    let span = |millis| Span(Duration::from_millis(millis));
    Breaker { faults: 2, cooldown: span(50), max_cooldown: span(1000) }
}

fn pool(providers: &[(&str, config::Provider)], breaker: &Breaker) -> Pool {
    let all: BTreeMap<_, _> = providers.iter().map(|(name, config)| ((*name).to_owned(), config.clone())).collect();
    Pool::new(&all, breaker, |_| None).unwrap()
}

async fn from(pool: &Pool) -> Result<(String, Got), Failure> {
    let started = pool.start(MODEL, hello(), NOW).await?;
    let mut stream = started.stream;
    let mut got = Got::default();
    while let Some(piece) = stream.next().await {
        if let Err(failure) = piece {
            got.failure = Some(failure);
        }
    }
    Ok((started.provider, got))
}

fn state(pool: &Pool) -> State {
    pool.status()[0].breaker
}

/// litellm #40405: a provider that stands alone was never left, and was asked in vain each time.
#[tokio::test]
async fn regression_the_breaker_opens_holds_back_and_heals() {
    for (reply, kind) in [
        (Reply::status(500, "broken"), FailureKind::Down),
        (Reply::beats(vec![Beat::Cut]), FailureKind::Cut),
        (Reply::beats(vec![Beat::Malformed]), FailureKind::Garbled),
        (Reply::status(504, "late"), FailureKind::Timeout),
    ] {
        let mock = Mock::start().await.unwrap();
        mock.always(reply);
        let long = Breaker {
            cooldown: Span(Duration::from_secs(30)),
            max_cooldown: Span(Duration::from_secs(60)),
            ..breaker()
        };
        let pool = pool(&[("a", mock.config(KINDS[0], MODEL, THERE))], &long);
        for _ in 0..2 {
            assert_eq!(from(&pool).await.unwrap_err().kind, kind);
        }
        assert_eq!(state(&pool), State::Open);
        for _ in 0..5 {
            let failure = from(&pool).await.unwrap_err();
            assert_eq!((failure.kind, failure.asked), (FailureKind::Down, false));
            assert!(failure.retry_after.unwrap() > Duration::from_secs(20));
        }
        assert_eq!(mock.asked().len(), 2, "it was asked in vain");
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(40)).await;
        tokio::time::resume();
        assert_eq!(state(&pool), State::HalfOpen);
        mock.always(Reply::default());
        assert_eq!(from(&pool).await.unwrap().1.failure, None);
        assert_eq!(state(&pool), State::Closed);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_late_counts_too_and_one_that_is_left_does_not() {
    let mock = Mock::start().await.unwrap();
    mock.always(Reply::words(5).then(2, Beat::Cut));
    let pool = pool(&[("a", mock.config(KINDS[1], MODEL, THERE))], &breaker());
    for _ in 0..5 {
        // The first token was there: nobody knows yet how it ends.
        drop(pool.start(MODEL, hello(), NOW).await.unwrap());
    }
    assert_eq!(state(&pool), State::Closed);
    for _ in 0..2 {
        let (_, got) = from(&pool).await.unwrap();
        assert_eq!(got.failure.unwrap().kind, FailureKind::Cut);
    }
    assert_eq!(state(&pool), State::Open);
}

#[tokio::test]
async fn refusals_never_open_it() {
    for (status, body) in [
        (429, "{}"),
        (529, "{}"),
        (401, "{}"),
        (400, "{}"),
        (402, "{}"),
        (400, r#"{"error": {"code": "context_length_exceeded", "message": "m"}}"#),
        (400, r#"{"error": {"code": "content_filter", "message": "m"}}"#),
    ] {
        let mock = Mock::start().await.unwrap();
        mock.always(Reply::status(status, body).header("retry-after-ms", "0"));
        let pool = pool(&[("a", mock.config(KINDS[0], MODEL, THERE))], &breaker());
        for asked in 1..6 {
            assert!(!from(&pool).await.unwrap_err().kind.is_fault(), "{status} {body}");
            assert_eq!(mock.asked().len(), asked, "{status} {body}");
        }
        assert_eq!(state(&pool), State::Closed, "{status} {body}");
    }
}

#[tokio::test]
async fn providers_of_one_model_stand_in_for_each_other() {
    for (reply, elsewhere) in [
        (Reply::default(), false),
        (Reply::status(429, "{}"), true),
        (Reply::status(500, "{}"), true),
        (Reply::status(401, "{}"), true),
        (Reply::status(402, "{}"), true),
        (Reply::beats(vec![Beat::Malformed]), true),
    ] {
        let (one, two) = (Mock::start().await.unwrap(), Mock::start().await.unwrap());
        let both = [("a", one.config(KINDS[0], MODEL, "x")), ("b", two.config(KINDS[1], MODEL, "y"))];
        let pool = pool(&both, &breaker());
        one.push(reply.clone());
        let (provider, got) = from(&pool).await.unwrap();
        assert_eq!((provider.as_str(), got.failure), (if elsewhere { "b" } else { "a" }, None), "{reply:?}");
        assert_eq!((one.asked().len(), two.asked().len()), (1, usize::from(elsewhere)), "{reply:?}");
    }
    // What is wrong with the request is wrong with it everywhere.
    let (one, two) = (Mock::start().await.unwrap(), Mock::start().await.unwrap());
    let both = [("a", one.config(KINDS[0], MODEL, "x")), ("b", two.config(KINDS[1], MODEL, "y"))];
    let pool = pool(&both, &breaker());
    one.push(Reply::status(400, r#"{"error": {"message": "no", "param": "messages"}}"#));
    let failure = from(&pool).await.unwrap_err();
    assert_eq!((failure.kind, failure.field.as_deref()), (FailureKind::Invalid, Some("messages")));
    assert!(two.asked().is_empty());
}

#[tokio::test]
async fn never_more_than_half_of_them_are_left_out() {
    let (one, two) = (Mock::start().await.unwrap(), Mock::start().await.unwrap());
    let long =
        Breaker { cooldown: Span(Duration::from_secs(30)), max_cooldown: Span(Duration::from_secs(60)), ..breaker() };
    let pool = pool(&[("a", one.config(KINDS[0], MODEL, "x")), ("b", two.config(KINDS[0], MODEL, "y"))], &long);
    one.always(Reply::status(500, ""));
    two.always(Reply::status(500, ""));
    for _ in 0..2 {
        assert_eq!(from(&pool).await.unwrap_err().kind, FailureKind::Down);
    }
    let before = (one.asked().len(), two.asked().len());
    assert_eq!(from(&pool).await.unwrap_err().kind, FailureKind::Down);
    let after = (one.asked().len(), two.asked().len());
    assert_eq!(after.0 + after.1, before.0 + before.1 + 1, "one of them is asked all the same");
}

#[tokio::test]
async fn a_probe_that_was_never_sent_lets_the_next_one_try() {
    let mock = Mock::start().await.unwrap();
    let mut config = mock.config(KINDS[0], MODEL, THERE);
    config.parallel = 1;
    let pool = pool(&[("a", config)], &breaker());
    mock.push(Reply::words(3).then(1, Beat::Silence));
    let running = pool.start(MODEL, hello(), NOW).await.unwrap();
    assert_eq!(from(&pool).await.unwrap_err().kind, FailureKind::Full);
    drop(running);
    mock.push(Reply::status(500, ""));
    mock.push(Reply::status(500, ""));
    for _ in 0..2 {
        assert_eq!(from(&pool).await.unwrap_err().kind, FailureKind::Down);
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    let mut wrong = hello();
    wrong.request.params.top_k = Some(3);
    assert_eq!(pool.start(MODEL, wrong, NOW).await.unwrap_err().kind, FailureKind::Invalid);
    assert_eq!(state(&pool), State::HalfOpen);
    assert_eq!(from(&pool).await.unwrap().1.failure, None);
}

#[tokio::test]
async fn what_happened_is_measured() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let mock = Mock::start().await.unwrap();
    let pool = pool(&[("a", mock.config(KINDS[0], MODEL, THERE))], &breaker());
    from(&pool).await.unwrap();
    mock.push(Reply::words(3).then(1, Beat::Silence));
    drop(pool.start(MODEL, hello(), NOW).await.unwrap());
    mock.always(Reply::status(500, ""));
    for _ in 0..2 {
        from(&pool).await.unwrap_err();
    }
    let text = handle.render();
    for line in [
        r#"troupe_provider_requests_total{provider="a",outcome="ok"} 1"#,
        r#"troupe_provider_requests_total{provider="a",outcome="cancelled"} 1"#,
        r#"troupe_provider_requests_total{provider="a",outcome="down"} 2"#,
        r#"troupe_provider_breaker_open{provider="a"} 1"#,
        r#"troupe_provider_seconds_count{provider="a"} 4"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn keys_that_are_missing_and_models_that_nobody_has_are_named() {
    let mut config = config::Provider { key_env: Some("NONE_SUCH".into()), ..config::Provider::default() };
    config.models.0.insert(MODEL.into(), THERE.into());
    let all = BTreeMap::from([("a".to_owned(), config)]);
    let error = Pool::new(&all, &breaker(), |_| None).unwrap_err().to_string();
    assert!(error.contains("providers.a") && error.contains("NONE_SUCH"), "{error}");
    let pool = Pool::new(&all, &breaker(), |_| Some(KEY.to_owned())).unwrap();
    assert!(pool.has(MODEL) && pool.models().eq([MODEL]) && !format!("{pool:?}").contains(KEY));
    let failure = pool.start("other", hello(), NOW).await.unwrap_err();
    assert_eq!((failure.kind, failure.field.as_deref()), (FailureKind::Invalid, Some("model")));
    assert_eq!(pool.providers(MODEL)[0].kind(), ProviderKind::OpenAi);
}
