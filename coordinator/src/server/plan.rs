//! Who could answer a request, the best first.
//!
//! Rules: a request that names a model gets that model. One for `auto` gets the cheapest of the models that are good
//! enough and in time, whether nodes or providers serve them; what is cached and where counts. Whoever is left is
//! asked when the first cannot answer.

use std::sync::Arc;

use actors::cluster::placing::Want;
use policy::choice::{Candidate, Need, Ranked, rank};
use protocol::answer::{ErrorKind, JobError, Route};
use protocol::engine::{BlockHash, Card};
use protocol::ids::TokenId;
use protocol::manage;
use protocol::money::Price;
use protocol::request::{Input, Request};
use protocol::units::{Nanos, Tokens};
use text::{Special, Text};

use super::purse::price;
use super::way::Way;
use super::{Parts, SMALL, no_model, size, words};
use crate::pipeline::{needs_tools, no_tools};
use crate::router::Decided;

/// Who serves a model.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// Nodes of the cluster's own.
    Own(Box<Card>),
    /// A provider.
    Provider(providers::Served),
}

/// A model that could answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) model: String,
    pub(super) place: Place,
    /// Its tier, where the cluster chooses.
    pub(super) tier: Option<usize>,
}

/// What is to be asked.
pub(super) struct Planned {
    /// At least one, the best first.
    pub(super) targets: Vec<Target>,
    /// Models that are not good enough, the best first: for when nothing better can be paid.
    pub(super) lower: Vec<Target>,
    pub(super) decided: Option<Decided>,
}

impl Planned {
    pub(super) fn route(&self) -> Option<Route> {
        self.decided.as_ref().map(|decided| decided.route.clone())
    }
}

impl Target {
    /// By its name; an error if nobody serves it.
    pub(super) fn of(parts: &Parts, model: &str) -> Result<Self, JobError> {
        if let Some(card) = parts.shared.directory.card(model) {
            return Ok(Self { model: model.to_owned(), place: Place::Own(Box::new(card)), tier: None });
        }
        if let Some(served) = parts.pool.serves(model) {
            return Ok(Self { model: model.to_owned(), place: Place::Provider(served), tier: None });
        }
        Err(no_model(model, &parts.shared.directory))
    }

    /// What it costs, or why it cannot be asked.
    fn price(&self, parts: &Parts) -> Result<Price, JobError> {
        let priced = match &self.place {
            Place::Own(_) => price(&parts.pricing, &self.model, None),
            Place::Provider(served) => price(&parts.pricing, &served.upstream, Some(&served.provider)),
        };
        priced.map(|priced| priced.price)
    }
}

/// Who could answer.
///
/// # Errors
/// Nobody.
pub(super) async fn plan(way: &Way, request: &Request) -> Result<Planned, JobError> {
    let parts = &way.parts;
    let Some(mode) = parts.router.mode(&request.model)? else {
        let target = Target::of(parts, &request.model)?;
        if needs_tools(request) && matches!(target.place, Place::Own(_)) {
            return Err(no_tools(&request.model));
        }
        way.explain.step(match &target.place {
            Place::Own(_) => {
                format!("it names '{}', which the cluster's own nodes serve: no other was weighed", target.model)
            }
            Place::Provider(served) => {
                format!("it names '{}' of provider {}: no other was weighed", target.model, served.provider)
            }
        });
        return Ok(Planned { targets: vec![target], lower: Vec::new(), decided: None });
    };
    let decided = parts.router.decide(&way.origin.caller, request, mode);
    let targets = candidates(parts, request);
    if targets.is_empty() {
        let message = format!("none of the models of '{}' is served now: try again, or start a node", request.model);
        return Err(JobError::new(ErrorKind::NoNode, message).field("model"));
    }
    let mut estimates = Vec::with_capacity(targets.len());
    for target in &targets {
        estimates.push(estimate(way, request, target).await);
    }
    let answer = request.params.max_tokens.map_or(parts.expected, |most| parts.expected.min(Tokens(most.into())));
    // Where no tier that is good enough is served, the best that is has to do.
    let best = targets.iter().filter_map(|target| target.tier).max().unwrap_or(0);
    let need = Need { tier: decided.tier.min(best), deadline: request.care.deadline, answer };
    let list: Vec<Candidate> = estimates.iter().map(|estimate| estimate.candidate.clone()).collect();
    let ranked = rank(&list, &need).map_err(|error| JobError::new(ErrorKind::Invalid, error.to_string()))?;
    tell(way, &decided, &estimates, &ranked);
    let mut decided = decided;
    let mut lower: Vec<Target> =
        targets.iter().filter(|target| target.tier.unwrap_or(0) < need.tier).cloned().collect();
    lower.sort_by_key(|target| std::cmp::Reverse(target.tier));
    let targets: Vec<Target> = ranked.iter().filter_map(|ranked| targets.get(ranked.at).cloned()).collect();
    if let Some(tier) = targets.first().and_then(|target| target.tier)
        && tier != decided.tier
    {
        decided.route.tier = parts.router.name(tier);
        decided.route.because.push(if tier > decided.tier { "cheaper" } else { "available" }.to_owned());
    }
    Ok(Planned { targets, lower, decided: Some(decided) })
}

