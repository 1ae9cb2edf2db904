//! What a client sees of overload: headers, fewer choices, statuses with a time to come again.

use std::time::Duration;

use protocol::answer::{Answer, ErrorKind, JobError, Started};
use serde_json::json;

use crate::fake::{Fake, Script, answer, delta, done, finished, started};
use crate::support::{CHAT, body, door, post_json};

fn degraded(what: &[&str]) -> Answer {
    let Answer::Started(plain) = started() else { panic!("it begins otherwise") };
    Answer::Started(Started { degraded: what.iter().map(|&done| done.to_owned()).collect(), ..plain })
}

#[tokio::test]
async fn what_was_done_to_a_request_stands_in_a_header() {
    let (fake, _seen) = Fake::new(|_| {
        Script::Pieces(vec![degraded(&["2:dropped-turns=3", "2:max_tokens=256"]), delta(0, "x"), finished(0), done(1)])
    });
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({}))).await;
    assert_eq!(got.header("x-troupe-degraded"), Some("2:dropped-turns=3,2:max_tokens=256"));
    assert_eq!(got.header("x-troupe-level"), Some("0"));
    assert_eq!(got.header("x-troupe-answer-cache"), None, "drawn by chance: nothing was looked up");
    let (well, _seen) = Fake::well();
    assert_eq!(post_json(&door(&well), CHAT, &body(CHAT, json!({}))).await.header("x-troupe-degraded"), None);
}

#[tokio::test]
async fn one_choice_instead_of_several_is_a_complete_answer() {
    let pieces = || vec![degraded(&["1:n=1"]), delta(0, "alone"), finished(0), done(1)];
    let (fake, _seen) = Fake::new(move |_| Script::Pieces(pieces()));
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({"n": 3}))).await;
    assert_eq!(got.status, 200, "{got:?}");
    let choices = got.json()["choices"].as_array().unwrap().clone();
    assert_eq!((choices.len(), &choices[0]["message"]["content"]), (1, &json!("alone")));
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({"n": 3, "stream": true}))).await;
    let chunks = got.chunks();
    assert!(chunks.iter().all(|chunk| chunk["choices"][0]["index"] == 0), "{chunks:?}");
}

#[tokio::test]
async fn a_kept_answer_says_that_it_is_one() {
    let (fake, _seen) = Fake::new(|request| {
        let mut pieces = answer(request);
        if let Some(Answer::Started(started)) = pieces.first_mut() {
            started.replayed = true;
        }
        Script::Pieces(pieces)
    });
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({"temperature": 0}))).await;
    assert_eq!(got.header("x-troupe-answer-cache"), Some("hit"));
    let (well, _seen) = Fake::well();
    let got = post_json(&door(&well), CHAT, &body(CHAT, json!({"seed": 5}))).await;
    assert_eq!(got.header("x-troupe-answer-cache"), Some("miss"));
}

#[tokio::test]
async fn a_clients_own_share_is_429_and_the_clusters_fault_503_both_with_a_time() {
    for (own, status) in [(true, 429), (false, 503)] {
        let (fake, _seen) = Fake::new(move |_| {
            let error = JobError::new(ErrorKind::Overloaded, "full").retry_after(Duration::from_millis(4200));
            Script::Pieces(vec![Answer::Failed(if own { error.field("model") } else { error })])
        });
        let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({}))).await;
        assert_eq!(got.status, status, "{got:?}");
        assert_eq!((got.header("retry-after"), got.header("retry-after-ms")), (Some("5"), Some("4200")));
    }
}
