use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;
use protocol::answer::{Answer, ClusterStatus, Delta, ErrorKind, FinishReason, JobError, Started, Usage};
use protocol::ids::RequestId;
use protocol::request::Request;
use protocol::units::{Nanos, Tokens};
use tokio::sync::{Mutex, mpsc};

use super::Answers;
use crate::service::{AnswerStream, Caller, ModelInfo, Service};

/// Gives out prepared streams, then refuses.
struct Prepared(Mutex<VecDeque<AnswerStream>>);

impl Service for Prepared {
    fn authenticate(&self, _: &str) -> Result<Caller, JobError> {
        Ok(caller())
    }

    fn ask(&self, _: &Caller, _: Request) -> Result<AnswerStream, JobError> {
        let stream = self.0.try_lock().unwrap().pop_front();
        stream.ok_or_else(|| JobError::new(ErrorKind::Overloaded, "full"))
    }

    fn models(&self, _: &Caller) -> Vec<ModelInfo> {
        Vec::new()
    }

    fn status(&self) -> ClusterStatus {
        ClusterStatus::default()
    }

    fn order(&self, node: &str, _: protocol::message::OrderAction) -> Result<String, JobError> {
        Ok(node.to_owned())
    }

    fn is_ready(&self) -> bool {
        true
    }
}

fn caller() -> Caller {
    Caller { key: "test".to_owned(), salt: [0; 16], admin: false, settings: Arc::default() }
}

fn asked(scripts: &[Vec<Answer>], prompts: usize, each: u32) -> Result<Answers, JobError> {
    let stream = |script: &Vec<Answer>| {
        let (tx, rx) = mpsc::channel(script.len().max(1));
        for piece in script {
            tx.try_send(piece.clone()).unwrap();
        }
        AnswerStream::new(rx)
    };
    let service = Prepared(Mutex::new(scripts.iter().map(stream).collect()));
    Answers::ask(&service, &caller(), vec![Request::default(); prompts], each)
}

async fn all(mut answers: Answers) -> Vec<Answer> {
    let mut pieces = Vec::new();
    while let Some(piece) = answers.next().await {
        pieces.push(piece);
    }
    pieces
}

fn started(id: u128) -> Answer {
    Answer::Started(Started {
        request: RequestId(id),
        model: "m".to_owned(),
        node: "n".to_owned(),
        prompt: Tokens(3),
        cached: Tokens(1),
        ..Started::default()
    })
}

fn delta(choice: u32, text: &str) -> Answer {
    Answer::Delta(Delta { choice, text: text.to_owned(), logprobs: Vec::new(), calls: Vec::new() })
}

fn finished(choice: u32) -> Answer {
    Answer::Finished { choice, reason: FinishReason::Stop }
}

fn done() -> Answer {
    Answer::Done { usage: Usage { prompt: Tokens(3), cached: Tokens(1), completion: Tokens(2), cost: Nanos(5) } }
}

fn good(id: u128, each: u32) -> Vec<Answer> {
    let mut script = vec![started(id)];
    script.extend((0..each).map(|choice| delta(choice, &format!("{id}.{choice}"))));
    script.extend((0..each).map(finished));
    script.push(done());
    script
}

fn is_internal(pieces: &[Answer]) -> bool {
    matches!(pieces.last(), Some(Answer::Failed(error)) if error.kind == ErrorKind::Internal)
}

#[tokio::test]
async fn prompts_become_choices_in_order_and_usage_is_summed() {
    let pieces = all(asked(&[good(0, 2), good(1, 2), good(2, 2)], 3, 2).unwrap()).await;
    let starts = pieces.iter().filter(|piece| matches!(piece, Answer::Started(_))).count();
    assert_eq!(starts, 1);
    for prompt in 0..3_u32 {
        for choice in 0..2 {
            let at = prompt * 2 + choice;
            assert!(pieces.contains(&delta(at, &format!("{prompt}.{choice}"))));
            assert!(pieces.contains(&finished(at)));
        }
    }
    let usage = Usage { prompt: Tokens(9), cached: Tokens(3), completion: Tokens(6), cost: Nanos(15) };
    assert_eq!(pieces.last(), Some(&Answer::Done { usage }));
}

#[tokio::test]
async fn one_refusal_refuses_all() {
    let error = asked(&[good(0, 1)], 2, 1).map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Overloaded);
}

#[tokio::test]
async fn a_failure_of_one_ends_all_and_cancels_the_others() {
    let failure = Answer::Failed(JobError::new(ErrorKind::NodeLost, "gone"));
    let (tx, rx) = mpsc::channel(1);
    let failing = {
        let (tx, rx) = mpsc::channel(1);
        tx.try_send(failure.clone()).unwrap();
        AnswerStream::new(rx)
    };
    let service = Prepared(Mutex::new([AnswerStream::new(rx), failing].into()));
    let answers = Answers::ask(&service, &caller(), vec![Request::default(); 2], 1).unwrap();
    assert_eq!(all(answers).await, [failure]);
    tx.closed().await;
}

#[tokio::test]
async fn broken_orders_end_as_a_fault_of_the_cluster() {
    let scripts: [&[Answer]; 9] = [
        &[],
        &[delta(0, "x")],
        &[done()],
        &[started(0)],
        &[started(0), started(0)],
        &[started(0), done()],
        &[started(0), delta(1, "x")],
        &[started(0), finished(0), delta(0, "x")],
        &[started(0), finished(0), finished(0)],
    ];
    for script in scripts {
        let pieces = all(asked(&[script.to_vec()], 1, 1).unwrap()).await;
        assert!(is_internal(&pieces), "{script:?} gave {pieces:?}");
    }
}

fn piece() -> impl Strategy<Value = Answer> {
    prop_oneof![
        2 => (0_u128..3).prop_map(started),
        6 => (0_u32..3, "[a-c]{0,2}").prop_map(|(choice, text)| delta(choice, &text)),
        3 => (0_u32..3).prop_map(finished),
        2 => Just(done()),
        1 => Just(Answer::Failed(JobError::new(ErrorKind::NodeLost, "gone"))),
    ]
}

proptest! {
    /// Whatever the streams say, the door sees the promised order, and an end.
    #[test]
    fn the_order_is_always_the_promised_one(
        scripts in prop::collection::vec(prop::collection::vec(piece(), 0..8), 1..4),
        each in 1_u32..3,
    ) {
        let prompts = scripts.len();
        let answers = asked(&scripts, prompts, each).unwrap();
        let choices = answers.choices();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pieces = runtime.block_on(all(answers));
        let (last, rest) = pieces.split_last().unwrap();
        let is_end = matches!(last, Answer::Done { .. } | Answer::Failed(_));
        prop_assert!(is_end);
        let mut open = vec![true; choices as usize];
        for (i, piece) in rest.iter().enumerate() {
            match piece {
                Answer::Started(_) => prop_assert_eq!(i, 0),
                Answer::Delta(delta) => prop_assert!(i > 0 && open[delta.choice as usize]),
                Answer::Finished { choice, .. } => {
                    prop_assert!(i > 0);
                    prop_assert!(std::mem::replace(&mut open[*choice as usize], false));
                }
                Answer::Done { .. } | Answer::Failed(_) => prop_assert!(false, "an end in the middle"),
            }
        }
        if matches!(last, Answer::Done { .. }) {
            prop_assert!(open.iter().all(|open| !open));
        }
    }
}
