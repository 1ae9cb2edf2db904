//! Whatever nodes do, the client gets the answer's tokens once each and in order, and one end.

use super::*;
use proptest::prelude::*;

/// What a node does next, whatever it was asked.
#[derive(Clone, Copy, Debug)]
enum Does {
    Refuse,
    Tokens(u64),
    Repeat,
    Skip,
    Lose,
    Drain,
    Finish,
    Nothing,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        1 => Just(Does::Refuse),
        4 => (1u64..5).prop_map(Does::Tokens),
        1 => Just(Does::Repeat),
        1 => Just(Does::Skip),
        1 => Just(Does::Lose),
        1 => Just(Does::Drain),
        1 => Just(Does::Finish),
        1 => Just(Does::Nothing),
    ]
}

/// A client, and nodes that answer with 20 tokens, 0 to 19, and then the stop token.
struct World {
    job: Attempts,
    due: Vec<Command>,
    live: Option<u32>,
    base: u64,
    next: u64,
    heard: Vec<u32>,
    ends: Vec<Result<End, JobError>>,
    starts: u32,
}

const LAST: u64 = 20;

impl World {
    fn tell(&mut self, attempt: u32, event: Event) {
        self.due.extend(self.job.on_event(attempt, event));
    }

    /// Carries commands out, as a shell does.
    fn obey(&mut self, nodes: u64) -> Result<(), TestCaseError> {
        while !self.due.is_empty() {
            prop_assert!(self.ends.is_empty(), "something follows the end: {:?}", self.due);
            match self.due.remove(0) {
                Command::Place { attempt, tried } => {
                    let node = (0..nodes).map(NodeId).find(|node| !tried.contains(node));
                    let event = node.map_or(Event::Nobody { some: nodes > 0 }, Event::Placed);
                    self.tell(attempt, event);
                }
                Command::Ask { attempt, .. } => {
                    prop_assert_eq!(self.live, None);
                    (self.live, self.base, self.next) =
                        (Some(attempt), self.heard.len() as u64, self.heard.len() as u64);
                }
                Command::Retry { attempt, .. } => self.tell(attempt, Event::Slept),
                Command::Wait { attempt, .. } => self.tell(attempt, Event::Turn),
                Command::Drop { attempt } => prop_assert_eq!(self.live.take(), Some(attempt)),
                Command::Started { .. } => self.starts += 1,
                Command::Deliver(tokens) => self.heard.extend(tokens.iter().map(|sampled| sampled.token.0)),
                Command::End(end) => self.ends.push(end),
                Command::Judge { .. } | Command::Migrate { .. } => {}
            }
        }
        Ok(())
    }

    fn act(&mut self, does: Does) {
        let Some(attempt) = self.live else { return };
        let token = |position: u64| if position == LAST { STOP } else { TokenId(position as u32) };
        let tokens = |first: u64, count: u64| {
            let all = (first..(first + count).min(LAST + 1)).map(|at| Sampled { token: token(at), logprobs: None });
            Event::Tokens(TokenBatch { first: Tokens(first), tokens: all.collect() })
        };
        match does {
            Does::Refuse if self.next == self.base => self.tell(attempt, full(1)),
            Does::Tokens(count) if self.next <= LAST => {
                let batch = tokens(self.next, count);
                self.next = (self.next + count).min(LAST + 1);
                self.tell(attempt, batch);
            }
            Does::Repeat if self.next > 0 => self.tell(attempt, tokens(self.next - 1, 2)),
            Does::Skip => self.tell(attempt, tokens(self.next + 1, 1)),
            Does::Lose => self.tell(attempt, lost()),
            Does::Drain => self.tell(attempt, Event::Failed(JobFault::Drained)),
            Does::Finish if self.next > LAST => self.tell(attempt, done(self.next - self.base)),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn no_token_is_lost_or_doubled_and_it_ends_once(
        deeds in proptest::collection::vec(does(), 0..60),
        nodes in 1u64..4,
    ) {
        let (job, due) = Attempts::new("m", limits(), Tries { attempts: 3, migrations: 4 });
        let (live, base, next) = (None, 0, 0);
        let mut world = World { job, due, live, base, next, heard: Vec::new(), ends: Vec::new(), starts: 0 };
        world.obey(nodes)?;
        // In the end every node is well.
        let well = std::iter::repeat_n(Does::Tokens(4), 6).chain([Does::Finish]);
        for does in deeds.into_iter().chain(well) {
            world.act(does);
            world.obey(nodes)?;
        }
        prop_assert_eq!(world.ends.len(), 1);
        prop_assert!(world.job.ended());
        prop_assert!(world.starts <= 1);
        let wanted = (0..LAST as u32).chain([STOP.0]).take(world.heard.len());
        prop_assert_eq!(&world.heard, &wanted.collect::<Vec<_>>());
        if let Some(Ok(end)) = world.ends.first() {
            prop_assert_eq!(world.heard.len() as u64, LAST + 1);
            prop_assert_eq!(end.usage.generated, Tokens(LAST + 1));
            prop_assert_eq!(end.finish, Finish::Stop);
        }
    }
}
