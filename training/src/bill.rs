//! What the reference workload costs.

use std::fmt;

use protocol::money::{Money, Price, TooCostly};
use protocol::units::{Nanos, Tokens};

/// A day's requests and what a million tokens cost.
#[derive(Clone, Copy, Debug, PartialEq, clap::Args)]
pub struct Workload {
    /// Requests a day.
    #[arg(long, default_value_t = 100_000)]
    requests: u32,
    /// Tokens of a prompt.
    #[arg(long, default_value_t = 1000)]
    prompt_tokens: u64,
    /// Tokens of an answer.
    #[arg(long, default_value_t = 500)]
    answer_tokens: u64,
    /// What a million tokens of the small model cost, of prompt and answer alike; by default what the data's list
    /// of candidates says of qwen2.5-7b-instruct and llama-3.1-8b-instruct.
    #[arg(long, default_value = "0.20")]
    small_price: Money,
    /// The same of the large model; by default what that list says of both nemotron models of 49 and 51 billion.
    #[arg(long, default_value = "0.90")]
    large_price: Money,
}

/// A day's cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bill {
    /// Of this routing.
    pub cost: f64,
    /// Had everything gone to the large tier.
    pub large: f64,
}

impl Bill {
    /// How much cheaper than all-large, in 0..1.
    pub fn saved(&self) -> f64 {
        1.0 - self.cost / self.large
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.2} a day, {:.1} % under ${:.2}", self.cost, 100.0 * self.saved(), self.large)
    }
}

impl Workload {
    /// Checked.
    ///
    /// # Errors
    /// A cost does not fit.
    pub fn check(&self) -> Result<(), TooCostly> {
        self.request(self.small_price).and(self.request(self.large_price)).map(drop)
    }

    fn request(&self, price: Money) -> Result<Nanos, TooCostly> {
        let price = Price { input: price.0, cached: price.0, output: price.0 };
        price.cost(Tokens(self.prompt_tokens), Tokens::ZERO, Tokens(self.answer_tokens))
    }

    /// When such a share goes to the large tier.
    pub fn bill(&self, share: f64) -> Bill {
        // Checked before; what does not fit would cost nothing, and shows as no number.
        let day = |price| self.request(price).map_or(f64::NAN, |cost| cost.0 as f64 / 1e9 * f64::from(self.requests));
        let (small, large) = (day(self.small_price), day(self.large_price));
        Bill { cost: share * large + (1.0 - share) * small, large }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, prompt_tokens, answer_tokens, small_price, large_price } = self;
        write!(
            f,
            "{requests} requests a day of {prompt_tokens} + {answer_tokens} tokens, small ${small_price}, large ${large_price} per million"
        )
    }
}

#[cfg(test)]
mod tests;
