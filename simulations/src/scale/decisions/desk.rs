//! Where requests are placed.

use std::collections::VecDeque;
use std::time::Duration;

use policy::index::Index;
use policy::placement::roster::{Key, Roster, Wish};
use policy::placement::{Prompt, Settings};
use policy::restart::Jitter;
use protocol::engine::BlockHash;
use protocol::ids::NodeId;
use protocol::units::Tokens;

use super::super::fleet::{self, Fleet, PROMPT, Seen};
use super::Clock;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Conversations go on, others begin.
    Mixed,
    /// The prompt that every node holds.
    Common,
}

/// A coordinator's roster and the jobs it has sent.
pub(super) struct Desk {
    roster: Roster,
    settings: Settings,
    random: Jitter,
    /// Conversations that go on; those that nodes have given up are replaced by those that came.
    live: Vec<usize>,
    next: usize,
    /// Jobs that run.
    open: VecDeque<Key>,
    now: Duration,
    turn: u64,
}

impl Desk {
    pub(super) fn new(fleet: &Fleet, seed: u64) -> Self {
        let settings = Settings::from(&protocol::config::Placement::default());
        let (roster, random, live) = (fleet.roster(), Jitter::new(!seed), (0..fleet.chains.len()).collect());
        Self { roster, settings, random, live, next: 0, open: VecDeque::new(), now: Duration::ZERO, turn: 0 }
    }

    /// A conversation has come to a node, and is among those that go on.
    pub(super) fn came(&mut self, conversation: usize) {
        if let Some(oldest) = self.live.get_mut(self.next) {
            *oldest = conversation;
            self.next = (self.next + 1) % self.live.len();
        }
    }

    /// Places a request; how long the look-up took, and all of it.
    pub(super) fn place(
        &mut self,
        fleet: &Fleet,
        index: &Index,
        asked: Asked,
        clock: &mut Clock<'_>,
    ) -> (Duration, Duration) {
        self.now += Duration::from_micros(500);
        self.turn += 1;
        let at = (self.random.draw() * self.live.len() as f64) as usize;
        let Some(known) = self.live.get(at).and_then(|at| fleet.chains.get(*at)) else { return Default::default() };
        // Of ten requests eight go on with a conversation, one begins one, and one begins like no other.
        // Names are hashed just before a placement: none of them is read from far away.
        let chain: Vec<BlockHash> = match (asked, self.turn % 10) {
            (Asked::Common, _) => fleet.common.clone(),
            (Asked::Mixed, turn @ 0..=1) => {
                let system = if turn == 0 { at % fleet::SYSTEMS } else { 2_000_000 + at };
                fleet::chain(&fleet::tokens(system, (1 << 31) + self.turn))
            }
            (Asked::Mixed, _) => known.clone(),
        };
        let chain = chain.as_slice();
        let prompt = Prompt { tokens: PROMPT, answer: Tokens(256), block: fleet::BLOCK };
        let wish = Wish { prompt, chain, session: None, tried: &[] };
        let random = &mut self.random;
        let begun = clock();
        let hits = index.cached(fleet::keys(chain));
        let looked = clock().saturating_sub(begun);
        let nodes = Seen { index };
        let decided = self.roster.decide(self.now, &wish, &hits, &nodes, &self.settings, &mut || random.draw());
        let entered = decided.and_then(|decision| {
            let choice = decision.choices.first()?;
            self.roster.enter(self.now, &wish, choice)
        });
        let took = clock().saturating_sub(begun);
        if let Some(key) = entered {
            self.roster.granted(self.now, &key);
            self.open.push_back(key);
        }
        // Two jobs a node run; the oldest ends.
        if self.open.len() > 2 * fleet.nodes
            && let Some(key) = self.open.pop_front()
        {
            self.roster.ended(&key, &[], true);
        }
        self.roster.reported(self.now, NodeId(self.turn % fleet.nodes.max(1) as u64), 1);
        (looked, took)
    }
}
