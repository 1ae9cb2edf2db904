use protocol::answer::{Delta, ErrorKind, FinishReason, JobError, Started, Usage};
use protocol::ids::RequestId;
use protocol::units::Tokens;

use super::*;

fn started() -> Answer {
    Answer::Started(Started {
        request: RequestId(1),
        model: "m".into(),
        node: "n".into(),
        prompt: Tokens::of(3),
        cached: Tokens::ZERO,
        ..Started::default()
    })
}

fn delta(choice: u32) -> Answer {
    Answer::Delta(Delta { choice, text: "x".into(), logprobs: Vec::new(), calls: Vec::new() })
}

fn finished(choice: u32) -> Answer {
    Answer::Finished { choice, reason: FinishReason::Stop }
}

fn done() -> Answer {
    Answer::Done { usage: Usage::default() }
}

fn failed() -> Answer {
    Answer::Failed(JobError::new(ErrorKind::NodeLost, "gone"))
}

/// What the last of the pieces gets; all before it must be right.
fn last(choices: u32, pieces: &[Answer]) -> Result<bool, Disorder> {
    let mut order = Order::new(choices);
    let mut outcome = Ok(());
    for piece in pieces {
        assert_eq!(outcome, Ok(()), "an earlier piece was refused");
        outcome = order.accept(piece);
    }
    outcome.map(|()| order.has_ended())
}

#[test]
fn whole_answers_pass() {
    assert_eq!(last(1, &[started(), delta(0), delta(0), finished(0), done()]), Ok(true));
    let two = [started(), delta(1), delta(0), finished(1), delta(0), finished(0), done()];
    assert_eq!(last(2, &two), Ok(true));
    assert_eq!(last(1, &[started(), finished(0)]), Ok(false), "it goes on until it is done");
}

#[test]
fn a_failure_may_come_at_any_point_and_is_the_last() {
    assert_eq!(last(1, &[failed()]), Ok(true));
    assert_eq!(last(1, &[started(), delta(0), failed()]), Ok(true));
    assert_eq!(last(1, &[failed(), failed()]), Err(Disorder::AfterEnd));
}

#[test]
fn disorder_is_named() {
    assert_eq!(last(1, &[delta(0)]), Err(Disorder::BeforeStart));
    assert_eq!(last(1, &[done()]), Err(Disorder::BeforeStart));
    assert_eq!(last(1, &[started(), started()]), Err(Disorder::StartedTwice));
    assert_eq!(last(2, &[started(), delta(2)]), Err(Disorder::UnknownChoice { choice: 2, asked: 2 }));
    assert_eq!(last(1, &[started(), finished(0), delta(0)]), Err(Disorder::AfterFinish(0)));
    assert_eq!(last(1, &[started(), finished(0), finished(0)]), Err(Disorder::AfterFinish(0)));
    assert_eq!(last(2, &[started(), finished(1), done()]), Err(Disorder::Unfinished(1)));
    assert_eq!(last(1, &[started(), finished(0), done(), delta(0)]), Err(Disorder::AfterEnd));
}
