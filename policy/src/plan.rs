//! What a workload costs in a day and in a month, by any price and on own hardware, and what routing saves.
//!
//! Rules:
//! - Costs follow from prices and numbers of tokens alone, in whole nanos, rounded up once for each line.
//! - Own hardware costs its hours, busy or not. So a plan says how busy it is, on average and at the peak, and how
//!   many units the peak needs; a cost for fewer of them is not what the workload costs.
//! - A unit that does `p` prompt tokens or `d` answer tokens a second spends `1 / p + 1 / d` seconds on one of each.
//!   Cached tokens of a prompt take no time.
//! - Routed requests are the same as the others in length: what a tier gets is a share of their number.
//!
//! Left to others: to read files and to print.

use protocol::money::Price;
use protocol::units::{Nanos, Percent, Tokens};

use crate::prices::Hardware;

const DAY: u64 = 24 * 3600;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Requests in a day.
    pub requests: u64,
    /// Tokens of a prompt.
    pub prompt: Tokens,
    /// Tokens of an answer.
    pub answer: Tokens,
    /// How much of the prompts comes from a cache.
    pub cached: Percent,
    /// How many times the mean the busiest moment has, in hundredths.
    pub peak: u32,
    /// Days in a month.
    pub days: u32,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Somebody who asks for money by the token.
    Price(Price),
    /// Own hardware.
    Own {
        /// What it is.
        hardware: Hardware,
        /// How many units there are; as many as the peak needs, if left out.
        units: Option<u64>,
    },
}

/// What some requests cost where they are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// How many they are in a day.
    pub requests: u64,
    /// A day.
    pub day: Nanos,
    /// A month.
    pub month: Nanos,
    /// What it takes, on own hardware.
    pub need: Option<Need>,
}

/// What a workload needs of own hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Prompt tokens a second that must be computed at the peak, rounded up.
    pub prefill: Tokens,
    /// Answer tokens a second at the peak, rounded up.
    pub decode: Tokens,
    /// Units that the bill is for.
    pub units: u64,
    /// Units that the peak needs.
    pub enough: u64,
    /// How busy the units of the bill are on average, in hundredths of a percent, rounded up.
    pub mean: u64,
    /// And at the peak. More than 10,000: they do not suffice.
    pub peak: u64,
}

impl Need {
    /// Whether the units of the bill suffice.
    pub fn suffices(&self) -> bool {
        self.units >= self.enough
    }
}

/// A part of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Of all requests.
    pub share: Percent,
    /// Who answers them.
    pub offer: Offer,
}

/// Requests that are answered in tiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// What each tier costs, in order.
    pub tiers: Vec<Bill>,
    /// All of them.
    pub all: Bill,
    /// What the tier would cost that is dearest when it answers everything: its place, and its bill.
    pub dearest: (usize, Bill),
    /// How much less than that routing costs, in hundredths of a percent, rounded down; nothing if it costs more.
    pub saved: u64,
}

/// A plan that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlan {
    /// A number is too large for money to hold.
    #[error("the cost of {0} requests a day does not fit: give fewer, shorter ones or lower prices")]
    TooMuch(u64),
    /// Shares must be of one whole.
    #[error("the shares of the tiers are {0}% together: make them 100%")]
    Shares(u64),
    /// More cannot be cached than there is.
    #[error("{0} of the prompts is cached: give 0% to 100%")]
    Cached(Percent),
    /// A busiest moment that is not.
    #[error("the peak is {}.{:02} times the mean: give 1 to 1000", .0 / 100, .0 % 100)]
    Peak(u32),
    /// Days that are none.
    #[error("a month has {0} days: give 1 to 366")]
    Days(u32),
}

impl Workload {
    /// The workload that guides compare by: 100,000 requests a day of 1,000 + 500 tokens.
    pub const REFERENCE: Self =
        Self { requests: 100_000, prompt: Tokens(1_000), answer: Tokens(500), cached: Percent(0), peak: 300, days: 30 };

    fn check(&self) -> Result<(), BadPlan> {
        if self.cached.0 > 100 {
            return Err(BadPlan::Cached(self.cached));
        }
        if !(100..=100_000).contains(&self.peak) {
            return Err(BadPlan::Peak(self.peak));
        }
        if !(1..=366).contains(&self.days) {
            return Err(BadPlan::Days(self.days));
        }
        Ok(())
    }

