//! What tokens cost, and where each price is from.
//!
//! Rules:
//! - Never nothing, unless the configuration says that it is free: what is priced nowhere has the stated default, or
//!   is refused.
//! - What stands in the configuration goes first; then, for models of providers, the list in the program ([`list`]);
//!   then the default.
//! - Own nodes that are priced by the GPU-hour have a price that follows what is measured ([`time`]). A [`Price`] is
//!   copied when a request reserves, and the request is settled at that: a price that moves meanwhile moves only
//!   later ones.
//! - What may be spent is bounded from above ([`upper_bound`]), with arithmetic that says so when it does not fit.
//!
//! Left to others: to reserve and to settle; to gather what nodes measure.

use std::collections::{BTreeMap, BTreeSet};

use protocol::config::{self, Basis, UnknownPrice};
use protocol::manage::PricedModel;
use protocol::message::Rates;
use protocol::money::{Price, TooCostly};
use protocol::units::{Nanos, Tokens};

pub mod list;
mod time;

pub use list::{BadList, Hardware, List, Listed};
pub use time::Speed;
use time::Timed;

/// A price and its source, as [`PricedModel::source`] shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// What a million tokens cost.
    pub price: Price,
    /// `cluster.toml`, `gpu-hour`, `default`, or a list with its date.
    pub source: String,
}

/// A model without a price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model '{name}' has no price: give one in cluster.toml as [prices.models.\"{name}\"], or a default as prices.unknown"
)]
pub struct NoPrice {
    /// Its name; `provider/model` for those of providers.
    pub name: String,
}

#[derive(Clone, Debug)]
enum Entry {
    Fixed(Price),
    Timed(Timed),
}

/// All prices.
#[derive(Clone, Debug)]
pub struct Prices {
    models: BTreeMap<String, Entry>,
    list: Option<List>,
    unknown: Option<Price>,
    unmeasured: Speed,
}

impl Prices {
    /// From a configuration that was checked. `placement` says how fast own nodes are taken to be before any was
    /// measured.
    pub fn new(config: &config::Prices, placement: &config::Placement) -> Self {
        let unmeasured = Speed::from(placement);
        let entry = |price: &config::ModelPrice| match price.basis() {
            Basis::Tokens(price) => Entry::Fixed(price),
            Basis::Time { hour, cached } => Entry::Timed(Timed::new(hour, cached, unmeasured)),
        };
        let unknown = match config.unknown {
            UnknownPrice::Refuse => None,
            UnknownPrice::Price(tokens) => Some(tokens.into()),
        };
        Self {
            models: config.models.iter().map(|(name, price)| (name.clone(), entry(price))).collect(),
            list: config.list.then(List::built_in),
            unknown,
            unmeasured,
        }
    }

    /// What a model costs. `provider` is who answers, if no node of the cluster's own does; `model` is then the name
    /// that the provider knows.
    ///
    /// # Errors
    /// It has no price.
    pub fn of(&self, model: &str, provider: Option<&str>) -> Result<Priced, NoPrice> {
        let name = provider.map_or_else(|| model.to_owned(), |provider| format!("{provider}/{model}"));
        if let Some(entry) = self.models.get(&name) {
            return Ok(match entry {
                Entry::Fixed(price) => Priced { price: *price, source: "cluster.toml".into() },
                Entry::Timed(timed) => Priced { price: timed.price(), source: timed.source() },
            });
        }
        let listed = self.list.as_ref().filter(|_| provider.is_some()).and_then(|list| list.models.get(model));
        if let Some(listed) = listed {
            return Ok(Priced { price: listed.price, source: format!("list of {}", listed.date) });
        }
        self.unknown.map(|price| Priced { price, source: "default".into() }).ok_or(NoPrice { name })
    }

    /// The cheapest way to the price alone, without a word on its source: for every request.
    ///
    /// # Errors
    /// It has no price.
    pub fn price(&self, model: &str, provider: Option<&str>) -> Result<Price, NoPrice> {
        if provider.is_none() {
            match self.models.get(model) {
                Some(Entry::Fixed(price)) => return Ok(*price),
                Some(Entry::Timed(timed)) => return Ok(timed.price()),
                None => {}
            }
        }
        self.of(model, provider).map(|priced| priced.price)
    }

    /// A node of a model said how fast it is, and how many sequences it decodes. Of no account for models that are
    /// not priced by the GPU-hour.
    pub fn observe(&mut self, model: &str, rates: Rates, batch: u32) {
        if let Some(Entry::Timed(timed)) = self.models.get_mut(model) {
            timed.observe(rates, batch);
        }
    }

    /// How fast own nodes are taken to be before any was measured.
    pub fn unmeasured(&self) -> Speed {
        self.unmeasured
    }

    /// What everything costs, by name: those that are configured, and `own`, the models that nodes serve.
    pub fn all<'a>(&'a self, own: impl IntoIterator<Item = &'a str>) -> Vec<PricedModel> {
        let names: BTreeSet<&str> = self.models.keys().map(String::as_str).chain(own).collect();
        let priced = names.into_iter().filter_map(|name| {
            let Priced { price, source } = self.of(name, None).ok()?;
            Some(PricedModel { model: name.to_owned(), price, source })
        });
        priced.collect()
    }
}

/// The most that a request can cost: its whole prompt for each of its answers, at the dearer of what is computed and
/// what is cached, and `n` answers of `max_tokens`.
///
/// # Errors
/// It does not fit.
pub fn upper_bound(price: &Price, prompt: Tokens, max_tokens: Tokens, n: u32) -> Result<Nanos, TooCostly> {
    let too_costly = TooCostly { prompt, completion: max_tokens };
    let times = |tokens: Tokens| tokens.0.checked_mul(n.max(1).into()).map(Tokens).ok_or(too_costly);
    let dearest = Price { input: price.input.max(price.cached), ..*price };
    dearest.cost(times(prompt)?, Tokens::ZERO, times(max_tokens)?).map_err(|_| too_costly)
}

#[cfg(test)]
mod tests;
