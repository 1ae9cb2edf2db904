use super::*;
use protocol::engine::Load;
use protocol::units::Blocks;

mod exactly_once;
mod migrating;

const STOP: TokenId = TokenId(99);

fn limits() -> Limits {
    Limits { max_tokens: Tokens(50), min_tokens: Tokens::ZERO, stop_ids: vec![STOP] }
}

fn start() -> Attempts {
    let (job, commands) = Attempts::new("m", limits(), Tries { attempts: 3, migrations: 4 });
    assert_eq!(commands, [place(0, &[])]);
    job
}

/// On its way at this node.
fn placed(node: u64) -> Attempts {
    let mut job = start();
    assert_eq!(at(&mut job, 0, node), [Command::Ask { attempt: 0, node: NodeId(node) }]);
    job
}

fn at(job: &mut Attempts, attempt: u32, node: u64) -> Vec<Command> {
    job.on_event(attempt, Event::Placed(NodeId(node)))
}

fn place(attempt: u32, tried: &[u64]) -> Command {
    Command::Place { attempt, tried: tried.iter().copied().map(NodeId).collect() }
}

fn retry(attempt: u32, before: u32) -> Command {
    Command::Retry { attempt, before }
}

fn judge(node: u64, verdict: Verdict) -> Command {
    Command::Judge { node: NodeId(node), verdict }
}

fn batch(first: u64, count: u64) -> Event {
    let token = |n| Sampled { token: TokenId(n as u32), logprobs: None };
    Event::Tokens(TokenBatch { first: Tokens(first), tokens: (first..first + count).map(token).collect() })
}

fn done(generated: u64) -> Event {
    let usage = JobUsage { generated: Tokens(generated), ..JobUsage::default() };
    Event::Finished(Finished { finish: Finish::Stop, usage })
}

fn full(after: u64) -> Event {
    refused(RefusalReason::QueueFull { limit: 1 }, Some(Duration::from_secs(after)))
}

fn refused(reason: RefusalReason, retry_after: Option<Duration>) -> Event {
    Event::Refused(Refused { reason, retry_after, load: Load::default() })
}

fn lost() -> Event {
    Event::Lost("the peer has fallen silent".into())
}

fn error(commands: &[Command]) -> JobError {
    match commands.last() {
        Some(Command::End(Err(error))) => error.clone(),
        other => panic!("no error: {other:?}"),
    }
}

#[test]
fn the_usual_way() {
    let mut job = placed(5);
    assert_eq!(job.on_event(0, Event::Granted(Tokens(32))), []);
    assert_eq!(job.on_event(0, Event::Begun(Tokens(32))), [Command::Started { node: NodeId(5), cached: Tokens(32) }]);
    assert!(matches!(job.on_event(0, batch(0, 2)).as_slice(), [Command::Deliver(tokens)] if tokens.len() == 2));
    let end = job.on_event(0, done(2));
    let [good, Command::End(Ok(end))] = end.as_slice() else { panic!("{end:?}") };
    assert_eq!(*good, judge(5, Verdict::Good));
    assert_eq!((end.usage.generated, end.usage.cached), (Tokens(2), Tokens(32)));
    assert!(job.ended());
}

#[test]
fn before_the_first_token_a_fault_means_another_node_at_once() {
    let gone = || Event::Failed(JobFault::WorkerLost { reason: "x".into() });
    for wrong in [Event::Unanswered, lost(), gone(), batch(1, 1), done(1)] {
        let mut job = placed(1);
        let commands = job.on_event(0, wrong);
        assert_eq!(commands, [Command::Drop { attempt: 0 }, judge(1, Verdict::Fault), retry(1, 0)]);
        // What the first still says does not matter.
        assert_eq!(job.on_event(0, batch(0, 1)), []);
        assert_eq!(job.on_event(1, Event::Slept), [place(2, &[1])]);
        at(&mut job, 2, 2);
        assert!(matches!(job.on_event(2, batch(0, 1)).as_slice(), [Command::Started { .. }, Command::Deliver(_)]));
    }
}

