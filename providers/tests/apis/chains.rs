//! Fallback chains over real sockets: who is asked after each kind of failure, and that text which the client has is
//! never begun anew.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::retry::{Budget, Settings};
use policy::upstream::fallback::{Chain, Failed, Fallback, Mode, Step};
use protocol::answer::ErrorKind;
use protocol::config::{Breaker, Fallbacks};
use protocol::request::{ChatMessage, Input};
use providers::mock::{Beat, Mock, Reply};
use providers::{Call, Failure, FailureKind, Piece, Pool};

use crate::support::*;

const SETTINGS: Settings =
    Settings { share: 0.1, floor: 10, first: Duration::from_millis(1), longest: Duration::from_millis(5) };

struct Cluster {
    mocks: BTreeMap<&'static str, Mock>,
    pool: Pool,
}

/// A model at each of three providers, one for each API: `first`, `second` and `third`, which takes a beginning.
async fn cluster(retries: u32) -> Cluster {
    let (mut mocks, mut configs) = (BTreeMap::new(), BTreeMap::new());
    for (name, kind) in ["first", "second", "third"].into_iter().zip(KINDS) {
        let mock = Mock::start().await.unwrap();
        mock.always(Reply::text(&[name]));
        let mut config = mock.config(kind, name, THERE);
        config.retries = retries;
        config.prefill = name == "third";
        configs.insert(name.to_owned(), config);
        mocks.insert(name, mock);
    }
    Cluster { mocks, pool: Pool::new(&configs, &Breaker::default(), |_| None).unwrap() }
}

