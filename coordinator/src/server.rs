//! The coordinator behind its doors: it authenticates, prepares, and hands requests to their actors.

use std::sync::Arc;

use actors::cluster::answering::Answering;
use actors::cluster::degrading::Degrading;
use actors::cluster::directory::{Directory, NotOrdered};
use actors::cluster::hub::{Hub, Work};
use actors::cluster::job::{Answers, Shared};
use actors::cluster::texts::Texts;
use actors::cost::Accounts;
use actors::cost::escrow::NotSynced;
use futures_util::future::BoxFuture;
use protocol::answer::{ClusterStatus, ErrorKind, JobError};
use protocol::config::{AUTO, Degrade, FallbackTable, is_auto};
use protocol::engine::Card;
use protocol::escrow::{EscrowAnswer, EscrowTell};
use protocol::ids::RequestId;
use protocol::manage::{Manage, Managed};
use protocol::message::OrderAction;
use protocol::request::{Input, Request};
use protocol::tree::TreeLine;
use protocol::units::{Span, Tokens};
use providers::Pool;
use ractor::ActorRef;
use text::Text;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use crate::decisions::Decisions;
use crate::escrow::Upward;
use crate::pipeline::{Bend, Origin, check, not_loaded, prepare, unknown_model};
use crate::pricing::Pricing;
use crate::router::Router;
use crate::scale::Scaling;
use crate::service::{AnswerStream, Caller, ModelInfo, Rate, RateState, Service};
use crate::state::State;

mod cascade;
mod once;
mod own;
mod plan;
mod purse;
mod upstream;
mod way;

pub use once::Once;

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
    /// Keys, budgets, usage.
    pub accounts: Accounts,
    /// What models cost.
    pub pricing: Arc<Pricing>,
    /// How many nodes are needed.
    pub scaling: Scaling,
    /// Which tier a request for `auto` needs.
    pub router: Router,
    /// Models of providers.
    pub pool: Arc<Pool>,
    /// Who stands in for whom.
    pub fallbacks: FallbackTable,
    /// Tokens that an answer is expected to have.
    pub expected: Tokens,
    /// Why requests went where they went.
    pub decisions: Arc<Decisions>,
    /// Requests that may be submitted twice.
    pub once: Once,
    /// The way to the coordinator that has keys, budgets and usage, if this one has not.
    pub upward: Option<Arc<Upward>>,
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
        let accounts = &self.parts.accounts;
        let known = self.parts.state.keys.authenticate(key, accounts.keys(), accounts.now());
        if known.is_err() && accounts.is_new() {
            let message =
                "the keys are not known here yet, since the coordinator that has them has not answered: try again";
            return Err(JobError::new(ErrorKind::Overloaded, message).retry_after(FULL_RETRY));
        }
        known
    }

    fn ask(&self, caller: &Caller, mut request: Request) -> Result<AnswerStream, JobError> {
        check(&request)?;
        permit(caller, &request.model)?;
        let parts = Arc::clone(&self.parts);
        if parts.router.mode(&request.model)?.is_none() {
            // What nobody serves is refused at once.
            plan::Target::of(&parts, &request.model)?;
        }
        parts.accounts.pace().glance(&caller.key, &caller.settings.limits).map_err(purse::limited)?;
        request.care.class = Some(request.care.class.unwrap_or_default().min(caller.settings.class));
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
        let future = Box::pin(way::serve(parts, request, origin, answers, slot));
        hub.cast(Work { name: "request", future })
            .map_err(|_| JobError::new(ErrorKind::Overloaded, "the coordinator stops").retry_after(FULL_RETRY))?;
        Ok(AnswerStream::tapped(pieces, tap))
    }

    fn models(&self, caller: &Caller) -> Vec<ModelInfo> {
        let parts = &self.parts;
        let own = parts.shared.directory.models().into_iter();
        let mut all: Vec<ModelInfo> = own.map(|card| ModelInfo { name: card.model, context: card.context }).collect();
        // What nobody has told is 0.
        let others = parts.pool.models().map(str::to_owned).chain(parts.router.names());
        all.extend(others.map(|name| ModelInfo { name, context: Tokens::ZERO }));
        all.retain(|model| permit(caller, &model.name).is_ok());
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.name == b.name);
        all
    }

    fn manage(&self, caller: &Caller, manage: Manage) -> BoxFuture<'static, Result<Managed, JobError>> {
        let (parts, caller) = (Arc::clone(&self.parts), caller.clone());
        Box::pin(async move { crate::manage::manage(&parts, &caller, manage).await })
    }

    fn sync(&self, tell: EscrowTell) -> BoxFuture<'static, Result<EscrowAnswer, JobError>> {
        let accounts = self.parts.accounts.clone();
        Box::pin(async move {
            accounts.sync(&tell).await.map_err(|error| {
                let kind = match error {
                    NotSynced::NotHolder => ErrorKind::Invalid,
                    NotSynced::Store => ErrorKind::Overloaded,
                };
                JobError::new(kind, error.to_string())
            })
        })
    }

    fn rates(&self, caller: &Caller) -> RateState {
        let state = self.parts.accounts.pace().state(&caller.key, &caller.settings.limits);
        let rate =
            |gauge: policy::limits::Gauge| Rate { limit: gauge.limit, remaining: gauge.remaining, reset: gauge.reset };
        RateState { requests: state.requests.map(rate), tokens: state.tokens.map(rate) }
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

/// Whether a key may ask for a model.
fn permit(caller: &Caller, model: &str) -> Result<(), JobError> {
    let allowed = &caller.settings.models;
    let named = |name: &String| name == model || (name == AUTO && is_auto(model));
    if allowed.is_empty() || allowed.iter().any(named) {
        return Ok(());
    }
    let shown: String = model.chars().take(128).flat_map(char::escape_default).collect();
    let message = format!("the key {} may not ask for '{shown}', only for: {}", caller.key, allowed.join(", "));
    Err(JobError::new(ErrorKind::Forbidden, message).field("model"))
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
pub(crate) fn no_model(model: &str, directory: &Directory) -> JobError {
    if directory.could_serve(model) { not_loaded(model) } else { unknown_model(model, &directory.models()) }
}
