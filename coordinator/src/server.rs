//! The coordinator behind its doors: it authenticates, prepares, and hands requests to their actors.

use std::sync::Arc;

use actors::cluster::answering::Answering;
use actors::cluster::degrading::Degrading;
use actors::cluster::directory::{Directory, NotOrdered};
use actors::cluster::hub::{Hub, Work};
use actors::cluster::job::{Answers, Shared};
use actors::cluster::texts::Texts;
use protocol::answer::{ClusterStatus, ErrorKind, JobError};
use protocol::config::Degrade;
use protocol::engine::Card;
use protocol::ids::RequestId;
use protocol::message::OrderAction;
use protocol::request::{Input, Request};
use protocol::tree::TreeLine;
use protocol::units::Span;
use ractor::ActorRef;
use text::Text;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use crate::pipeline::{Bend, Origin, check, not_loaded, prepare, unknown_model};
use crate::service::{AnswerStream, Caller, ModelInfo, Service};
use crate::state::State;

mod way;

/// Pieces of an answer that wait for a slow client; beyond it, its nodes wait.
const PIECES: usize = 64;
/// Prompts of so many bytes are tokenised where they are, in a fraction of a millisecond; two changes of thread
/// cost as much.
const SMALL: usize = 4096;
/// When a full coordinator is worth another try.
const FULL_RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// What a coordinator is made of.
#[derive(Debug)]
pub struct Parts {
    /// The cluster's name.
    pub name: String,
    /// Keys and certificates.
    pub state: Arc<State>,
    /// The words of models.
    pub texts: Arc<Texts>,
    /// Who runs requests.
    pub hub: ActorRef<Work>,
    /// What all requests share.
    pub shared: Shared,
    /// The most requests at once.
    pub max_requests: usize,
    /// How far requests are degraded now.
    pub degrading: Arc<Degrading>,
    /// What degradation may do.
    pub degrade: Degrade,
    /// Answers that are kept.
    pub answering: Answering,
    /// Who runs under the supervisor, as it said last.
    pub tree: watch::Receiver<Vec<TreeLine>>,
}

/// The coordinator.
#[derive(Clone, Debug)]
pub struct Server {
    parts: Arc<Parts>,
    places: Arc<Semaphore>,
}

impl Server {
    /// Of these parts.
    pub fn new(parts: Parts) -> Self {
        let places = Arc::new(Semaphore::new(parts.max_requests.min(Semaphore::MAX_PERMITS)));
        Self { parts: Arc::new(parts), places }
    }

    /// Starts the supervisor of requests and links.
    ///
    /// # Errors
    /// ractor cannot start it.
    pub async fn hub() -> Result<ActorRef<Work>, ractor::SpawnErr> {
        ractor::Actor::spawn(None, Hub, ()).await.map(|(hub, _)| hub)
    }

    /// Resolves when no request is running. New ones are refused from the first poll on: whoever waits
    /// for all places is first in line for each that is free.
    pub async fn drain(&self) {
        let all = u32::try_from(self.parts.max_requests.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        // An error says that it was closed already.
        let _ = self.places.acquire_many(all).await;
        self.places.close();
    }

    fn requests(&self) -> u64 {
        self.parts.max_requests.saturating_sub(self.places.available_permits()) as u64
    }
}

impl Service for Server {
    fn authenticate(&self, key: &str) -> Result<Caller, JobError> {
        self.parts.state.keys.authenticate(key)
    }

    fn ask(&self, caller: &Caller, request: Request) -> Result<AnswerStream, JobError> {
        check(&request)?;
        let parts = Arc::clone(&self.parts);
        let card = parts.shared.directory.card(&request.model);
        let card = card.ok_or_else(|| no_model(&request.model, &parts.shared.directory))?;
        let full = || {
            let message = format!("all {} places for requests are taken: try again", parts.max_requests);
            JobError::new(ErrorKind::Overloaded, message).retry_after(FULL_RETRY)
        };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())?;
        let (sender, pieces) = mpsc::channel(PIECES);
        let answers = Answers::new(sender, parts.shared.metrics.clone(), place).ok_or_else(full)?;
        let (request_id, random) = random()?;
        let origin = Origin { request: RequestId(request_id), caller: caller.clone(), random, arrived: Instant::now() };
        let hub = parts.hub.clone();
        let slot = way::Slot::default();
        let tap = way::tap(Arc::clone(&parts), request.model.clone(), Arc::clone(&slot));
        let future = Box::pin(way::serve(parts, request, origin, card, answers, slot));
        hub.cast(Work { name: "request", future })
            .map_err(|_| JobError::new(ErrorKind::Overloaded, "the coordinator stops").retry_after(FULL_RETRY))?;
        Ok(AnswerStream::tapped(pieces, tap))
    }

