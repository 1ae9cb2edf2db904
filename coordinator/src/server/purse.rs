//! The money for one request: what it may cost, who is asked for it, and what is told if there is none.
//!
//! Rules: a price is fixed when the money is set aside, and holds for the whole request. One that has no price is
//! refused or has the stated default, never nothing. Each record of usage has an id of its own: the request's, and
//! for further attempts that were billed, that id with its lowest bits changed.

use std::time::Duration;

use actors::cost::pace::Going;
use actors::cost::{Accounts, Bill, NotReserved, Order};
use policy::ledger::ReserveError;
use policy::limits::Limited;
use policy::prices::Priced;
use protocol::account::Subject;
use protocol::answer::{ErrorKind, JobError};
use protocol::ids::RequestId;
use protocol::money::TooCostly;
use protocol::units::{Nanos, Tokens};
use tokio::time::Instant;

use crate::escrow::PATIENCE;
use crate::pricing::Pricing;
use crate::service::Caller;

/// When it is worth trying again where nobody says.
const RETRY: Duration = Duration::from_secs(1);
/// Nobody is told to come back later than that.
const LATEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// The money for one request.
#[derive(Clone, Debug)]
pub(super) struct Purse {
    accounts: Accounts,
    caller: Caller,
    request: RequestId,
    asked: String,
    tags: Vec<String>,
    /// Attempts that have a record.
    billed: u8,
    /// It counts among the key's requests already.
    admitted: bool,
}

/// What an attempt is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    /// The model's name in the cluster.
    pub(super) model: &'a str,
    /// Who serves it, if no node of the cluster's own does.
    pub(super) provider: Option<&'a str>,
    /// Tokens of the prompt, at most.
    pub(super) prompt: Tokens,
    /// Tokens of all answers, at most.
    pub(super) answers: Tokens,
}

impl Purse {
    pub(super) fn new(accounts: Accounts, caller: Caller, request: RequestId, asked: &str, tags: &[String]) -> Self {
        let mut all = caller.settings.tags.clone();
        all.extend(tags.iter().filter(|tag| !caller.settings.tags.contains(tag)).cloned());
        Self { accounts, caller, request, asked: asked.to_owned(), tags: all, billed: 0, admitted: false }
    }

    /// The id of the record that the next attempt gets.
    pub(super) fn record(&self) -> RequestId {
        RequestId(self.request.0 ^ u128::from(self.billed))
    }

    /// The next attempt is billed beside the last one.
    pub(super) fn next(&mut self) {
        self.billed = self.billed.saturating_add(1);
    }

    fn subject(&self, about: &About<'_>) -> Subject {
        Subject {
            organisation: self.caller.settings.organisation.clone(),
            team: self.caller.settings.team.clone(),
            key: self.caller.key.clone(),
            model: about.model.to_owned(),
            tags: self.tags.clone(),
            provider: about.provider.map(str::to_owned),
        }
    }

    /// Sets aside what an attempt may cost at most. Where another coordinator has the budgets and has granted too
    /// little, waits for more, not beyond `deadline`.
    ///
    /// # Errors
    /// There is no price, no room in a budget, or nothing can be recorded.
    pub(super) async fn reserve(&self, about: About<'_>, priced: &Priced, deadline: Instant) -> Result<Bill, JobError> {
        let bound = bound(priced, &about)?;
        let order = Order {
            request: self.record(),
            subject: self.subject(&about),
            asked: self.asked.clone(),
            price: priced.price,
            bound,
            free: false,
        };
        let patience = deadline.saturating_duration_since(Instant::now()).min(PATIENCE);
        let reserved = self.accounts.reserve_within(order, patience).await;
        reserved.map_err(|error| refused(error, &self.accounts))
    }

    /// Its part of what the key may use in a minute. However many are asked, it is one request.
    ///
    /// # Errors
    /// The key has used up what it may.
    pub(super) fn admit(&mut self, tokens: Tokens) -> Result<Going, JobError> {
        let (pace, key, limits) = (self.accounts.pace(), &self.caller.key, &self.caller.settings.limits);
        let admitted =
            if self.admitted { pace.admit_again(key, limits, tokens) } else { pace.admit(key, limits, tokens) };
        let going = admitted.map_err(limited)?;
        self.admitted = true;
        Ok(going)
    }

