//! Who serves one model, what was sent there, and how it went: all that a decision is made from, in one hand.
//!
//! Rules:
//! - To place a request is to look at the nodes of its model, not at the fleet; of two requests that come together
//!   the second sees where the first went ([`Roster::enter`]).
//! - What was entered is given back by [`Roster::ended`], once, whatever became of it. A node that connects anew
//!   begins with nothing: what was sent over its older connection ended with that.
//! - What a node tells of itself is brought here when it tells it ([`Roster::told`]), and kept in a few figures for each
//!   ([`members`]): to look at a thousand nodes is to walk over these. More of a node is looked at only if it is priced.
//! - What the cluster knows of a node otherwise (its cache, whether it is meant) is the caller's ([`Nodes`]).

use std::time::Duration;

use protocol::engine::BlockHash;
use protocol::ids::NodeId;
use protocol::message::{Role, WorkerReport};
use protocol::units::{Blocks, Tokens};

use super::claims::Claims;
use super::ledger::Ticket;
use super::pace::Batch;
use super::routed::{Routed, reach};
use super::sessions::{Last, Sessions};
use super::standing::nanos;
use super::{Choice, Decision, List, Listed, Prompt, Said, Settings, choose_by};
use crate::breaker::{self, Breaker, Permit, State};
use crate::index::Hits;
use crate::job::Verdict;
use crate::planted::Planted;

mod members;

use members::{Brief, Member, Members};

/// Blocks of prompts on their way that are remembered: 1 MiB of long prompts, ten of such as have one block.
const ROUTED: usize = 65_536;

/// What is known of a node that serves the model and may be asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// As it last reported.
    pub worker: WorkerReport,
    /// Jobs it can hold.
    pub jobs: u32,
    /// Blocks it has.
    pub blocks: Blocks,
}

/// What a node that may be asked has told of itself.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// How it is.
    pub view: View,
    /// It may be asked until then, if it tells nothing more.
    pub until: Duration,
    /// Among those that serve the model.
    pub kind: Kind,
}

/// What tells nodes of one model apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Its part of a job.
    pub role: Role,
    /// The first bytes of its tokenizer's hash.
    pub words: u64,
}

/// What a decision asks of the rest of the cluster.
pub trait Nodes {
    /// Whether such a node is meant.
    fn meant(&self, node: NodeId, kind: Kind) -> bool;
    /// Whether the index knows all that the node has cached.
    fn known(&self, node: NodeId) -> bool;
}

/// What is to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Its size.
    pub prompt: Prompt,
    /// The names of its full blocks, from the front.
    pub chain: &'a [BlockHash],
    /// The conversation, if it is known.
    pub session: Option<u64>,
    /// Who has refused or failed already.
    pub tried: &'a [NodeId],
}

/// Where a job stands in a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Where it was sent.
    pub node: NodeId,
    /// The permit of that node's breaker.
    pub permit: Permit,
    link: u64,
    ticket: Ticket,
    /// Blocks of its prompt that were cached there already.
    cached: Blocks,
}

impl Key {
    /// Over which connection.
    pub fn link(&self) -> u64 {
        self.link
    }
}

/// Who serves one model.
#[derive(Debug)]
pub struct Roster {
    members: Members,
    routed: Routed,
    sessions: Sessions,
    /// Decisions so far.
    turn: u64,
    /// Jobs that nodes had at the last decision, in the mean: steps are compared with so many sequences.
    batch: Batch,
    planted: Planted,
    /// Of the last decision: its memory is used again.
    list: List,
}

impl Roster {
    /// Nobody yet.
    pub fn new(config: &protocol::config::Placement) -> Self {
        Self {
            members: Members::default(),
            routed: Routed::new(ROUTED, config.foresight.0),
            sessions: Sessions::new(config.sessions as usize, config.session_ttl.0),
            turn: 0,
            batch: Batch::default(),
            planted: Planted::default(),
            list: List::default(),
        }
    }