#[test]
fn faults_are_retried_with_growing_waits_until_there_were_too_many() {
    let mut job = placed(1);
    assert_eq!(job.on_event(0, lost()).last(), Some(&retry(1, 0)));
    job.on_event(1, Event::Slept);
    at(&mut job, 2, 2);
    assert_eq!(job.on_event(2, lost()).last(), Some(&retry(3, 1)));
    // Only the last one is left out: there may be no third.
    assert_eq!(job.on_event(3, Event::Slept), [place(4, &[2])]);
    at(&mut job, 4, 1);
    let error = error(&job.on_event(4, lost()));
    assert_eq!(error.kind, ErrorKind::NodeLost);
    assert!(error.message.contains("3 attempts") && error.message.contains("fallen silent"), "{error}");
}

#[test]
fn without_a_budget_nothing_is_tried_again() {
    let mut job = placed(1);
    job.on_event(0, lost());
    let spent = JobError::new(ErrorKind::NodeLost, "too much is tried again");
    assert_eq!(error(&job.on_event(1, Event::TurnedAway(spent.clone()))), spent);
}

#[test]
fn when_all_refuse_it_waits_its_turn_and_all_count_afresh() {
    let mut job = placed(1);
    assert_eq!(job.on_event(0, full(7)), [Command::Drop { attempt: 0 }, judge(1, Verdict::Busy), place(1, &[1])]);
    at(&mut job, 1, 2);
    job.on_event(1, full(2));
    at(&mut job, 2, 3);
    let commands = job.on_event(2, full(5));
    assert_eq!(commands.last(), Some(&Command::Wait { attempt: 3, retry_after: Some(Duration::from_secs(2)) }));
    assert_eq!(job.on_event(3, Event::Turn), [place(4, &[])]);
    assert_eq!(at(&mut job, 4, 1), [Command::Ask { attempt: 4, node: NodeId(1) }]);
}

#[test]
fn fewer_nodes_than_attempts_wait_as_well() {
    let mut job = placed(1);
    job.on_event(0, full(1));
    let waits = job.on_event(1, Event::Nobody { some: true });
    assert!(matches!(waits.as_slice(), [Command::Wait { attempt: 2, .. }]), "{waits:?}");
    let away = JobError::new(ErrorKind::Overloaded, "full").retry_after(Duration::from_secs(9));
    assert_eq!(error(&job.on_event(2, Event::TurnedAway(away.clone()))), away);
}

#[test]
fn a_model_without_any_node_is_an_error_of_its_own() {
    assert_eq!(error(&start().on_event(0, Event::Nobody { some: false })).kind, ErrorKind::NoNode);
    // Nodes that are only suspect or busy may be back in a moment.
    let mut job = start();
    let waits = job.on_event(0, Event::Nobody { some: true });
    assert!(matches!(waits.as_slice(), [Command::Wait { attempt: 1, .. }]), "{waits:?}");
    // If they are not, it was not for want of room.
    let away = JobError::new(ErrorKind::Overloaded, "full").retry_after(Duration::from_secs(9));
    let error = error(&job.on_event(1, Event::TurnedAway(away)));
    assert_eq!((error.kind, error.retry_after), (ErrorKind::NoNode, Some(Duration::from_secs(9))));
}

#[test]
fn a_refusal_that_lies_in_the_job_ends_it_at_once() {
    let ended = placed(1).on_event(0, refused(RefusalReason::EmptyPrompt, None));
    assert_eq!(error(&ended).kind, ErrorKind::Invalid);
}

#[test]
fn a_prompt_that_fits_no_node_is_the_clients_to_mend() {
    let long = RefusalReason::PromptTooLong { tokens: Tokens(9), limit: Tokens(8) };
    let large = || RefusalReason::TooManyBlocks { needed: Blocks(9), limit: Blocks(8) };
    let mut job = placed(1);
    assert_eq!(job.on_event(0, refused(long, None)).last(), Some(&place(1, &[1])));
    at(&mut job, 1, 2);
    job.on_event(1, refused(large(), None));
    assert_eq!(error(&job.on_event(2, Event::Nobody { some: true })).kind, ErrorKind::ContextLength);
    // One that is only full may take it later.
    let mut job = placed(1);
    job.on_event(0, refused(large(), None));
    at(&mut job, 1, 2);
    job.on_event(1, full(1));
    assert!(matches!(job.on_event(2, Event::Nobody { some: true }).as_slice(), [Command::Wait { .. }]));
}

#[test]
fn a_deadline_that_has_passed_is_no_fault_of_the_node() {
    let commands = placed(1).on_event(0, Event::Failed(JobFault::Expired));
    assert_eq!(error(&commands).kind, ErrorKind::Busy);
    assert!(!commands.contains(&judge(1, Verdict::Fault)), "{commands:?}");
}
