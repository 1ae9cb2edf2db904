//! What the tiers of a mix cost: by the token, as the ledger books it, and by the hour, as own hardware is paid for.
//!
//! Rules: a model has the price of the first list that names it. Own hardware has both: a price for its tokens while it
//! is busy, by the formula for own nodes, and the hours of as many units as its peak needs, busy or not. The first is
//! what budgets see; the second what is paid.

use policy::choice::{self, Candidate};
use policy::plan::{BadPlan, Offer};
use policy::prices::List;
use protocol::money::{Price, TooCostly};
use protocol::units::Nanos;

use super::setting::{BadSetting, Mix, Workload, bad};

const BUILT_IN: &str = include_str!("../../prices.toml");
/// So many requests at once, or after each other, must cost what money can hold.
const BUDGETED: u64 = 100_000_000;

/// The prices that come with the program, those of simulations first.
///
/// # Errors
/// Never: a test holds that they can be read.
pub fn built_in() -> Result<List, policy::prices::BadList> {
    Ok(List::parse(BUILT_IN)?.over(List::built_in()))
}

/// A mix with what it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Priced {
    /// Who answers.
    pub mix: Mix,
    /// What each tier costs.
    pub tiers: Vec<TierPrice>,
}

/// What a tier costs.
#[derive(Clone, Debug, PartialEq)]
pub struct TierPrice {
    /// By the token.
    pub price: Price,
    /// As it is paid for.
    pub offer: Offer,
    /// Where that is from, and when.
    pub source: String,
}

impl Priced {
    /// Looks a mix up. `at` is its place in the setting.
    ///
    /// # Errors
    /// No list has a model of it, or a tier is dearer than the one above it.
    pub fn find(mix: &Mix, at: usize, list: &List, workload: &Workload) -> Result<Self, BadSetting> {
        let mut tiers = Vec::new();
        for (place, tier) in mix.tiers.iter().enumerate() {
            let join =
                |parts: [&str; 3]| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
            let found = if let Some(hardware) = list.hardware.get(&tier.model) {
                let source = join([&hardware.model, &hardware.source, &hardware.date]);
                let offer = Offer::Own { hardware: hardware.clone(), units: None };
                TierPrice { price: hardware.price(), offer, source }
            } else if let Some(listed) = list.models.get(&tier.model) {
                let source = join([&listed.source, &listed.date, &listed.note]);
                TierPrice { price: listed.price, offer: Offer::Price(listed.price), source }
            } else {
                let known: Vec<&str> = list.models.keys().chain(list.hardware.keys()).map(String::as_str).collect();
                let remedy = format!("one that a list has, or put it in a file for --prices: {}", known.join(", "));
                return Err(bad(format!("mixes[{at}].tiers[{place}].model"), format!("'{}'", tier.model), remedy));
            };
            tiers.push(found);
        }
        let priced = Self { mix: mix.clone(), tiers };
        priced.check(at, workload)?;
        Ok(priced)
    }

    fn check(&self, at: usize, workload: &Workload) -> Result<(), BadSetting> {
        let mut before = Nanos::ZERO;
        for place in 0..self.tiers.len() {
            let field = format!("mixes[{at}].tiers[{place}].model");
            let name = || self.mix.tiers.get(place).map_or_else(String::new, |tier| tier.model.clone());
            let most = self.bound(place, workload).ok().and_then(|bound| bound.0.checked_mul(BUDGETED));
            let Some((cost, _)) = self.cost(place, workload).ok().zip(most) else {
                return Err(bad(
                    field,
                    format!("'{}'", name()),
                    "a lower price or shorter requests: its cost does not fit",
                ));
            };
            if cost < before {
                let value = format!("'{}', cheaper than the tier before it", name());
                return Err(bad(field, value, "tiers from the cheapest to the best"));
            }
            before = cost;
        }
        Ok(())
    }

    /// What a request costs at a tier.
    ///
    /// # Errors
    /// It does not fit.
    pub fn cost(&self, tier: usize, workload: &Workload) -> Result<Nanos, TooCostly> {
        self.price(tier).cost(workload.prompt, workload.cached_tokens(), workload.answer)
    }

    /// What it costs at most: what is set aside.
    ///
    /// # Errors
    /// It does not fit.
    pub fn bound(&self, tier: usize, workload: &Workload) -> Result<Nanos, TooCostly> {
        policy::prices::upper_bound(&self.price(tier), workload.prompt, workload.max_tokens, 1)
    }

    fn price(&self, tier: usize) -> Price {
        self.tiers.get(tier).map(|tier| tier.price).unwrap_or_default()
    }

    /// What candidates the coordinator would weigh: every tier's model.
    pub fn candidates(&self, workload: &Workload) -> Vec<Candidate> {
        let tiers = self.mix.tiers.iter().zip(&self.tiers).enumerate();
        let of = |(tier, (named, priced)): (usize, (&super::setting::Tier, &TierPrice))| Candidate {
            model: named.model.clone(),
            tier,
            price: priced.price,
            prompt: workload.prompt,
            cached: workload.cached_tokens(),
            time: None,
            closed: None,
        };
        tiers.map(of).collect()
    }

    /// The tier that answers, by wanted tier: the cheapest that is good enough.
    ///
    /// # Errors
    /// A cost does not fit.
    pub fn served(&self, workload: &Workload) -> Result<Vec<usize>, TooCostly> {
        let candidates = self.candidates(workload);
        let first = |tier: usize| {
            let need = choice::Need { tier, deadline: None, answer: workload.answer };
            Ok(choice::rank(&candidates, &need)?.first().map_or(tier, |ranked| ranked.at))
        };
        (0..self.tiers.len()).map(first).collect()
    }

    /// What a day costs as it is paid for, where each tier is asked so often. A tier that nobody asks has no units.
    ///
    /// # Errors
    /// It does not fit.
    pub fn paid(&self, asked: &[u64], workload: &Workload) -> Result<Paid, BadPlan> {
        let mut paid = Paid::default();
        for (tier, asked) in self.tiers.iter().zip(asked).filter(|(_, asked)| **asked > 0) {
            let bill = workload.plan(*asked).bill(&tier.offer)?;
            paid.day = paid.day.checked_add(bill.day).ok_or(BadPlan::TooMuch(*asked))?;
            paid.units += bill.need.map_or(0, |need| need.units);
        }
        Ok(paid)
    }

    /// Whether some of it is own hardware.
    pub fn has_own(&self) -> bool {
        self.tiers.iter().any(|tier| matches!(tier.offer, Offer::Own { .. }))
    }

    /// The place of the best tier.
    pub fn top(&self) -> usize {
        self.tiers.len().saturating_sub(1)
    }
}

/// What a day costs as it is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    /// All of it.
    pub day: Nanos,
    /// Units of own hardware in it.
    pub units: u64,
}

#[cfg(test)]
pub(crate) mod tests;
