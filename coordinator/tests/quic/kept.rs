//! The answer cache of a whole coordinator.

use protocol::answer::{Answer, Started, Usage};
use protocol::request::Request;

use crate::PACE;
use crate::bed::{Bed, ask, request};

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
