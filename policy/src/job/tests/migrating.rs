//! After the first token: the answer goes on elsewhere.

use super::*;

#[test]
fn a_begun_answer_goes_on_elsewhere_with_the_next_token() {
    let mut job = placed(1);
    job.on_event(0, batch(0, 3));
    let commands = job.on_event(0, lost());
    let why = "the peer has fallen silent".to_owned();
    let migrate = Command::Migrate { from: NodeId(1), delivered: Tokens(3), why };
    assert_eq!(commands, [Command::Drop { attempt: 0 }, judge(1, Verdict::Fault), migrate, place(1, &[1])]);
    at(&mut job, 1, 2);
    // The client has seen its beginning.
    assert_eq!(job.on_event(1, Event::Begun(Tokens(64))), []);
    assert!(matches!(job.on_event(1, batch(3, 2)).as_slice(), [Command::Deliver(_)]));
    // The node counts what it has chosen itself.
    let end = job.on_event(1, done(2));
    assert!(matches!(end.last(), Some(Command::End(Ok(end))) if end.usage.generated == Tokens(5)), "{end:?}");
}

#[test]
fn a_token_that_was_delivered_is_not_taken_twice() {
    let mut job = placed(1);
    job.on_event(0, batch(0, 3));
    job.on_event(0, lost());
    at(&mut job, 1, 2);
    let commands = job.on_event(1, batch(2, 2));
    assert!(matches!(commands.as_slice(), [Command::Drop { .. }, Command::Judge { .. }, Command::Migrate { .. }, _]));
}

#[test]
fn a_node_that_drains_hands_over_without_a_fault() {
    let mut job = placed(1);
    job.on_event(0, batch(0, 1));
    let commands = job.on_event(0, Event::Failed(JobFault::Drained));
    assert!(matches!(commands.as_slice(), [Command::Drop { .. }, Command::Migrate { .. }, Command::Place { .. }]));
    // Before its first token as well, and as often as it takes.
    let mut job = placed(1);
    for attempt in 0..9 {
        assert_eq!(job.on_event(attempt, Event::Failed(JobFault::Drained)).last(), Some(&place(attempt + 1, &[1])));
        at(&mut job, attempt + 1, 1);
    }
}

#[test]
fn an_answer_whose_last_token_came_is_complete_without_its_node() {
    let mut job = placed(1);
    let token = Sampled { token: STOP, logprobs: None };
    job.on_event(0, Event::Tokens(TokenBatch { first: Tokens(0), tokens: vec![token] }));
    let end = job.on_event(0, lost());
    assert!(matches!(end.last(), Some(Command::End(Ok(End { finish: Finish::Stop, .. })))), "{end:?}");
    let mut job = placed(1);
    job.on_event(0, batch(0, 50));
    let end = job.on_event(0, lost());
    assert!(matches!(end.last(), Some(Command::End(Ok(End { finish: Finish::Length, .. })))), "{end:?}");
}

#[test]
fn a_stop_token_before_its_time_ends_nothing() {
    let limits = Limits { min_tokens: Tokens(2), ..limits() };
    let (mut job, _) = Attempts::new("m", limits, Tries { attempts: 3, migrations: 4 });
    at(&mut job, 0, 1);
    let token = Sampled { token: STOP, logprobs: None };
    job.on_event(0, Event::Tokens(TokenBatch { first: Tokens(0), tokens: vec![token] }));
    assert!(matches!(job.on_event(0, lost()).last(), Some(Command::Place { .. })));
}

#[test]
fn a_begun_answer_waits_when_no_node_is_left() {
    let mut job = placed(1);
    job.on_event(0, batch(0, 1));
    job.on_event(0, lost());
    let waits = job.on_event(1, Event::Nobody { some: false });
    assert!(matches!(waits.as_slice(), [Command::Wait { attempt: 2, .. }]), "{waits:?}");
    let error = error(&job.on_event(2, Event::TurnedAway(JobError::new(ErrorKind::Overloaded, "full"))));
    assert_eq!(error.kind, ErrorKind::NodeLost);
    assert!(error.message.contains("1 tokens") || error.message.contains("after 1"), "{error}");
}

#[test]
fn there_is_an_end_to_moving() {
    let mut job = placed(1);
    job.on_event(0, batch(0, 1));
    for attempt in 0..4 {
        assert!(matches!(job.on_event(attempt, lost()).last(), Some(Command::Place { .. })));
        at(&mut job, attempt + 1, 1);
    }
    let error = error(&job.on_event(4, lost()));
    assert_eq!(error.kind, ErrorKind::NodeLost);
    assert!(error.message.contains("4 times"), "{error}");
}