    /// What it costs where all of it is answered by one.
    ///
    /// # Errors
    /// A number that cannot be, or that does not fit.
    pub fn bill(&self, offer: &Offer) -> Result<Bill, BadPlan> {
        self.check()?;
        self.of(self.requests, offer)
    }

    /// What it costs where each tier answers its share.
    ///
    /// # Errors
    /// A number that cannot be, or that does not fit.
    pub fn route(&self, tiers: &[Tier]) -> Result<Routed, BadPlan> {
        self.check()?;
        let sum = tiers.iter().map(|tier| u64::from(tier.share.0)).sum();
        if sum != 100 {
            return Err(BadPlan::Shares(sum));
        }
        let mut routed = Routed { tiers: Vec::new(), all: Bill::none(), dearest: (0, Bill::none()), saved: 0 };
        let (mut shares, mut given) = (0, 0);
        for (place, tier) in tiers.iter().enumerate() {
            shares += u128::from(tier.share.0);
            // Of the sum of shares, so that what does not divide is given to somebody.
            let until = u64::try_from(u128::from(self.requests) * shares / 100).unwrap_or(self.requests);
            let bill = self.of(until - given, &tier.offer)?;
            given = until;
            routed.all.add(&bill).ok_or(BadPlan::TooMuch(self.requests))?;
            routed.tiers.push(bill);
            let alone = self.of(self.requests, &tier.offer)?;
            if alone.day > routed.dearest.1.day {
                routed.dearest = (place, alone);
            }
        }
        let dearest = u128::from(routed.dearest.1.day.0);
        let less = dearest.saturating_sub(routed.all.day.0.into());
        routed.saved = less.saturating_mul(10_000).checked_div(dearest).map_or(0, clamp);
        Ok(routed)
    }

    fn of(&self, requests: u64, offer: &Offer) -> Result<Bill, BadPlan> {
        let too_much = BadPlan::TooMuch(self.requests);
        let times = |tokens: Tokens| requests.checked_mul(tokens.0).ok_or(too_much);
        let (prompt, answer) = (times(self.prompt)?, times(self.answer)?);
        let cached = clamp(u128::from(prompt) * u128::from(self.cached.0) / 100);
        let (day, need) = match offer {
            Offer::Price(price) => {
                let day = price.cost(Tokens(prompt), Tokens(cached), Tokens(answer)).map_err(|_| too_much)?;
                (day, None)
            }
            Offer::Own { hardware, units } => {
                let need = self.need(prompt - cached, answer, hardware, *units);
                let hours = need.units.checked_mul(24 * u64::from(hardware.gpus)).ok_or(too_much)?;
                (Nanos(hardware.gpu_hour.0.0.checked_mul(hours).ok_or(too_much)?), Some(need))
            }
        };
        let month = day.0.checked_mul(self.days.into()).map(Nanos).ok_or(too_much)?;
        Ok(Bill { requests, day, month, need })
    }

    /// For so many tokens a day.
    fn need(&self, prompt: u64, answer: u64, hardware: &Hardware, units: Option<u64>) -> Need {
        let (prompt, answer, peak) = (u128::from(prompt), u128::from(answer), u128::from(self.peak));
        let (prefill, decode) = (u128::from(hardware.prefill.max(1)), u128::from(hardware.decode.max(1)));
        // Seconds of a unit in a day are work / whole.
        let work = prompt.saturating_mul(decode).saturating_add(answer.saturating_mul(prefill));
        let whole = prefill * decode * u128::from(DAY);
        let at_peak = |tokens: u128| Tokens(clamp(tokens.saturating_mul(peak).div_ceil(100 * u128::from(DAY))));
        let enough = clamp(work.saturating_mul(peak).div_ceil(100 * whole)).max(1);
        let units = units.unwrap_or(enough).max(1);
        let whole = whole.saturating_mul(units.into());
        Need {
            prefill: at_peak(prompt),
            decode: at_peak(answer),
            units,
            enough,
            mean: clamp(work.saturating_mul(10_000).div_ceil(whole)),
            peak: clamp(work.saturating_mul(peak).saturating_mul(100).div_ceil(whole)),
        }
    }
}

fn clamp(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Bill {
    const fn none() -> Self {
        Self { requests: 0, day: Nanos(0), month: Nanos(0), need: None }
    }

    fn add(&mut self, other: &Self) -> Option<()> {
        self.requests = self.requests.checked_add(other.requests)?;
        self.day = self.day.checked_add(other.day)?;
        self.month = self.month.checked_add(other.month)?;
        Some(())
    }
}

#[cfg(test)]
mod tests;
