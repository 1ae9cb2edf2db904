//! What a node serves, as models come and go while it runs.
//!
//! Rules: a model is offered once its engine is there, and is offered no more before its engine goes: new jobs for it
//! are refused as by a node that drains, and what still runs after the limit ends as `Drained`, to be carried on
//! elsewhere. Who makes engines and lets go of them is the program around the node; operators' wishes are passed on to
//! it over a bounded channel.

use std::sync::Arc;
use std::time::Duration;

use protocol::engine::Card;
use protocol::serving::{LoadState, MAX_MODELS, ModelPlace};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Node, NotServed, PARTING, Shared};
use crate::worker::{Served, WorkerHandle};

/// What an operator or a coordinator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Load a model.
    Load {
        /// Its name.
        model: String,
    },
    /// Let go of a model.
    Unload {
        /// Its name.
        model: String,
        /// How long running answers may go on.
        limit: Duration,
    },
}

/// What is served at a moment.
#[derive(Clone, Default)]
pub(super) struct Offer {
    pub(super) workers: Vec<Offered>,
    /// All models of the settings, if the program around the node has told.
    pub(super) models: Vec<ModelPlace>,
}

/// A model that is served.
#[derive(Clone)]
pub(super) struct Offered {
    pub(super) worker: WorkerHandle,
    pub(super) served: Arc<Served>,
    /// What still runs shall end.
    pub(super) end: CancellationToken,
    /// What runs.
    pub(super) attempts: TaskTracker,
}

impl Offered {
    pub(super) fn new(worker: WorkerHandle, served: Arc<Served>) -> Self {
        Self { worker, served, end: CancellationToken::new(), attempts: TaskTracker::new() }
    }
}

impl Offer {
    pub(super) fn of(&self, model: &str) -> Option<&Offered> {
        self.workers.iter().find(|offered| offered.worker.model() == model)
    }

    pub(super) fn cards(&self) -> Vec<Card> {
        self.workers.iter().map(|offered| offered.served.card.clone()).collect()
    }

    /// Whether the settings have the model, be it served or not.
    pub(super) fn knows(&self, model: &str) -> bool {
        self.models.iter().any(|place| place.model == model)
    }
}

impl Shared {
    /// Passes a wish on to who can do it.
    pub(super) fn wish(&self, wish: Wish) {
        match self.wishes.get().map(|wishes| wishes.try_send(wish)) {
            Some(Ok(())) => {}
            Some(Err(mpsc::error::TrySendError::Full(wish))) => {
                tracing::warn!("{wish:?} is not done: earlier ones are not done yet; ask again");
            }
            Some(Err(mpsc::error::TrySendError::Closed(wish))) => {
                tracing::warn!("{wish:?} is not done: the node stops");
            }
            None => tracing::warn!("told to load or unload a model, which this node cannot do while it runs"),
        }
    }
}

impl Node {
    /// Passes what operators want of models on to `wishes`. The first call counts.
    pub fn heed(&self, wishes: mpsc::Sender<Wish>) {
        drop(self.shared.wishes.set(wishes));
    }

    /// Tells coordinators which models there are and how far each is.
    pub fn tell_models(&self, mut models: Vec<ModelPlace>) {
        models.truncate(MAX_MODELS);
        self.shared.offer.send_if_modified(|offer| {
            let news = offer.models != models;
            offer.models = models;
            news
        });
    }

    /// Serves a model more, once its worker has its first engine.
    ///
    /// # Errors
    /// It cannot be made, or the model is served already.
    pub async fn take_up(&self, worker: WorkerHandle) -> Result<(), NotServed> {
        let not = |reason| NotServed { model: worker.model().to_owned(), reason };
        let served = worker.served().await.map_err(not)?;
        let taken = self.shared.offer.send_if_modified(|offer| {
            if offer.of(worker.model()).is_some() {
                return false;
            }
            set(&mut offer.models, worker.model(), LoadState::Loaded);
            offer.workers.push(Offered::new(worker.clone(), served));
            true
        });
        if taken { Ok(()) } else { Err(not("it is served already".to_owned())) }
    }

    /// Serves a model no more: takes no new jobs for it, and lets those that run go on for up to `limit`; the others
    /// are handed back. When this returns, its engine may go. True if all jobs came to their end.
    pub async fn give_up(&self, model: &str, limit: Duration) -> bool {
        let mut gone = None;
        self.shared.offer.send_if_modified(|offer| {
            let place = offer.workers.iter().position(|offered| offered.worker.model() == model);
            gone = place.map(|place| offer.workers.remove(place));
            if gone.is_some() {
                set(&mut offer.models, model, LoadState::Unloading);
            }
            gone.is_some()
        });
        let Some(Offered { end, attempts, .. }) = gone else { return true };
        attempts.close();
        let done = timeout(limit, attempts.wait()).await.is_ok();
        if !done {
            end.cancel();
            // A coordinator that does not read the last words loses the stream with the engine.
            drop(timeout(PARTING, attempts.wait()).await);
        }
        done
    }
}

fn set(models: &mut [ModelPlace], model: &str, state: LoadState) {
    if let Some(place) = models.iter_mut().find(|place| place.model == model) {
        place.state = state;
    }
}
