use super::*;
use proptest::prelude::*;
use protocol::engine::Load;
use protocol::ids::TokenId;
use protocol::units::Blocks;

fn start(nodes: u64, most: u32) -> (Attempts, Vec<Command>) {
    Attempts::new("m", (0..nodes).map(NodeId).collect(), most)
}

fn ask(attempt: u32) -> Command {
    Command::Ask { attempt, node: NodeId(attempt.into()) }
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
    let reason = RefusalReason::QueueFull { limit: 1 };
    Event::Refused(Refused { reason, retry_after: Some(Duration::from_secs(after)), load: Load::default() })
}

fn error(commands: &[Command]) -> JobError {
    match commands.last() {
        Some(Command::End(Err(error))) => error.clone(),
        other => panic!("no error: {other:?}"),
    }
}

#[test]
fn the_usual_way() {
    let (mut job, commands) = start(2, 3);
    assert_eq!(commands, [ask(0)]);
    assert_eq!(job.on_event(0, Event::Granted), []);
    assert_eq!(job.on_event(0, Event::Begun(Tokens(32))), [Command::Started { node: NodeId(0), cached: Tokens(32) }]);
    assert!(matches!(job.on_event(0, batch(0, 2)).as_slice(), [Command::Deliver(tokens)] if tokens.len() == 2));
    assert!(matches!(job.on_event(0, done(2)).as_slice(), [Command::End(Ok(_))]));
    assert!(job.ended());
}

#[test]
fn before_the_first_token_the_next_node_is_asked_whatever_went_wrong() {
    let lost = || Event::Failed(JobFault::WorkerLost { reason: "x".into() });
    for wrong in [full(3), Event::Unanswered, Event::Lost("gone".into()), lost(), batch(1, 1)] {
        let (mut job, _) = start(2, 3);
        assert_eq!(job.on_event(0, wrong), [Command::Drop { attempt: 0 }, ask(1)]);
        // What the first still says does not matter.
        assert_eq!(job.on_event(0, batch(0, 1)), []);
        assert!(matches!(job.on_event(1, batch(0, 1)).as_slice(), [Command::Started { .. }, Command::Deliver(_)]));
    }
}

#[test]
fn when_all_refuse_the_client_learns_when_to_come_back() {
    let (mut job, _) = start(3, 3);
    job.on_event(0, full(7));
    job.on_event(1, full(2));
    let error = error(&job.on_event(2, full(5)));
    assert_eq!((error.kind, error.retry_after), (ErrorKind::Overloaded, Some(Duration::from_secs(2))));
}

#[test]
fn no_more_nodes_are_asked_than_allowed_and_none_is_an_error_of_its_own() {
    let (mut job, _) = start(5, 2);
    job.on_event(0, Event::Lost("x".into()));
    let lost = error(&job.on_event(1, Event::Lost("the peer has fallen silent".into())));
    assert_eq!(lost.kind, ErrorKind::NodeLost);
    assert!(lost.message.contains("fallen silent"), "{lost}");
    assert_eq!(error(&start(0, 3).1).kind, ErrorKind::NoNode);
}

#[test]
fn after_the_first_token_a_loss_is_an_error() {
    let (mut job, _) = start(2, 3);
    job.on_event(0, batch(0, 1));
    assert_eq!(error(&job.on_event(0, Event::Lost("x".into()))).kind, ErrorKind::NodeLost);
}

#[test]
fn a_refusal_that_lies_in_the_job_ends_it_at_once() {
    let (mut job, _) = start(2, 3);
    let refused = |reason| Event::Refused(Refused { reason, retry_after: None, load: Load::default() });
    assert_eq!(error(&job.on_event(0, refused(RefusalReason::EmptyPrompt))).kind, ErrorKind::Invalid);
}

#[test]
fn a_prompt_that_fits_no_node_is_the_clients_to_mend() {
    let refused = |reason| Event::Refused(Refused { reason, retry_after: None, load: Load::default() });
    let (mut job, _) = start(3, 3);
    let long = RefusalReason::PromptTooLong { tokens: Tokens(9), limit: Tokens(8) };
    let large = || RefusalReason::TooManyBlocks { needed: Blocks(9), limit: Blocks(8) };
    assert_eq!(job.on_event(0, refused(long)), [Command::Drop { attempt: 0 }, ask(1)]);
    job.on_event(1, refused(large()));
    assert_eq!(error(&job.on_event(2, refused(large()))).kind, ErrorKind::ContextLength);
    // One that is only full may take it later.
    let (mut job, _) = start(2, 3);
    job.on_event(0, refused(large()));
    assert_eq!(error(&job.on_event(1, full(1))).kind, ErrorKind::Overloaded);
}

#[test]
fn an_end_that_does_not_add_up_is_a_fault_of_the_node() {
    let (mut job, _) = start(2, 3);
    job.on_event(0, batch(0, 2));
    assert_eq!(error(&job.on_event(0, done(3))).kind, ErrorKind::NodeLost);
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Granted),
        Just(full(1)),
        Just(Event::Unanswered),
        Just(Event::Begun(Tokens(1))),
        Just(Event::Lost("x".into())),
        (0u64..6, 0u64..4).prop_map(|(first, count)| batch(first, count)),
        (0u64..8).prop_map(done),
        Just(Event::Failed(JobFault::NotFinite { position: Tokens(1) })),
        Just(Event::Failed(JobFault::WorkerLost { reason: "x".into() })),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_it_ends_once_and_no_token_is_lost_or_doubled(
        events in proptest::collection::vec((0u32..4, event()), 0..40),
        (nodes, most, enough) in (0u64..4, 1u32..4, proptest::option::of(0usize..40)),
    ) {
        let (mut job, mut all) = start(nodes, most);
        for (n, (attempt, event)) in events.into_iter().enumerate() {
            all.extend(job.on_event(attempt, event));
            if enough == Some(n) {
                all.extend(job.on_enough());
            }
        }
        // Whatever is still live is lost in the end.
        for attempt in 0..4 {
            all.extend(job.on_event(attempt, Event::Lost("x".into())));
        }
        prop_assert!(job.ended());
        prop_assert_eq!(job.on_event(0, batch(0, 1)), []);
        let (mut live, mut ends, mut starts, mut next) = (None, 0, 0, 0u32);
        for command in all {
            prop_assert_eq!(ends, 0, "something follows the end");
            match command {
                Command::Ask { attempt, .. } => {
                    prop_assert_eq!(live, None);
                    live = Some(attempt);
                }
                Command::Drop { attempt } => prop_assert_eq!(live.take(), Some(attempt)),
                Command::Started { .. } => starts += 1,
                Command::Deliver(tokens) => {
                    prop_assert!(live.is_some());
                    for token in tokens {
                        prop_assert_eq!(token.token.0, next);
                        next += 1;
                    }
                }
                Command::End(_) => ends += 1,
            }
        }
        prop_assert!(starts <= 1);
        prop_assert!(ends == 1 || enough.is_some());
    }
}
