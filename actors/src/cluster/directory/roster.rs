//! Who serves which model, and what was sent there: so that to place a request is to look at the nodes of its
//! model, not at the fleet.
//!
//! Rules: everything here is of one model and decided under one guard, so that of two requests that come
//! together the second sees where the first went. Guards never leave this file. The order of locks is this map,
//! then the directory's nodes: nobody who holds a node's entry may ask here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use policy::breaker::{self, Breaker, Permit, State};
use policy::job::Verdict;
use policy::placement::ledger::{Ledger, Ticket};
use policy::placement::routed::Routed;
use policy::placement::sessions::{Last, Sessions};
use policy::placement::{Candidate, Choice, Decision, Prompt, Reason, Settings, choose};
use protocol::engine::{BlockHash, Card};
use protocol::ids::NodeId;
use protocol::message::WorkerReport;
use protocol::units::{Blocks, Tokens};

use crate::cluster::placing::Want;

/// Blocks of prompts on their way that are remembered for one model: about 6 MiB.
const ROUTED: usize = 65_536;

/// What all models share.
#[derive(Debug)]
pub(crate) struct Rosters {
    models: DashMap<String, Roster>,
    config: protocol::config::Placement,
    settings: Settings,
    breaker: breaker::Settings,
}

#[derive(Debug)]
struct Roster {
    members: BTreeMap<NodeId, Member>,
    routed: Routed,
    sessions: Sessions,
    /// Decisions so far.
    turn: u64,
}

#[derive(Debug)]
struct Member {
    link: u64,
    ledger: Ledger,
    breaker: Breaker,
}

/// What is known of a node that serves the model and may be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) worker: WorkerReport,
    /// Jobs it can hold.
    pub(super) jobs: u32,
    /// Blocks it has.
    pub(super) blocks: Blocks,
}

/// What placement asks of the rest of the directory.
pub(super) trait Nodes {
    /// A way to a node.
    type Way;
    /// The node, if it may be asked now.
    fn view(&self, node: NodeId) -> Option<View>;
    /// The way to it, if it is still there.
    fn way(&self, node: NodeId) -> Option<Self::Way>;
    /// Whether the index knows all that the node has cached.
    fn known(&self, node: NodeId) -> bool;
}

/// A node that was chosen, with the job entered in its ledger.
#[derive(Debug)]
pub(super) struct Entered<W> {
    pub(super) way: W,
    pub(super) choice: Choice,
    pub(super) reason: Reason,
    pub(super) key: Key,
}

/// Where a job stands in a ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) node: NodeId,
    link: u64,
    ticket: Ticket,
    pub(crate) permit: Permit,
    /// Blocks of its prompt that were cached there already.
    cached: Blocks,
}

impl Rosters {
    pub(super) fn new(config: protocol::config::Placement, breaker: breaker::Settings) -> Arc<Self> {
        let settings = Settings::from(&config);
        Arc::new(Self { models: DashMap::new(), config, settings, breaker })
    }

    /// A node serves these from now on, and no others.
    pub(super) fn serves(&self, node: NodeId, link: u64, cards: &[Card]) {
        for card in cards {
            let mut roster = self.models.entry(card.model.clone()).or_insert_with(|| Roster {
                members: BTreeMap::new(),
                routed: Routed::new(ROUTED, self.config.foresight.0),
                sessions: Sessions::new(self.config.sessions as usize, self.config.session_ttl.0),
                turn: 0,
            });
            match roster.members.get(&node) {
                Some(member) if member.link == link => {}
                _ => {
                    // Jobs on an older connection end with it.
                    roster
                        .members
                        .insert(node, Member { link, ledger: Ledger::default(), breaker: Breaker::default() });
                    roster.routed.leave(node);
                }
            }
        }
        self.retain(node, link, |model| cards.iter().any(|card| card.model == model));
    }

    /// A node is gone.
    pub(super) fn leaves(&self, node: NodeId, link: u64) {
        self.retain(node, link, |_| false);
    }

    fn retain(&self, node: NodeId, link: u64, keep: impl Fn(&str) -> bool) {
        self.models.retain(|model, roster| {
            let stays = keep(model);
            roster.members.retain(|other, member| stays || *other != node || member.link > link);
            !roster.members.is_empty()
        });
    }

    /// A report came.
    pub(super) fn reported(&self, now: Duration, node: NodeId, link: u64, models: &[String]) {
        for model in models {
            self.member(model, node, link, |member, _| member.ledger.on_report(now));
        }
    }

    /// Where a job would go, if it went now. Nothing changes by asking.
    pub(super) fn look<N: Nodes>(
        &self,
        now: Duration,
        want: &Want,
        hits: &BTreeMap<NodeId, Blocks>,
        nodes: &N,
        random: &mut impl FnMut() -> f64,
    ) -> Option<Choice> {
        let mut roster = self.models.get_mut(&want.model)?;
        roster.decide(now, want, hits, nodes, &self.settings, random)?.choices.into_iter().next()
    }

    /// Decides, and enters the job where it goes.
    pub(super) fn place<N: Nodes>(
        &self,
        now: Duration,
        want: &Want,
        hits: &BTreeMap<NodeId, Blocks>,
        nodes: &N,
        random: &mut impl FnMut() -> f64,
    ) -> Option<Entered<N::Way>> {
        let mut roster = self.models.get_mut(&want.model)?;
        let decision = roster.decide(now, want, hits, nodes, &self.settings, random)?;
        let (first, reason) = (decision.choices.first()?.place, decision.reason);
        // A node may leave between two looks at it.
        let (choice, way) =
            decision.choices.into_iter().find_map(|choice| nodes.way(choice.node).map(|way| (choice, way)))?;
        let reason = if choice.place == first { reason } else { Reason::Load };
        let key = roster.enter(now, want, &choice)?;
        Some(Entered { way, choice, reason, key })
    }