    /// Makes this mistake from now on.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, planted: Planted) {
        self.planted = planted;
    }

    /// A node serves the model, over this connection.
    pub fn serves(&mut self, node: NodeId, link: u64) {
        if self.members.join(Member::new(node, link, self.planted)) {
            self.routed.leave(node);
        }
    }

    /// A node's connection is gone, or it serves the model no more. Nothing happens if a newer one is here.
    pub fn leaves(&mut self, node: NodeId, link: u64) {
        self.members.leave(node, link);
    }

    /// A node tells of itself; none if it may not be asked. Nothing happens if it has told something newer.
    pub fn told(&mut self, node: NodeId, link: u64, serial: u64, told: Option<Told>) {
        self.members.change(node, link, |member| {
            if serial >= member.serial {
                (member.serial, member.told) = (serial, told);
            }
        });
    }

    /// Whether nobody serves it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Jobs that were sent and have not ended.
    pub fn open(&self) -> u64 {
        self.members.iter().map(|member| u64::from(member.ledger.jobs())).sum()
    }

    /// Jobs that were sent to a node and have not ended.
    pub fn open_at(&self, node: NodeId) -> u32 {
        self.members.get(node).map_or(0, |member| member.ledger.jobs())
    }

    /// A node's breaker, to look at; none if it is not here.
    pub fn breaker_of(&self, node: NodeId) -> Option<&Breaker> {
        self.members.get(node).map(|member| &member.breaker)
    }

    /// Where to ask. `hits` are the blocks of the prompt that the index believes to be cached, by node. `random` gives
    /// numbers in [0, 1). None if there is nobody to ask. Nothing is entered.
    pub fn decide(
        &mut self,
        now: Duration,
        wish: &Wish<'_>,
        hits: &Hits,
        nodes: &impl Nodes,
        settings: &Settings,
        random: &mut impl FnMut() -> f64,
    ) -> Option<Decision> {
        let last = wish.session.and_then(|session| self.sessions.last(now, session));
        let mut list = std::mem::take(&mut self.list);
        let claims = self.ask(now, wish, hits, nodes, last.as_ref(), &mut list);
        // A decision that finds nobody says nothing of how many jobs nodes have.
        if claims.count > 0 {
            self.batch = claims.mean_jobs();
        }
        self.turn = self.turn.wrapping_add(1);
        let members = &self.members;
        let whole = |at: u32| members.standing(at);
        let decision = choose_by(&wish.prompt, &list, whole, &claims, settings, self.turn, random);
        self.list = list;
        decision
    }

    /// Lists who may be asked; the claims of those whose breakers let somebody pass.
    fn ask(
        &self,
        now: Duration,
        wish: &Wish<'_>,
        hits: &Hits,
        nodes: &impl Nodes,
        last: Option<&Last>,
        list: &mut List,
    ) -> Claims {
        let List { listed, said } = list;
        listed.clear();
        said.clear();
        let ahead = self.routed.ahead(now, wish.chain, hits.deepest());
        let ahead = ahead.chunk_by(|one, next| one.node == next.node).filter_map(|ahead| {
            let node = ahead.first()?.node;
            Some((node, reach(ahead, hits.of(node))))
        });
        // They and the members are walked side by side, in the order of the nodes.
        let held: Hits = hits.iter().chain(ahead).collect();
        let mut held = held.as_slice();
        let (mut claims, moment) = (Claims::new(self.batch), nanos(now));
        for (at, brief) in (0..).zip(self.members.briefs()) {
            let &Brief { node, before, due, claimed, words, role, guarded } = brief;
            while let [(other, _), others @ ..] = held
                && *other < node
            {
                held = others;
            }
            let asked = moment < before && nodes.meant(node, Kind { words, role });
            if !asked || wish.tried.contains(&node) {
                continue;
            }
            let open = guarded && !self.members.at(at).is_some_and(|member| member.breaker.admits(now));
            if !open {
                claims.note(&claimed);
            }
            let blocks = held.first().filter(|(other, _)| *other == node).map(|(_, blocks)| *blocks);
            let session = last.filter(|last| last.node == node).map(|last| last.tokens);
            let some = blocks.is_some() || session.is_some();
            if some {
                let cached = Tokens(blocks.unwrap_or_default().0.saturating_mul(wish.prompt.block.0));
                let blind = session.is_some_and(|tokens| tokens > cached) && !nodes.known(node);
                said.push(Said { cached: (!blind).then_some(cached), session });
            }
            listed.push(Listed { due, jobs: claimed.jobs, open, said: some, at });
        }
        if claims.count * 2 < listed.len() as u64 {
            // So many are left out that some of them are asked all the same.
            let open: Vec<bool> = listed.iter().map(|listed| listed.open).collect();
            for (listed, out) in listed.iter_mut().zip(breaker::excluded(&open)) {
                listed.open = out;
            }
            let asked = listed.iter().filter(|listed| !listed.open);
            let standings = asked.filter_map(|listed| Some(self.members.standing(listed.at)?.1));
            claims = Claims::of(standings);
        }
        claims
    }

    /// A job goes where it was decided. None if that node is not here any more.
    pub fn enter(&mut self, now: Duration, wish: &Wish<'_>, choice: &Choice) -> Option<Key> {
        let link = self.members.get(choice.node)?.link;
        let (ticket, permit) = self.members.change(choice.node, link, |member| {
            let ticket = member.ledger.enter(wish.prompt.tokens - choice.cached);
            // One who has to be asked although its breaker is open is asked without deciding it.
            (ticket, member.breaker.permit(now).unwrap_or_else(|| member.breaker.force()))
        })?;
        // Where all of it is cached the last token is computed all the same; its block is there.
        let all = choice.cached + Tokens(1) >= wish.prompt.tokens;
        let cached = if all { wish.prompt.tokens } else { choice.cached };
        let cached = Blocks(cached.0 / wish.prompt.block.0.max(1));
        self.routed.note(now, choice.node, wish.chain, cached);
        if let Some(session) = wish.session {
            self.sessions.note(now, session, Last { node: choice.node, tokens: wish.prompt.tokens });
        }
        Some(Key { node: choice.node, link, ticket, permit, cached })
    }

    /// A report came.
    pub fn reported(&mut self, now: Duration, node: NodeId, link: u64) {
        self.members.change(node, link, |member| member.ledger.on_report(now));
    }

    /// The node has taken the job.
    pub fn granted(&mut self, now: Duration, key: &Key) {
        self.members.change(key.node, key.link, |member| member.ledger.granted(now, key.ticket));
    }

    /// The job's first token is there.
    pub fn computed(&mut self, key: &Key) {
        self.members.change(key.node, key.link, |member| member.ledger.computed(key.ticket));
    }

    /// The job has ended there. If the node never took it, its prompt will not be cached there.
    pub fn ended(&mut self, key: &Key, chain: &[BlockHash], taken: bool) {
        let here = self.members.change(key.node, key.link, |member| member.ledger.ended(key.ticket)).is_some();
        if here && !taken {
            self.routed.forget(key.node, chain, key.cached);
        }
    }

    /// How it went with the node, for its breaker; none: nobody knows. The breaker's new state, if that changed.
    pub fn judge(
        &mut self,
        now: Duration,
        key: &Key,
        verdict: Option<Verdict>,
        settings: &breaker::Settings,
        random: f64,
    ) -> Option<State> {
        self.members.change(key.node, key.link, |member| {
            let breaker = &mut member.breaker;
            let before = breaker.state(now);
            match verdict {
                Some(Verdict::Good) => breaker.good(key.permit),
                Some(Verdict::Busy) => breaker.busy(key.permit),
                Some(Verdict::Fault) => breaker.fault(now, key.permit, settings, random),
                None => breaker.forget(key.permit),
            }
            let after = breaker.state(now);
            (after != before).then_some(after)
        })?
    }
}

#[cfg(test)]
mod tests;