fn all(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What a job does: asks, and does as the chain says. The text that the client has, and who made it.
async fn run(cluster: &Cluster, fallbacks: Fallbacks) -> (String, Vec<String>, Result<(), ErrorKind>) {
    let target = |name: &str| cluster.pool.target(name).unwrap_or_default();
    let mut fallback = Fallback::new(target("first"), Chain::new(&fallbacks, target), SETTINGS);
    let mut budget = Budget::new(SETTINGS);
    let (mut text, mut asked, mut call) = (String::new(), Vec::new(), hello());
    loop {
        let model = fallback.current().model.clone();
        asked.push(model.clone());
        let (failure, streamed) = match attempt(&cluster.pool, &model, call.clone(), &mut text).await {
            Ok(()) => return (text, asked, Ok(())),
            Err(failed) => failed,
        };
        assert_eq!(failure.began, streamed != Default::default());
        let failed = Failed { kind: failure.kind, retry_after: failure.retry_after, streamed };
        let mode = match fallback.on_failure(failed, Duration::from_secs(60), 0.5, &mut budget) {
            Step::Next { mode, .. } => mode,
            Step::Retry { after, mode } => {
                tokio::time::sleep(after).await;
                mode
            }
            Step::GiveUp { error, .. } => return (text, asked, Err(error)),
        };
        call = hello();
        if mode == Mode::GoOn {
            let Input::Chat(turns) = &mut call.request.input else { panic!("no chat") };
            turns.push(ChatMessage::new("assistant", text.clone()));
        }
    }
}

async fn attempt(
    pool: &Pool,
    model: &str,
    call: Call,
    text: &mut String,
) -> Result<(), (Failure, policy::upstream::fallback::Streamed)> {
    let mut started = pool.start(model, call, NOW).await.map_err(|failure| (failure, Default::default()))?;
    while let Some(piece) = started.stream.next().await {
        match piece {
            Ok(Piece::Delta(delta)) => text.push_str(&delta.text),
            Ok(_) => {}
            Err(failure) => return Err((failure, started.stream.seen().streamed)),
        }
    }
    Ok(())
}

#[tokio::test]
async fn each_kind_of_failure_goes_its_own_way() {
    let error = |code: &str| format!(r#"{{"error": {{"code": "{code}", "message": "m"}}}}"#);
    let second = || all(&["second"]);
    let none = Fallbacks::default;
    for (reply, fallbacks, error) in [
        (Reply::status(500, ""), Fallbacks { down: second(), ..none() }, ErrorKind::ProviderFailed),
        (Reply::beats(vec![Beat::Cut]), Fallbacks { down: second(), ..none() }, ErrorKind::ProviderFailed),
        (Reply::status(504, ""), Fallbacks { down: second(), ..none() }, ErrorKind::Timeout),
        (Reply::status(429, ""), Fallbacks { rate_limit: second(), ..none() }, ErrorKind::Overloaded),
        (
            Reply::status(400, &error("context_length_exceeded")),
            Fallbacks { context_window: second(), ..none() },
            ErrorKind::ContextLength,
        ),
        (
            Reply::status(400, &error("content_filter")),
            Fallbacks { content_policy: second(), ..none() },
            ErrorKind::ContentPolicy,
        ),
        (
            Reply::status(429, &error("insufficient_quota")),
            Fallbacks { budget: second(), ..none() },
            ErrorKind::ProviderFailed,
        ),
    ] {
        let cluster = cluster(0).await;
        cluster.mocks["first"].always(reply.clone());
        assert_eq!(
            run(&cluster, fallbacks).await,
            ("second".to_owned(), all(&["first", "second"]), Ok(())),
            "{reply:?}"
        );
        let alone = cluster_of(reply).await;
        assert_eq!(run(&alone, none()).await, (String::new(), all(&["first"]), Err(error)));
    }
}

async fn cluster_of(reply: Reply) -> Cluster {
    let cluster = cluster(0).await;
    cluster.mocks["first"].always(reply);
    cluster
}

#[tokio::test]
async fn a_passing_fault_is_asked_again_and_a_lasting_one_left() {
    let cluster = cluster(2).await;
    cluster.mocks["first"].push(Reply::status(500, ""));
    let fallbacks = || Fallbacks { down: all(&["second"]), ..Fallbacks::default() };
    let (text, asked, _) = run(&cluster, fallbacks()).await;
    assert_eq!((text.as_str(), asked), ("first", all(&["first", "first"])));
    cluster.mocks["first"].always(Reply::status(500, ""));
    let (text, asked, _) = run(&cluster, fallbacks()).await;
    assert_eq!((text.as_str(), asked), ("second", all(&["first", "first", "first", "second"])));
    assert_eq!(cluster.mocks["first"].asked().len(), 5);
}

/// litellm #31067, #27967: what has streamed goes on only as plain text, and only where a beginning is taken.
#[tokio::test]
async fn regression_text_goes_on_where_a_beginning_is_taken_and_is_never_begun_anew() {
    let cluster = cluster(0).await;
    cluster.mocks["first"].always(Reply::text(&["One, ", "two, "]).then(2, Beat::Cut));
    let chain = Fallbacks { down: all(&["second", "third"]), ..Fallbacks::default() };
    let (text, asked, end) = run(&cluster, chain).await;
    assert_eq!((text.as_str(), asked, end), ("One, two, third", all(&["first", "third"]), Ok(())));
    let sent = cluster.mocks["third"].asked().remove(0).body;
    let turns = sent["contents"].as_array().unwrap();
    assert_eq!(turns.last().unwrap(), &serde_json::json!({"role": "model", "parts": [{"text": "One, two, "}]}));
    let chain = Fallbacks { down: all(&["second"]), ..Fallbacks::default() };
    let (text, asked, end) = run(&cluster, chain).await;
    assert_eq!((text.as_str(), asked, end), ("One, two, ", all(&["first"]), Err(ErrorKind::ProviderFailed)));
}

#[tokio::test]
async fn regression_a_call_that_has_begun_goes_on_nowhere() {
    let cluster = cluster(3).await;
    let call = Beat::Call { name: "f".into(), arguments: vec!["{\"a\":".into()] };
    cluster.mocks["first"].always(Reply::beats(vec![call, Beat::Cut]));
    let chain = Fallbacks { any: all(&["third"]), ..Fallbacks::default() };
    let (_, asked, end) = run(&cluster, chain).await;
    assert_eq!((asked, end), (all(&["first"]), Err(ErrorKind::ProviderFailed)));
}

#[tokio::test]
async fn what_a_stand_in_lacks_leads_to_the_next() {
    let cluster = cluster(0).await;
    cluster.mocks["first"].always(Reply::status(500, ""));
    cluster.mocks["second"].always(Reply::status(400, "{}"));
    let chain = Fallbacks { down: all(&["second", "third"]), ..Fallbacks::default() };
    let (text, asked, _) = run(&cluster, chain).await;
    assert_eq!((text.as_str(), asked), ("third", all(&["first", "second", "third"])));
    assert_eq!(FailureKind::ALL.len(), 11);
}
