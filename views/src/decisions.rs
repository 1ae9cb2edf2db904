//! Prices, and why a request went where it went.

use protocol::answer::Route;
use protocol::manage::{Candidate, Explanation, PricedModel};
use serde::Serialize;

use crate::moment::Moment;
use crate::money::Amount;

/// The price of a model, for a million tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PriceView {
    object: &'static str,
    model: String,
    input: Amount,
    cached: Amount,
    output: Amount,
    per_tokens: u64,
    source: String,
}

impl From<PricedModel> for PriceView {
    fn from(priced: PricedModel) -> Self {
        Self {
            object: "price",
            model: priced.model,
            input: Amount(priced.price.input),
            cached: Amount(priced.price.cached),
            output: Amount(priced.price.output),
            per_tokens: 1_000_000,
            source: priced.source,
        }
    }
}

/// Why a request went where it went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplanationView {
    object: &'static str,
    request: String,
    at: Moment,
    key: String,
    asked: String,
    route: Option<RouteView>,
    reserved: Amount,
    candidates: Vec<CandidateView>,
    steps: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct RouteView {
    asked: String,
    tier: String,
    /// From 0 to 1.
    score: f64,
    because: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct CandidateView {
    model: String,
    place: String,
    cost: Amount,
    milliseconds: u64,
    cached: u64,
    chosen: bool,
    why: String,
}

impl From<Route> for RouteView {
    fn from(route: Route) -> Self {
        let Route { asked, tier, score, because } = route;
        Self { asked, tier, score: f64::from(score) / 1000.0, because }
    }
}

impl From<Candidate> for CandidateView {
    fn from(one: Candidate) -> Self {
        let milliseconds = u64::try_from(one.time.as_millis()).unwrap_or(u64::MAX);
        let Candidate { model, place, money, cached, chosen, why, .. } = one;
        Self { model, place, cost: Amount(money), milliseconds, cached: cached.0, chosen, why }
    }
}

impl From<Explanation> for ExplanationView {
    fn from(explanation: Explanation) -> Self {
        let Explanation { request, at, key, asked, route, reserved, candidates, steps } = explanation;
        Self {
            object: "explanation",
            request: request.to_string(),
            at: Moment(at),
            key,
            asked,
            route: route.map(RouteView::from),
            reserved: Amount(reserved),
            candidates: candidates.into_iter().map(CandidateView::from).collect(),
            steps,
        }
    }
}

#[cfg(test)]
mod tests;
