//! The models of this node: which are loaded, which could be, and what is wanted of them while it runs.
//!
//! Rules: every model has a tree of its own, so that one that is given up takes no other down. One wish is done after the
//! other; to want a model unloaded that is on its way is to stop that. A model that cannot be loaded, or fails too often,
//! is shown with its reason, harms no other, and may be asked for again. Files that were fetched stay.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use actors::node::{Node, NotServed, Wish};
use actors::tree::Branch;
use actors::worker::{WorkerHandle, WorkerMetrics, worker};
use futures_util::future::{join_all, select_all};
use metrics_exporter_prometheus::PrometheusRecorder;
use protocol::config::LoadAt;
use protocol::serving::{LoadState, ModelPlace};
use protocol::tree::{ActorState, TreeLine};
use protocol::units::Tokens;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::models;
use crate::options::Plan;
use crate::tree::Tree;

mod source;

pub(crate) use source::Sources;

/// Wishes that are not done yet; one more is not taken.
pub(crate) const WISHES: usize = 8;

/// A model that has an engine, or is about to.
struct Kept {
    handle: WorkerHandle,
    tree: Tree,
}

/// Who runs here, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) branches: Vec<Branch>,
    /// What should run and does not.
    pub(crate) failed: Vec<TreeLine>,
}

/// Loads models and lets go of them.
pub(crate) struct Keeper<'a> {
    plan: &'a Plan,
    recorder: &'a PrometheusRecorder,
    sources: Sources<'a>,
    seed: u64,
    kept: BTreeMap<String, Kept>,
    states: BTreeMap<String, LoadState>,
    shown: watch::Sender<Shown>,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(plan: &'a Plan, recorder: &'a PrometheusRecorder, sources: Sources<'a>, seed: u64) -> Self {
        let states = plan.models.keys().map(|name| (name.clone(), LoadState::Idle)).collect();
        Self { plan, recorder, sources, seed, kept: BTreeMap::new(), states, shown: watch::Sender::default() }
    }

    /// Fetches and begins to load what is to be served from the start.
    pub(crate) async fn begin(&mut self) -> Result<(), crate::run::RunError> {
        let wanted = self.plan.models.iter().filter(|(_, model)| model.load == LoadAt::Start);
        let wanted: Vec<String> = wanted.map(|(name, _)| name.clone()).collect();
        for (name, place) in self.sources.places(&wanted, watch::Sender::default()).await? {
            self.begin_one(&name, place).await?;
        }
        Ok(())
    }

    /// The workers that there are.
    pub(crate) fn handles(&self) -> Vec<WorkerHandle> {
        self.kept.values().map(|kept| kept.handle.clone()).collect()
    }

    pub(crate) fn shown(&self) -> watch::Receiver<Shown> {
        self.shown.subscribe()
    }

    /// Lets go of what could not be loaded at the start, and tells how everything stands.
    pub(crate) async fn settle(&mut self, node: &Node) {
        for name in self.kept.keys() {
            self.states.insert(name.clone(), LoadState::Loaded);
        }
        for NotServed { model, reason } in node.missing() {
            tracing::error!("the model '{model}' cannot be loaded: {reason}; the node serves its other models");
            // It would only fail again: its files do not change by themselves.
            self.drop_tree(model).await;
            self.states.insert(model.clone(), LoadState::failed(reason));
        }
        self.tell(node);
    }

    /// Does what is wanted. Returns when the last model that was there has failed too often.
    pub(crate) async fn run(&mut self, node: &Node, mut wishes: mpsc::Receiver<Wish>) {
        let mut waiting = VecDeque::new();
        loop {
            let wish = match waiting.pop_front() {
                Some(wish) => wish,
                None => tokio::select! {
                    Some(wish) = wishes.recv() => wish,
                    name = ended(&mut self.kept) => {
                        tracing::error!("the model '{name}' has failed too often and is served no more");
                        node.give_up(&name, Duration::ZERO).await;
                        self.drop_tree(&name).await;
                        self.set(node, &name, LoadState::failed("it failed too often; the node's log says why"));
                        if self.kept.is_empty() {
                            return;
                        }
                        continue;
                    }
                },
            };
            match wish {
                Wish::Load { model } => self.load(node, &model, &mut wishes, &mut waiting).await,
                Wish::Unload { model, limit } => self.unload(node, &model, limit).await,
            }
        }
    }

    /// Resolves when every tree has given up; never if there is none.
    pub(crate) async fn all_ended(&mut self) {
        if self.kept.is_empty() {
            std::future::pending::<()>().await;
        }
        join_all(self.kept.values_mut().map(|kept| kept.tree.ended())).await;
    }

    /// Lets go of every engine.
    pub(crate) async fn stop(self) {
        join_all(self.kept.into_values().map(|kept| kept.tree.stop())).await;
    }

    async fn load(&mut self, node: &Node, name: &str, wishes: &mut mpsc::Receiver<Wish>, waiting: &mut VecDeque<Wish>) {
        match self.states.get(name) {
            None => return tracing::warn!("told to load '{name}', which the settings do not have"),
            Some(LoadState::Loaded) => return tracing::info!("told to load {name}, which is loaded"),
            Some(_) => tracing::info!("told to load {name}"),
        }
        let loaded = tokio::select! {
            loaded = self.load_one(node, name) => Some(loaded),
            () = unwanted(name, wishes, waiting) => None,
        };
        let state = match loaded {
            Some(Ok(())) => LoadState::Loaded,
            Some(Err(reason)) => {
                tracing::error!("the model '{name}' cannot be loaded: {reason}");
                self.drop_tree(name).await;
                LoadState::failed(&reason)
            }
            None => {
                tracing::info!("{name} is not wanted any more, and not loaded");
                // It may have come at the same moment.
                node.give_up(name, Duration::ZERO).await;
                self.drop_tree(name).await;
                LoadState::Idle
            }
        };
        self.set(node, name, state);
    }

    async fn load_one(&mut self, node: &Node, name: &str) -> Result<(), String> {
        self.set(node, name, LoadState::Loading { fetched: None });
        let (progress, sources) = (watch::Sender::default(), self.sources.clone());
        let mut heard = progress.subscribe();
        let wanted = [name.to_owned()];
        let mut fetching = pin!(sources.places(&wanted, progress));
        let places = loop {
            tokio::select! {
                places = &mut fetching => break places,
                Ok(()) = heard.changed() => {
                    let fetched = u8::try_from(heard.borrow_and_update().percent()).ok();
                    self.set(node, name, LoadState::Loading { fetched });
                }
            }
        };
        let mut places = places.map_err(|error| error.to_string())?;
        self.set(node, name, LoadState::Loading { fetched: None });
        let place = places.remove(name).ok_or("the settings do not have it")?;
        let handle = self.begin_one(name, place).await.map_err(|error| error.to_string())?;
        node.take_up(handle).await.map_err(|not| not.reason)
    }

    async fn unload(&mut self, node: &Node, name: &str, limit: Duration) {
        if !self.kept.contains_key(name) {
            return tracing::info!("told to unload {name}, which is not loaded");
        }
        tracing::info!("told to unload {name}: no new jobs, running ones have {limit:?}");
        self.set(node, name, LoadState::Unloading);
        if !node.give_up(name, limit).await {
            tracing::info!("{name}: what still ran is handed back, to go on elsewhere");
        }
        self.drop_tree(name).await;
        self.set(node, name, LoadState::Idle);
        tracing::info!("{name} is not loaded any more");
    }

    async fn begin_one(
        &mut self,
        name: &str,
        place: Result<PathBuf, String>,
    ) -> Result<WorkerHandle, ractor::SpawnErr> {
        let model = self.plan.models.get(name).cloned().unwrap_or_default();
        let (factory, drive) = models::factory(self.plan.engine, name, &model, &self.plan.config.node, place);
        let counts = metrics::with_local_recorder(self.recorder, || WorkerMetrics::new(name));
        let (handle, child) = worker(name, factory, drive, counts);
        handle.bound_queue(Tokens(model.queue_tokens.into()));
        let tree = Tree::start(self.plan, vec![child], self.seed).await?;
        self.kept.insert(name.to_owned(), Kept { handle: handle.clone(), tree });
        self.show();
        announce(handle.clone());
        Ok(handle)
    }

    async fn drop_tree(&mut self, name: &str) {
        if let Some(kept) = self.kept.remove(name) {
            kept.tree.stop().await;
        }
        self.show();
    }

    fn set(&mut self, node: &Node, name: &str, state: LoadState) {
        self.states.insert(name.to_owned(), state);
        self.tell(node);
    }

    fn tell(&self, node: &Node) {
        let place = |(model, state): (&String, &LoadState)| ModelPlace { model: model.clone(), state: state.clone() };
        node.tell_models(self.states.iter().map(place).collect());
        self.show();
    }

    fn show(&self) {
        let branches = self.kept.iter().map(|(name, kept)| kept.tree.branch(format!("model {name}"))).collect();
        let failed = self.states.iter().filter_map(|(name, state)| match state {
            LoadState::Failed { reason } => Some(TreeLine {
                state: ActorState::Dead,
                failure: Some(reason.clone()),
                ..TreeLine::running(0, format!("model {name}"))
            }),
            _ => None,
        });
        self.shown.send_replace(Shown { branches, failed: failed.collect() });
    }
}

