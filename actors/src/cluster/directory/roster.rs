//! The rosters of all models, each under one guard: of two requests that come together the second sees where the
//! first went. What is decided is `policy::placement::roster`.
//!
//! Guards never leave this file. The order of locks is this map, then the directory's nodes: nobody who holds a
//! node's entry may ask here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use policy::breaker::{self, State};
use policy::index::Hits;
use policy::invariants::Invariant;
use policy::invariants::owners::owned;
use policy::job::Verdict;
use policy::placement::roster::{Key, Nodes, Roster, Told, Wish};
use policy::placement::{Choice, Prompt, Reason, Settings};
use protocol::engine::{BlockHash, Card};
use protocol::ids::NodeId;

use crate::cluster::placing::Want;
use crate::promises::Promises;

/// What all models share.
#[derive(Debug)]
pub(crate) struct Rosters {
    models: DashMap<String, Roster>,
    config: protocol::config::Placement,
    settings: Settings,
    breaker: breaker::Settings,
    /// Jobs that were entered since the start, and those whose owner is gone.
    entered: AtomicU64,
    left: AtomicU64,
    promises: Promises,
}

/// What placement asks of the rest of the directory.
pub(super) trait Ways: Nodes {
    /// A way to a node.
    type Way;
    /// The way to it, if it is still there.
    fn way(&self, node: NodeId) -> Option<Self::Way>;
}

/// A node that was chosen, with the job entered in its ledger.
#[derive(Debug)]
pub(super) struct Entered<W> {
    pub(super) way: W,
    pub(super) choice: Choice,
    pub(super) reason: Reason,
    pub(super) key: Key,
}

fn wish(want: &Want) -> Wish<'_> {
    Wish {
        prompt: Prompt { tokens: want.prompt, answer: want.answer, block: want.block },
        chain: &want.chain,
        session: want.session,
        tried: &want.tried,
    }
}

impl Rosters {
    pub(super) fn new(config: protocol::config::Placement, breaker: breaker::Settings) -> Arc<Self> {
        let settings = Settings::from(&config);
        let (entered, left, promises) = (AtomicU64::new(0), AtomicU64::new(0), Promises::default());
        Arc::new(Self { models: DashMap::new(), config, settings, breaker, entered, left, promises })
    }

    /// A node serves these from now on, and no others.
    pub(super) fn serves(&self, node: NodeId, link: u64, cards: &[Card]) {
        for card in cards {
            let mut roster = self.models.entry(card.model.clone()).or_insert_with(|| Roster::new(&self.config));
            roster.serves(node, link);
        }
        self.retain(node, link, |model| cards.iter().any(|card| card.model == model));
    }

    /// A node is gone.
    pub(super) fn leaves(&self, node: NodeId, link: u64) {
        self.retain(node, link, |_| false);
    }

    fn retain(&self, node: NodeId, link: u64, keep: impl Fn(&str) -> bool) {
        self.models.retain(|model, roster| {
            if !keep(model) {
                roster.leaves(node, link);
            }
            !roster.is_empty()
        });
    }

    /// What a node tells of itself, by model.
    pub(super) fn told(&self, node: NodeId, link: u64, serial: u64, told: Vec<(String, Option<Told>)>) {
        for (model, told) in told {
            self.with(&model, |roster| roster.told(node, link, serial, told));
        }
    }

    /// A report came.
    pub(super) fn reported(&self, now: Duration, node: NodeId, link: u64, models: &[String]) {
        for model in models {
            self.with(model, |roster| roster.reported(now, node, link));
        }
    }

    /// Where a job would go, if it went now. Nothing changes by asking.
    pub(super) fn look(
        &self,
        now: Duration,
        want: &Want,
        hits: &Hits,
        nodes: &impl Nodes,
        random: &mut impl FnMut() -> f64,
    ) -> Option<Choice> {
        let mut roster = self.models.get_mut(&want.model)?;
        roster.decide(now, &wish(want), hits, nodes, &self.settings, random)?.choices.into_iter().next()
    }

    /// Decides, and enters the job where it goes.
    pub(super) fn place<N: Ways>(
        &self,
        now: Duration,
        want: &Want,
        hits: &Hits,
        nodes: &N,
        random: &mut impl FnMut() -> f64,
    ) -> Option<Entered<N::Way>> {
        let mut roster = self.models.get_mut(&want.model)?;
        let decision = roster.decide(now, &wish(want), hits, nodes, &self.settings, random)?;
        let (first, reason) = (decision.choices.first()?.place, decision.reason);
        // A node may leave between two looks at it.
        let (choice, way) =
            decision.choices.into_iter().find_map(|choice| nodes.way(choice.node).map(|way| (choice, way)))?;
        let reason = if choice.place == first { reason } else { Reason::Load };
        // Before it stands there, so that nobody sees it without an owner.
        self.entered.fetch_add(1, Ordering::SeqCst);
        let Some(key) = roster.enter(now, &wish(want), &choice) else {
            self.left.fetch_add(1, Ordering::SeqCst);
            return None;
        };
        Some(Entered { way, choice, reason, key })
    }

    pub(crate) fn granted(&self, now: Duration, model: &str, key: &Key) {
        self.with(model, |roster| roster.granted(now, key));
    }

    pub(crate) fn computed(&self, model: &str, key: &Key) {
        self.with(model, |roster| roster.computed(key));
    }

    /// The job has ended. If the node never took it, its prompt will not be cached there.
    pub(crate) fn ended(&self, model: &str, key: &Key, chain: &[BlockHash], taken: bool) {
        self.with(model, |roster| roster.ended(key, chain, taken));
        self.left.fetch_add(1, Ordering::SeqCst);
    }

    /// How it went with the node, for its breaker; none: nobody knows. Its new state, if that changed.
    pub(crate) fn judge(
        &self,
        now: Duration,
        model: &str,
        key: &Key,
        verdict: Option<Verdict>,
        random: f64,
    ) -> Option<State> {
        self.models.get_mut(model)?.judge(now, key, verdict, &self.breaker, random)
    }

    /// Whether any node serves the model, be it busy, suspect or open.
    pub(super) fn knows(&self, model: &str) -> bool {
        self.models.contains_key(model)
    }

    /// Jobs that were sent to nodes and have not ended.
    pub(super) fn open(&self) -> u64 {
        self.models.iter().map(|roster| roster.open()).sum()
    }

    pub(super) fn promises(&self) -> &Promises {
        &self.promises
    }

    /// Looks whether every job that counts as sent has an owner.
    pub(super) fn check_owners(&self) {
        // In this order the owners are never too few, whatever happens meanwhile.
        let left = self.left.load(Ordering::SeqCst);
        let open = self.open();
        let owners = self.entered.load(Ordering::SeqCst) - left;
        self.promises.look(Invariant::Owned, "nodes", owned("jobs sent to nodes", open, owners));
    }

    fn with(&self, model: &str, change: impl FnOnce(&mut Roster)) {
        if let Some(mut roster) = self.models.get_mut(model) {
            change(&mut roster);
        }
    }
}