    pub(crate) fn granted(&self, now: Duration, model: &str, key: &Key) {
        self.member(model, key.node, key.link, |member, _| member.ledger.granted(now, key.ticket));
    }

    pub(crate) fn computed(&self, model: &str, key: &Key) {
        self.member(model, key.node, key.link, |member, _| member.ledger.computed(key.ticket));
    }

    /// The job has ended. If the node never took it, its prompt will not be cached there.
    pub(crate) fn ended(&self, model: &str, key: &Key, chain: &[BlockHash], taken: bool) {
        self.member(model, key.node, key.link, |member, routed| {
            member.ledger.ended(key.ticket);
            if !taken {
                routed.forget(key.node, chain, key.cached);
            }
        });
    }

    /// How it went with the node, for its breaker; none: nobody knows. Whether the breaker has opened or
    /// closed by that.
    pub(crate) fn judge(
        &self,
        now: Duration,
        model: &str,
        key: &Key,
        verdict: Option<Verdict>,
        random: f64,
    ) -> Option<State> {
        let mut turned = None;
        self.member(model, key.node, key.link, |Member { breaker, .. }, _| {
            let before = breaker.state(now);
            match verdict {
                Some(Verdict::Good) => breaker.good(key.permit),
                Some(Verdict::Busy) => breaker.busy(key.permit),
                Some(Verdict::Fault) => breaker.fault(now, key.permit, &self.breaker, random),
                None => breaker.forget(key.permit),
            }
            let after = breaker.state(now);
            turned = (after != before).then_some(after);
        });
        turned
    }

    /// Whether any node serves the model, be it busy, suspect or open.
    pub(super) fn knows(&self, model: &str) -> bool {
        self.models.contains_key(model)
    }

    /// Jobs that were sent to nodes and have not ended.
    pub(super) fn open(&self) -> u64 {
        let jobs = |roster: &Roster| roster.members.values().map(|member| u64::from(member.ledger.jobs())).sum::<u64>();
        self.models.iter().map(|roster| jobs(&roster)).sum()
    }

    fn member(&self, model: &str, node: NodeId, link: u64, change: impl FnOnce(&mut Member, &mut Routed)) {
        let Some(mut roster) = self.models.get_mut(model) else { return };
        let Roster { members, routed, .. } = &mut *roster;
        if let Some(member) = members.get_mut(&node).filter(|member| member.link == link) {
            change(member, routed);
        }
    }
}

impl Roster {
    fn decide(
        &mut self,
        now: Duration,
        want: &Want,
        hits: &BTreeMap<NodeId, Blocks>,
        nodes: &impl Nodes,
        settings: &Settings,
        random: &mut impl FnMut() -> f64,
    ) -> Option<Decision> {
        let prompt = Prompt { tokens: want.prompt, answer: want.answer, block: want.block };
        let last = want.session.and_then(|session| self.sessions.last(now, session));
        let begins: Vec<NodeId> =
            want.chain.first().map_or_else(Vec::new, |hash| self.routed.nodes(now, hash).collect());
        let mut candidates = Vec::with_capacity(self.members.len());
        for (&node, member) in self.members.iter().filter(|(node, _)| !want.tried.contains(node)) {
            let Some(View { worker, jobs, blocks }) = nodes.view(node) else { continue };
            let mut cached = hits.get(&node).copied().unwrap_or_default();
            if cached > Blocks::ZERO || begins.contains(&node) {
                cached = self.routed.reach(now, node, &want.chain, cached);
            }
            let cached = Tokens(cached.0.saturating_mul(want.block.0));
            let session = last.filter(|last| last.node == node).map(|last| last.tokens);
            let blind = session.is_some_and(|tokens| tokens > cached) && !nodes.known(node);
            candidates.push(Candidate {
                node,
                cached: (!blind).then_some(cached),
                session,
                load: worker.load,
                oldest: worker.oldest,
                rates: worker.rates,
                sent: member.ledger.sent(),
                jobs,
                blocks,
                open: !member.breaker.admits(now),
            });
        }
        let open: Vec<bool> = candidates.iter().map(|candidate| candidate.open).collect();
        for (candidate, out) in candidates.iter_mut().zip(breaker::excluded(&open)) {
            candidate.open = out;
        }
        self.turn = self.turn.wrapping_add(1);
        choose(&prompt, &candidates, settings, self.turn, random)
    }

    fn enter(&mut self, now: Duration, want: &Want, choice: &Choice) -> Option<Key> {
        let member = self.members.get_mut(&choice.node)?;
        let ticket = member.ledger.enter(want.prompt - choice.cached);
        // One who has to be asked although its breaker is open is asked without deciding it.
        let permit = member.breaker.permit(now).unwrap_or_else(|| member.breaker.force());
        let cached = Blocks(choice.cached.0 / want.block.0.max(1));
        self.routed.note(now, choice.node, &want.chain, cached);
        if let Some(session) = want.session {
            self.sessions.note(now, session, Last { node: choice.node, tokens: want.prompt });
        }
        Some(Key { node: choice.node, link: member.link, ticket, permit, cached })
    }
}
