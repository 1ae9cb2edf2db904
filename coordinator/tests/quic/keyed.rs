//! What a key may do, as a whole coordinator holds to it.

use std::time::Duration;

use protocol::account::{KeyLimits, KeyRecord, KeySettings};
use protocol::answer::{Answer, ErrorKind, JobError, Usage};
use protocol::frame::Frame;
use protocol::manage::{Manage, Managed};
use protocol::request::Request;
use protocol::units::{Nanos, UnixMillis};
use protocol::version::Versions;
use transport::quic::QuicConnection;

use crate::PACE;
use crate::bed::{Bed, ask, manage, request};

async fn made(admin: &QuicConnection, settings: KeySettings) -> (KeyRecord, String) {
    match manage(admin, Manage::CreateKey(settings)).await {
        Ok(Managed::KeyCreated { record, secret }) => (record, secret),
        other => panic!("no key: {other:?}"),
    }
}

async fn with(bed: &Bed, secret: &str) -> QuicConnection {
    let (connection, said) = bed.greet(secret, Versions::OURS).await;
    assert!(matches!(said, Frame::ClientWelcome(_)), "{said:?}");
    connection
}

fn failed(answers: &[Answer]) -> &JobError {
    match answers {
        [Answer::Failed(error)] => error,
        other => panic!("not one failure: {other:?}"),
    }
}

fn usage(answers: &[Answer]) -> Usage {
    match answers.last() {
        Some(Answer::Done { usage }) => *usage,
        other => panic!("no end: {other:?}"),
    }
}

#[tokio::test]
async fn a_key_is_good_for_its_models_until_it_is_revoked() {
    let bed = Bed::start().await;
    let _node = bed.node(5, PACE).await;
    let admin = bed.client().await;
    let (record, secret) = made(&admin, KeySettings { models: vec!["other".into()], ..KeySettings::default() }).await;
    let client = with(&bed, &secret).await;
    let error = failed(&ask(&client, request(3)).await).clone();
    assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::Forbidden, Some("model")));
    assert!(error.message.contains("other") && !error.message.contains(&secret), "{}", error.message);
    assert_eq!(manage(&client, Manage::ListKeys).await.unwrap_err().kind, ErrorKind::Forbidden);

    let settings = KeySettings { models: Vec::new(), ..record.settings };
    manage(&admin, Manage::UpdateKey { key: record.id.clone(), settings }).await.unwrap();
    let client = with(&bed, &secret).await;
    assert_eq!(usage(&ask(&client, request(3)).await).completion.0, 3);

    manage(&admin, Manage::RevokeKey { key: record.id }).await.unwrap();
    let (_connection, said) = bed.greet(&secret, Versions::OURS).await;
    let Frame::ClientRefused(refused) = said else { panic!("{said:?}") };
    assert!(refused.to_string().contains("revoked"), "{refused}");
    let expired = KeySettings { expires: Some(UnixMillis(1)), ..KeySettings::default() };
    let (_, secret) = made(&admin, expired).await;
    let (_connection, said) = bed.greet(&secret, Versions::OURS).await;
    assert!(matches!(&said, Frame::ClientRefused(refused) if refused.to_string().contains("expired")), "{said:?}");
}

#[tokio::test]
async fn limits_hold_for_their_key_alone() {
    let bed = Bed::start().await;
    let _node = bed.node(5, PACE).await;
    let admin = bed.client().await;
    let limits = KeyLimits { requests_per_minute: Some(2), tokens_per_minute: Some(100), parallel: None };
    let (_, secret) = made(&admin, KeySettings { limits, ..KeySettings::default() }).await;
    let client = with(&bed, &secret).await;
    let large = failed(&ask(&client, request(200)).await).clone();
    assert_eq!((large.kind, large.field.as_deref()), (ErrorKind::Invalid, Some("max_tokens")));
    for _ in 0..2 {
        assert_eq!(usage(&ask(&client, request(3)).await).completion.0, 3);
    }
    let error = failed(&ask(&client, request(3)).await).clone();
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert!(error.retry_after.is_some_and(|after| after > Duration::from_secs(30)), "{error:?}");
    for _ in 0..5 {
        assert_eq!(usage(&ask(&admin, request(3)).await).completion.0, 3);
    }
}

#[tokio::test]
async fn a_request_that_is_submitted_twice_is_answered_twice_and_billed_once() {
    let bed = Bed::start().await;
    let _node = bed.node(5, PACE).await;
    let admin = bed.client().await;
    let once = |tokens: u32| {
        let mut request: Request = request(tokens);
        request.care.idempotency = Some("order-7".into());
        request
    };
    let first = ask(&admin, once(8)).await;
    assert!(usage(&first).cost > Nanos::ZERO);
    let second = ask(&admin, once(8)).await;
    assert_eq!(usage(&second).cost, Nanos::ZERO);
    let text = |answers: &[Answer]| -> String {
        let texts = answers.iter().filter_map(|piece| match piece {
            Answer::Delta(delta) => Some(delta.text.as_str()),
            _ => None,
        });
        texts.collect()
    };
    assert_eq!(text(&second), text(&first), "it is the same answer, though it was drawn at random");
    let error = failed(&ask(&admin, once(9)).await).clone();
    assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::Invalid, Some("idempotency-key")));
    assert!(usage(&ask(&admin, request(8)).await).cost > Nanos::ZERO);
}

#[tokio::test]
async fn regression_a_revoked_key_is_good_no_more_on_a_connection_that_it_has_open() {
    let bed = Bed::start().await;
    let _node = bed.node(5, PACE).await;
    let admin = bed.client().await;
    let (record, secret) = made(&admin, KeySettings { admin: true, ..KeySettings::default() }).await;
    let client = with(&bed, &secret).await;
    assert_eq!(usage(&ask(&client, request(3)).await).completion.0, 3);
    manage(&admin, Manage::RevokeKey { key: record.id }).await.unwrap();
    assert_eq!(failed(&ask(&client, request(3)).await).kind, ErrorKind::Unauthorized);
    assert_eq!(manage(&client, Manage::ListKeys).await.unwrap_err().kind, ErrorKind::Unauthorized);
}

#[tokio::test]
async fn an_answer_without_a_limit_is_as_long_as_the_keys_minute_allows() {
    let bed = Bed::start().await;
    let _node = bed.node(5, PACE).await;
    let admin = bed.client().await;
    let limits = KeyLimits { tokens_per_minute: Some(60), ..KeyLimits::default() };
    let (_, secret) = made(&admin, KeySettings { limits, ..KeySettings::default() }).await;
    let client = with(&bed, &secret).await;
    let mut open = request(3);
    open.params.max_tokens = None;
    open.input = protocol::request::Input::Chat(vec![protocol::request::ChatMessage::new("user", "hi")]);
    let used = usage(&ask(&client, open).await);
    assert!(used.prompt.0 + used.completion.0 <= 60 && used.completion.0 > 0, "{used:?}");
}
