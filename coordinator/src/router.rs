//! Which tier a request for `auto` needs: the shell around [`policy::complexity`].
//!
//! Rules: the scorer is a trait, so that another one can take its place. A conversation is known by the session that
//! the client names, or by how it begins: it keeps its tier while its prefix is warm.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actors::cluster::Clock;
use actors::guarded::Guarded;
use policy::complexity::tiers::{Because, Cuts, Mode, Sticky, StickySettings, Thresholds};
use policy::complexity::{LinearScorer, Prompt, Scorer};
use protocol::answer::{ErrorKind, JobError, Route};
use protocol::config::{AUTO, Routing, is_auto};
use protocol::request::{Input, Request};

use crate::service::Caller;

/// Bytes of a conversation's beginning that tell it from others.
const BEGINNING: usize = 1024;

/// What decides which tier answers.
pub struct Router {
    config: Routing,
    scorer: Arc<dyn Scorer>,
    thresholds: Thresholds,
    sticky: Guarded<Sticky<u128>>,
    clock: Clock,
}

/// Why a router cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// The weights in this program.
    #[error("the weights for auto cannot be read: {0}")]
    Weights(#[from] policy::complexity::BadWeights),
    /// The settings.
    #[error("routing: {0}")]
    Cuts(#[from] policy::complexity::tiers::BadCuts),
}

/// The tier that a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// From 0.
    pub tier: usize,
    /// Which conversation it belongs to.
    pub conversation: u128,
    /// How it was asked for.
    pub mode: Mode,
    /// For the client.
    pub route: Route,
}

impl Router {
    /// With the weights that are built in.
    ///
    /// # Errors
    /// The settings or the weights cannot be used.
    pub fn new(config: Routing) -> Result<Self, RouterError> {
        let scorer = Arc::new(LinearScorer::built_in()?);
        Self::with(config, scorer)
    }

    /// With a scorer.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub fn with(config: Routing, scorer: Arc<dyn Scorer>) -> Result<Self, RouterError> {
        let between = config.tiers.len().saturating_sub(1);
        let cuts = |list: &[f64]| Cuts::new(list.iter().copied().take(between).collect());
        let thresholds =
            Thresholds { cheap: cuts(&config.cheap)?, balanced: cuts(&config.balanced)?, best: cuts(&config.best)? };
        let settings =
            StickySettings { ttl: config.sticky.0, margin: config.margin, most: config.conversations as usize };
        let (sticky, clock) = (Guarded::new(Sticky::new(settings)), Clock::start());
        Ok(Self { config, scorer, thresholds, sticky, clock })
    }

    /// The settings.
    pub fn config(&self) -> &Routing {
        &self.config
    }

    /// Whether a model's name asks the cluster to choose, and in which mode.
    ///
    /// # Errors
    /// There is no such mode, or nothing to choose from.
    pub fn mode(&self, model: &str) -> Result<Option<Mode>, JobError> {
        if !is_auto(model) {
            return Ok(None);
        }
        let unknown = |message: String| JobError::new(ErrorKind::UnknownModel, message).field("model");
        if self.config.tiers.is_empty() {
            return Err(unknown(format!("'{model}' is not served: no tiers are set in [routing] of cluster.toml")));
        }
        match Mode::of_model(model) {
            Some(Ok(mode)) => Ok(Some(mode)),
            Some(Err(error)) => Err(unknown(error.to_string())),
            None => Ok(None),
        }
    }

    /// The tier that a request needs.
    pub fn decide(&self, caller: &Caller, request: &Request, mode: Mode) -> Decided {
        let score = self.scorer.score(&Prompt::of(&request.input, &request.tools));
        let conversation = conversation(caller, request);
        let choice = {
            let mut sticky = self.sticky.lock();
            sticky.choose(self.clock.now(), conversation, score, mode, &self.thresholds)
        };
        let tier = choice.tier.min(self.config.tiers.len().saturating_sub(1));
        let because = match choice.because {
            Because::Score => Vec::new(),
            Because::Sticky => vec!["sticky".to_owned()],
            Because::Raised => vec!["raised".to_owned()],
        };
        let route = Route { asked: request.model.clone(), tier: self.name(tier), score: score.thousandths(), because };
        Decided { tier, conversation, mode, route }
    }

    /// A conversation's answer was not sure enough: it stays on this tier from now on.
    pub fn raise(&self, decided: &Decided, tier: usize) {
        let mut sticky = self.sticky.lock();
        sticky.raise(self.clock.now(), decided.conversation, tier, decided.mode);
    }

    /// The names that ask the cluster to choose; none if there is nothing to choose from.
    pub fn names(&self) -> Vec<String> {
        if self.config.tiers.is_empty() {
            return Vec::new();
        }
        let modes = Mode::ALL.into_iter().map(|mode| format!("{AUTO}:{mode}"));
        std::iter::once(AUTO.to_owned()).chain(modes).collect()
    }

    /// What a tier is called.
    pub fn name(&self, tier: usize) -> String {
        self.config.tiers.get(tier).map_or_else(|| tier.to_string(), |tier| tier.name.clone())
    }

    /// How long a cascade may hold an answer back.
    pub fn patience(&self) -> Duration {
        self.config.cascade_time.0
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Names a conversation: by its session, or by its first turn of a user and what stands before it. Those of different
/// keys never meet.
fn conversation(caller: &Caller, request: &Request) -> u128 {
    let mut hash = blake3::Hasher::new();
    hash.update(&caller.salt);
    let mut add = |text: &str| {
        let head = text.as_bytes().get(..BEGINNING).unwrap_or(text.as_bytes());
        hash.update(&(text.len() as u64).to_le_bytes()).update(head);
    };
    match (&request.care.session, &request.input) {
        (Some(session), _) => add(session),
        (None, Input::Chat(messages)) => {
            let first = messages.iter().position(|message| message.role == "user").unwrap_or(messages.len());
            messages.iter().take(first.saturating_add(1)).for_each(|message| add(&message.content));
        }
        (None, Input::Text(text)) => add(text),
        (None, Input::Tokens(tokens)) => tokens.iter().take(BEGINNING).for_each(|token| add(&token.to_string())),
    }
    let bytes = hash.finalize();
    let (first, _) = bytes.as_bytes().split_first_chunk().unwrap_or((&[0; 16], &[]));
    u128::from_le_bytes(*first)
}

#[cfg(test)]
mod tests;
