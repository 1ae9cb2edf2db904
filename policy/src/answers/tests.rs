use proptest::prelude::*;
use protocol::answer::{ErrorKind, FinishReason, JobError};
use protocol::units::Tokens;

use super::*;

const BOUNDS: Bounds =
    Bounds { memory: ByteSize(64 << 10), ttl: Duration::from_secs(10), stale: Duration::from_secs(60) };

fn key(number: u64) -> Key {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Key(bytes)
}

fn delta(text: &str) -> Answer {
    Answer::Delta(Delta { choice: 0, text: text.to_owned(), logprobs: Vec::new(), calls: Vec::new() })
}

fn pieces(text: &str) -> Vec<Answer> {
    let usage = Usage { prompt: Tokens(3), completion: Tokens(2), ..Usage::default() };
    vec![
        Answer::Started(Started::default()),
        delta(text),
        delta("."),
        Answer::Finished { choice: 0, reason: FinishReason::Stop },
        Answer::Done { usage },
    ]
}

fn record(pieces: &[Answer]) -> Option<Recorded> {
    let mut recording = Recording::new(ByteSize(8 << 10));
    pieces.iter().fold(None, |done, piece| done.or(recording.push(piece)))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_complete_answer_replays_piece_by_piece() {
    let pieces = pieces("all of it");
    let recorded = record(&pieces).unwrap();
    assert_eq!(recorded.pieces, pieces[1..4]);
    assert_eq!(recorded.usage.completion, Tokens(2));
    let mut cache = AnswerCache::new(BOUNDS);
    cache.put(secs(0), key(1), recorded.clone());
    assert_eq!(*cache.get(secs(9), &key(1), false).unwrap().answer, recorded);
    assert_eq!(cache.get(secs(9), &key(2), true), None);
}

#[test]
fn only_complete_answers_are_recorded() {
    let all = pieces("x");
    for end in 0..all.len() {
        assert_eq!(record(&all[..end]), None, "cut off after {end} pieces");
        let mut failed = all[..end].to_vec();
        failed.push(Answer::Failed(JobError::new(ErrorKind::NodeLost, "lost")));
        failed.extend_from_slice(&all[end..]);
        assert_eq!(record(&failed), None, "failed after {end} pieces");
    }
    assert_eq!(record(&pieces(&"long".repeat(4 << 10))), None, "too long");
}

#[test]
fn an_old_answer_is_served_under_overload_only_and_a_very_old_one_never() {
    let mut cache = AnswerCache::new(BOUNDS);
    cache.put(secs(0), key(1), record(&pieces("x")).unwrap());
    assert!(!cache.get(secs(9), &key(1), true).unwrap().stale);
    assert_eq!(cache.get(secs(10), &key(1), false), None);
    assert!(cache.get(secs(59), &key(1), true).unwrap().stale);
    assert_eq!(cache.get(secs(60), &key(1), true), None);
    assert!(cache.is_empty());
    assert_eq!(cache.bytes(), ByteSize(0));
}

#[test]
fn the_longest_unused_goes_first() {
    let mut cache = AnswerCache::new(BOUNDS);
    let answer = record(&pieces(&"x".repeat(5 << 10))).unwrap();
    for number in 0..8 {
        cache.put(secs(0), key(number), answer.clone());
        assert!(cache.get(secs(0), &key(0), false).is_some());
    }
    let kept = cache.len();
    cache.put(secs(1), key(100), answer.clone());
    for number in 101..104 {
        cache.put(secs(1), key(number), answer.clone());
    }
    assert!(kept <= 12 && cache.get(secs(1), &key(0), false).is_some(), "used all the time");
    assert!(cache.get(secs(1), &key(1), false).is_none(), "not used since it came");
}

proptest! {
    #[test]
    fn it_never_holds_more_than_it_may(puts in prop::collection::vec((0_u64..40, 0_usize..9000), 1..200)) {
        let mut cache = AnswerCache::new(BOUNDS);
        for (at, (number, length)) in puts.into_iter().enumerate() {
            let Some(answer) = record(&pieces(&"y".repeat(length))) else { continue };
            cache.put(secs(at as u64 / 8), key(number), answer);
            prop_assert!(cache.bytes() <= BOUNDS.memory);
            prop_assert_eq!(cache.len(), cache.uses.len());
        }
    }
}