    fn models(&self, _: &Caller) -> Vec<ModelInfo> {
        let cards = self.parts.shared.directory.models();
        cards.into_iter().map(|card| ModelInfo { name: card.model, context: card.context }).collect()
    }

    fn status(&self) -> ClusterStatus {
        let tree = self.parts.tree.borrow().clone();
        self.parts.shared.directory.status(&self.parts.name, self.requests(), tree)
    }

    fn order(&self, node: &str, action: OrderAction) -> Result<String, JobError> {
        let name = self.parts.shared.directory.order(node, action.clone());
        let name = name.map_err(|error| match error {
            NotOrdered::Busy(_) => JobError::new(ErrorKind::Overloaded, error.to_string()).retry_after(FULL_RETRY),
            error => JobError::new(ErrorKind::Invalid, error.to_string()).field("node"),
        })?;
        tracing::info!("an operator wants of {name}: {action:?}");
        Ok(match action {
            OrderAction::Drain { limit } => {
                format!(
                    "{name} drains: it takes nothing new, and what still runs after {} goes on elsewhere",
                    Span(limit)
                )
            }
            OrderAction::Resume => format!("{name} takes work again"),
            OrderAction::Load { model } => format!("{name} loads {model}"),
            OrderAction::Unload { model, limit } => format!(
                "{name} unloads {model}: it takes nothing new for it, and what still runs after {} goes on elsewhere",
                Span(limit)
            ),
        })
    }

    fn is_ready(&self) -> bool {
        self.parts.shared.directory.is_ready()
    }

    fn level(&self, model: &str) -> u8 {
        self.parts.degrading.level(model)
    }
}

async fn ready(
    parts: &Parts,
    request: Request,
    origin: Origin,
    card: Card,
    bend: Bend,
) -> Result<actors::cluster::job::Task, JobError> {
    let text = words(parts, &card).await?;
    if size(&request) <= SMALL {
        return prepare(request, origin, &card, text, &bend);
    }
    let prepared = tokio::task::spawn_blocking(move || prepare(request, origin, &card, text, &bend));
    prepared
        .await
        .map_err(|error| JobError::new(ErrorKind::Internal, format!("the prompt could not be prepared: {error}")))?
}

/// Bytes of the prompt, about.
fn size(request: &Request) -> usize {
    match &request.input {
        Input::Chat(messages) => messages.iter().map(|message| message.content.len()).sum(),
        Input::Text(text) => text.len(),
        Input::Tokens(tokens) => tokens.len(),
    }
}

async fn words(parts: &Parts, card: &Card) -> Result<Arc<Text>, JobError> {
    if let Some(text) = parts.texts.known(card.text) {
        return Ok(text);
    }
    let nobody = || {
        let message = format!("no node serves '{}' now: try again, or start a node", card.model);
        JobError::new(ErrorKind::NoNode, message).retry_after(FULL_RETRY)
    };
    let connection = parts.shared.directory.speaker(card.text).ok_or_else(nobody)?;
    let fetched = parts.texts.get(card.text, connection).await;
    fetched.map_err(|error| {
        JobError::new(ErrorKind::NoNode, format!("the tokenizer of '{}' cannot be had: {error}", card.model))
    })
}

/// An id and a number, from the system.
fn random() -> Result<(u128, u64), JobError> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)
        .map_err(|error| JobError::new(ErrorKind::Internal, format!("the system gives no random numbers: {error}")))?;
    let (mut id, mut number) = ([0; 16], [0; 8]);
    id.copy_from_slice(&bytes[..16]);
    number.copy_from_slice(&bytes[16..]);
    Ok((u128::from_le_bytes(id), u64::from_le_bytes(number)))
}

/// Why there is no such model.
fn no_model(model: &str, directory: &Directory) -> JobError {
    if directory.could_serve(model) { not_loaded(model) } else { unknown_model(model, &directory.models()) }
}