/// The first tree that has given up, and there must be one; for ever nothing if there is none.
async fn ended(kept: &mut BTreeMap<String, Kept>) -> String {
    if kept.is_empty() {
        return std::future::pending().await;
    }
    let waits = kept.iter_mut().map(|(name, kept)| {
        Box::pin(async {
            kept.tree.ended().await;
            name.clone()
        })
    });
    select_all(waits).await.0
}

/// Resolves when the model that is on its way is to be unloaded. Other wishes wait.
async fn unwanted(name: &str, wishes: &mut mpsc::Receiver<Wish>, waiting: &mut VecDeque<Wish>) {
    while waiting.len() < WISHES
        && let Some(wish) = wishes.recv().await
    {
        match wish {
            Wish::Unload { model, .. } if model == name => return,
            other => waiting.push_back(other),
        }
    }
    std::future::pending::<()>().await;
}

/// Says when the model is ready.
fn announce(handle: WorkerHandle) {
    let begun = Instant::now();
    tokio::spawn(async move {
        if let Ok(served) = handle.served().await {
            let card = &served.card;
            tracing::info!(
                "{} is ready after {:.1} s: {}, {} on {}, context {}, {} of {} in the KV cache",
                card.model,
                begun.elapsed().as_secs_f64(),
                card.architecture,
                card.dtype,
                card.device,
                card.context,
                card.blocks,
                card.block
            );
        }
    });
}
