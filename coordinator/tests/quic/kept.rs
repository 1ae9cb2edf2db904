//! The answer cache of a whole coordinator.

use protocol::account::Outcome;
use protocol::answer::{Answer, Started, Usage};
use protocol::request::Request;
use protocol::units::{Nanos, Tokens};

use crate::PACE;
use crate::bed::{Bed, ask, request, until, usage as usage_now};

fn greedy(tokens: u32) -> Request {
    let mut request = request(tokens);
    request.params.temperature = Some(0.0);
    request.params.logprobs = Some(1);
    request
}

fn parts(answers: Vec<Answer>) -> (Started, Vec<Answer>, Usage) {
    let mut answers = answers.into_iter();
    let Some(Answer::Started(started)) = answers.next() else { panic!("no beginning") };
    let mut pieces: Vec<Answer> = answers.collect();
    let Some(Answer::Done { usage }) = pieces.pop() else { panic!("no end") };
    (started, pieces, usage)
}

#[tokio::test]
async fn the_same_question_is_answered_from_the_cache_piece_by_piece() {
    let bed = Bed::start().await;
    let _node = bed.node(5, PACE).await;
    let client = bed.client().await;
    let (first, pieces, usage) = parts(ask(&client, greedy(12)).await);
    assert!(!first.replayed && pieces.len() > 2, "{pieces:?}");
    let (again, replayed, second) = parts(ask(&client, greedy(12)).await);
    assert!(again.replayed && again.request != first.request);
    assert_eq!(replayed, pieces);
    assert_eq!((second.prompt, second.completion), (usage.prompt, usage.completion));
    assert_eq!((second.cached, again.cached), (usage.prompt, usage.prompt));
}

#[tokio::test]
async fn only_the_same_and_only_where_it_is_wanted() {
    let bed = Bed::start().await;
    let _node = bed.node(5, PACE).await;
    let client = bed.client().await;
    let mut asked = Vec::new();
    let mut fresh = greedy(12);
    fresh.care.fresh = true;
    let mut chance = greedy(12);
    chance.params.temperature = Some(1.0);
    // Neither is kept, nor answered from what is kept.
    for request in [fresh.clone(), greedy(12), fresh, greedy(13), chance.clone(), chance, greedy(12)] {
        asked.push(parts(ask(&client, request).await).0.replayed);
    }
    assert_eq!(asked, [false, false, false, false, false, false, true]);
}

#[tokio::test]
async fn what_is_kept_or_asked_twice_under_one_key_is_billed_once() {
    let bed = Bed::start().await;
    let _node = bed.node(5, PACE).await;
    let client = bed.client().await;
    let mut keyed = request(9);
    (keyed.params.temperature, keyed.care.idempotency) = (Some(1.0), Some("once".to_owned()));
    for (what, request) in [("kept", greedy(12)), ("under one key", keyed)] {
        let (first, pieces, usage) = parts(ask(&client, request.clone()).await);
        let (again, replayed, free) = parts(ask(&client, request).await);
        assert!(usage.cost > Nanos::ZERO && free.cost == Nanos::ZERO && replayed == pieces, "{what}: {free:?}");
        // What costs nothing is written down after it was said.
        let of = async |started: &Started| {
            until(async || usage_now(&client).await.into_iter().find(|record| record.request == started.request)).await
        };
        let (paid, again) = (of(&first).await, of(&again).await);
        let billed = (paid.prompt, paid.cached, paid.completion, paid.cost);
        assert_eq!((billed, paid.outcome), ((usage.prompt, usage.cached, usage.completion, usage.cost), Outcome::Done));
        assert_eq!((again.cost, again.completion, again.outcome), (Nanos::ZERO, Tokens::ZERO, Outcome::Replayed));
    }
}