/// All models of all tiers that are served and can do what is asked.
fn candidates(parts: &Parts, request: &Request) -> Vec<Target> {
    let tools = needs_tools(request);
    let tiers = parts.router.config().tiers.iter().enumerate();
    let named = tiers.flat_map(|(tier, models)| models.models.iter().map(move |model| (tier, model)));
    let found = named.filter_map(|(tier, model)| {
        let target = Target::of(parts, model).ok()?;
        let able = !tools || matches!(target.place, Place::Provider(_));
        able.then_some(Target { tier: Some(tier), ..target })
    });
    found.collect()
}

/// A candidate, and where it would be answered.
struct Estimate {
    candidate: Candidate,
    place: String,
}

async fn estimate(way: &Way, request: &Request, target: &Target) -> Estimate {
    let parts = &way.parts;
    let (price, closed) = match target.price(parts) {
        Ok(price) => (price, None),
        Err(error) => (Price { input: Nanos(u64::MAX / 2), ..Price::default() }, Some(error.message)),
    };
    let mut candidate = Candidate {
        model: target.model.clone(),
        tier: target.tier.unwrap_or(0),
        price: if closed.is_some() { Price::default() } else { price },
        prompt: rough(request),
        cached: Tokens::ZERO,
        time: None,
        closed,
    };
    let place = match &target.place {
        Place::Own(card) => own(way, request, card, &mut candidate).await,
        Place::Provider(served) => {
            if candidate.closed.is_none() {
                candidate.closed = parts.pool.closed(&served.provider);
            }
            candidate.time = parts.pool.expected(&served.provider, &target.model);
            served.provider.clone()
        }
    };
    Estimate { candidate, place }
}

/// What is known of a model on the cluster's own nodes. The node that would answer.
async fn own(way: &Way, request: &Request, card: &Card, candidate: &mut Candidate) -> String {
    let parts = &way.parts;
    let Ok(text) = words(parts, card).await else {
        candidate.closed = Some("its tokenizer cannot be had now".to_owned());
        return String::new();
    };
    let Some(prompt) = tokens(request, text).await else {
        candidate.closed = Some("it cannot read the prompt".to_owned());
        return String::new();
    };
    candidate.prompt = Tokens::of(prompt.len());
    if candidate.prompt >= card.context {
        candidate.closed = Some(format!("its context holds {}, the prompt has {}", card.context, candidate.prompt));
        return String::new();
    }
    let salt = way.origin.caller.salt;
    let want = Want {
        model: card.model.clone(),
        words: card.text,
        chain: BlockHash::chain(salt, &prompt, card.block.as_usize()).collect(),
        block: card.block,
        prompt: candidate.prompt,
        answer: parts.expected,
        session: None,
        class: request.care.class.unwrap_or_default(),
        tried: Vec::new(),
    };
    let mut jitter = policy::restart::Jitter::new(way.origin.random);
    match parts.shared.directory.peek(&want, &mut || jitter.draw()) {
        Some(peek) => {
            (candidate.cached, candidate.time) = (peek.cached, Some(peek.time));
            peek.node
        }
        None => {
            candidate.closed = Some("no node of it takes work now".to_owned());
            String::new()
        }
    }
}

/// The prompt's tokens. A long one takes milliseconds: not for a runtime's thread.
async fn tokens(request: &Request, text: Arc<Text>) -> Option<Vec<TokenId>> {
    let read = |input: &Input, text: &Text| match input {
        Input::Chat(messages) => text.chat(messages).ok(),
        Input::Text(prompt) => text.encode(prompt, Special::Parse).ok(),
        Input::Tokens(tokens) => Some(tokens.clone()),
    };
    if size(request) <= SMALL {
        return read(&request.input, &text);
    }
    let input = request.input.clone();
    tokio::task::spawn_blocking(move || read(&input, &text)).await.ok().flatten()
}

/// Tokens of a prompt, about, where its tokenizer is not here.
pub(super) fn rough(request: &Request) -> Tokens {
    match &request.input {
        Input::Chat(messages) => {
            messages.iter().map(|message| policy::upstream::usage::estimate(&message.content) + Tokens(8)).sum()
        }
        Input::Text(text) => policy::upstream::usage::estimate(text),
        Input::Tokens(tokens) => Tokens::of(tokens.len()),
    }
}

fn tell(way: &Way, decided: &Decided, estimates: &[Estimate], ranked: &[Ranked]) {
    let told = ranked.iter().filter_map(|ranked| {
        let Estimate { candidate, place } = estimates.get(ranked.at)?;
        Some(manage::Candidate {
            model: candidate.model.clone(),
            place: place.clone(),
            money: ranked.money,
            time: candidate.time.unwrap_or_default(),
            cached: candidate.cached,
            chosen: false,
            why: ranked.why.clone(),
        })
    });
    way.explain.candidates(Some(decided.route.clone()), told.collect());
}