    /// How long answers may be together where the client says nothing.
    ///
    /// # Errors
    /// The key's tokens a minute hold less than the prompt.
    pub(super) fn longest(&self, prompt: Tokens, most: Tokens) -> Result<Tokens, JobError> {
        policy::limits::answer(&self.caller.settings.limits, prompt, None, most).map_err(limited)
    }

    /// What a free answer is recorded as: nothing was computed.
    pub(super) fn nothing(&self, model: &str) -> Option<Bill> {
        let about = About { model, provider: None, prompt: Tokens::ZERO, answers: Tokens::ZERO };
        let order = Order {
            request: self.record(),
            subject: self.subject(&about),
            asked: self.asked.clone(),
            price: protocol::money::Price::default(),
            bound: Nanos::ZERO,
            free: true,
        };
        self.accounts.reserve(order).ok()
    }
}

/// Writes down what is set aside: whatever becomes of this coordinator, it counts.
///
/// # Errors
/// It cannot be written; then nobody may be asked.
pub(super) async fn journal(mut bill: Bill) -> Result<Bill, JobError> {
    let Err(error) = bill.journal().await else { return Ok(bill) };
    bill.give_back().await;
    let message = format!("the request cannot be recorded, so nobody is asked: {error}");
    Err(JobError::new(ErrorKind::Overloaded, message).retry_after(RETRY))
}

/// What an attempt costs at most.
pub(super) fn bound(priced: &Priced, about: &About<'_>) -> Result<Nanos, JobError> {
    let bound = policy::prices::upper_bound(&priced.price, about.prompt, about.answers, 1);
    bound.map_err(|TooCostly { completion, .. }| {
        let message = format!("the cost of up to {completion} of answer does not fit: lower max_tokens");
        JobError::new(ErrorKind::Invalid, message).field("max_tokens")
    })
}

/// What a model costs.
pub(super) fn price(pricing: &Pricing, model: &str, provider: Option<&str>) -> Result<Priced, JobError> {
    pricing.of(model, provider).map_err(|error| JobError::new(ErrorKind::Forbidden, error.to_string()).field("model"))
}

/// Why a key may not ask now, for its owner.
pub(super) fn limited(limited: Limited) -> JobError {
    let message = limited.to_string();
    match limited {
        Limited::TooLarge { .. } => JobError::new(ErrorKind::Invalid, message).field("max_tokens"),
        Limited::Nothing { .. } => JobError::new(ErrorKind::Forbidden, message),
        Limited::Used { .. } | Limited::Crowded(_) => {
            let error = JobError::new(ErrorKind::RateLimited, message);
            let error = match limited {
                Limited::Used { which, .. } => error.field(which.field()),
                _ => error,
            };
            error.retry_after(limited.retry_after().unwrap_or(RETRY))
        }
    }
}

fn refused(error: NotReserved, accounts: &Accounts) -> JobError {
    let message = error.to_string();
    match error {
        NotReserved::Ledger(ReserveError::OverBudget { over, .. }) => {
            let error = JobError::new(ErrorKind::OverBudget, message);
            match over.resets {
                Some(resets) => error.retry_after(resets.since(accounts.now()).clamp(RETRY, LATEST)),
                None => error,
            }
        }
        NotReserved::Ledger(ReserveError::Overflow { .. }) => JobError::new(ErrorKind::OverBudget, message),
        NotReserved::Ledger(ReserveError::Duplicate(_) | ReserveError::Unknown(_)) => {
            JobError::new(ErrorKind::Internal, message)
        }
        NotReserved::Ledger(ReserveError::TooMany { .. }) | NotReserved::Store(_) | NotReserved::Escrow(_) => {
            JobError::new(ErrorKind::Overloaded, message).retry_after(RETRY)
        }
    }
}

#[cfg(test)]
mod tests;
