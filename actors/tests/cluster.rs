//! The coordinator's side against scripted nodes, over memory, in paused time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod cluster {
    pub(crate) mod node;
    pub(crate) mod request;
}

use std::time::Duration;

use cluster::node::Script;
use cluster::request::{Bench, Outcome, texts};
use protocol::answer::{Answer, ErrorKind, FinishReason, NodeState};

#[tokio::test(start_paused = true)]
async fn an_answer_comes_back_as_text_with_its_usage() {
    let bench = Bench::new();
    let _node = bench.node(1, Script::Say("Hello you")).await;
    let outcome = bench.ask(|_| {}).await;
    assert!(matches!(&outcome[0], Answer::Started(started) if started.node == "node-1"));
    assert_eq!(texts(&outcome), ["Hello you"]);
    assert!(matches!(outcome.last(), Some(Answer::Done { usage }) if usage.completion.0 == 10 && usage.prompt.0 == 3));
    assert_eq!(outcome.reasons(), [FinishReason::Stop]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_silence_or_loss_before_the_first_token_is_not_seen() {
    for bad in [Script::Refuse, Script::Silence, Script::Vanish, Script::Nonsense] {
        let bench = Bench::new();
        let first = bench.node(1, bad).await;
        // Whoever is asked first, the second answers.
        let _second = bench.node(2, Script::Say("fine")).await;
        for _ in 0..4 {
            assert_eq!(texts(&bench.ask(|_| {}).await), ["fine"], "{bad:?}");
        }
        drop(first);
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_after_the_first_token_is_a_typed_error() {
    let bench = Bench::new();
    let _node = bench.node(1, Script::DieAfter("half")).await;
    let outcome = bench.ask(|_| {}).await;
    assert_eq!(texts(&outcome), ["half"]);
    assert_eq!(outcome.error().unwrap().kind, ErrorKind::NodeLost);
}

#[tokio::test(start_paused = true)]
async fn when_everybody_refuses_the_client_learns_when_to_come_back() {
    let bench = Bench::new();
    let _nodes = [bench.node(1, Script::Refuse).await, bench.node(2, Script::Refuse).await];
    let error = bench.ask(|_| {}).await.error().unwrap();
    assert_eq!((error.kind, error.retry_after), (ErrorKind::Busy, Some(Duration::from_secs(3))));
    let empty = Bench::new();
    assert_eq!(empty.ask(|_| {}).await.error().unwrap().kind, ErrorKind::NoNode);
}

#[tokio::test(start_paused = true)]
async fn regression_a_node_whose_streams_are_all_taken_is_busy_and_not_at_fault() {
    let bench = Bench::new();
    let _node = bench.node(1, Script::Full).await;
    // More than open a breaker, and more than may be tried again.
    for _ in 0..30 {
        let error = bench.ask(|_| {}).await.error().unwrap();
        assert_eq!(error.kind, ErrorKind::Busy, "{error:?}");
        assert!(error.retry_after.is_some());
    }
    let _other = bench.node(2, Script::Say("fine")).await;
    assert_eq!(texts(&bench.ask(|_| {}).await), ["fine"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_text_ends_the_answer_and_the_attempt() {
    let bench = Bench::new();
    let node = bench.node(1, Script::SayForEver("abc.")).await;
    let outcome = bench.ask(|task| task.stops = vec!["c.a".to_owned()]).await;
    assert_eq!(texts(&outcome), ["ab"]);
    assert_eq!(outcome.reasons(), [FinishReason::Stop]);
    node.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn all_choices_come_and_are_billed_together() {
    let bench = Bench::new();
    let _node = bench.node(1, Script::Say("abc")).await;
    let outcome = bench.ask(|task| task.choices = 3).await;
    assert_eq!(texts(&outcome), ["abc", "abc", "abc"]);
    assert!(matches!(outcome.last(), Some(Answer::Done { usage }) if usage.completion.0 == 12 && usage.prompt.0 == 3));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_the_attempt() {
    let bench = Bench::new();
    let node = bench.node(1, Script::SayForEver("abc")).await;
    let mut pieces = bench.start(|_| {});
    assert!(matches!(pieces.recv().await, Some(Answer::Started(_))));
    drop(pieces);
    node.cancelled().await;
    bench.idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_ended() {
    let bench = Bench::new();
    let node = bench.node(1, Script::Stall).await;
    let error = bench.ask(|_| {}).await.error().unwrap();
    assert_eq!(error.kind, ErrorKind::Timeout);
    node.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_suspect_and_gets_nothing_until_it_reports_again() {
    let bench = Bench::new();
    let node = bench.node(1, Script::Say("x")).await;
    assert_eq!(bench.state(), NodeState::Ready);
    node.mute(true);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.state(), NodeState::Suspect);
    assert_eq!(bench.ask(|_| {}).await.error().unwrap().kind, ErrorKind::NoNode);
    node.mute(false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(texts(&bench.ask(|_| {}).await), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_lost_leaves_and_one_that_drains_gets_nothing() {
    let bench = Bench::new();
    let first = bench.node(1, Script::Say("x")).await;
    let second = bench.node(2, Script::Say("y")).await;
    second.drain().await;
    for _ in 0..4 {
        assert_eq!(texts(&bench.ask(|_| {}).await), ["x"]);
    }
    first.sever();
    assert_eq!(bench.ask(|_| {}).await.error().unwrap().kind, ErrorKind::NoNode);
    assert_eq!(bench.names(), ["node-2"]);
}

#[tokio::test(start_paused = true)]
async fn hellos_that_cannot_be_are_refused_with_the_reason() {
    use protocol::message::Refusal;
    let bench = Bench::new();
    let wrong_id = bench.refused(1, |hello| hello.node = protocol::ids::NodeId(9)).await;
    assert!(matches!(wrong_id, Refusal::Identity { .. }), "{wrong_id}");
    let hashing = bench.refused(1, |hello| hello.hashing = 99).await;
    assert!(matches!(hashing, Refusal::Hashing { theirs: 99, .. }), "{hashing}");
    let versions = bench.refused(1, |hello| hello.versions.oldest = protocol::version::Version(99)).await;
    assert!(matches!(versions, Refusal::Version(_)), "{versions}");
    let _newer = bench.node(1, Script::Say("x")).await;
    let old = bench.refused(1, |hello| hello.incarnation = protocol::ids::Incarnation(0)).await;
    assert!(matches!(old, Refusal::Superseded { .. }), "{old}");
    let _two = [bench.node(2, Script::Refuse).await, bench.node(3, Script::Refuse).await];
    assert!(matches!(bench.refused(4, |_| {}).await, Refusal::Full { limit: 3 }));
}
