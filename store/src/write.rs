//! What is written, and what can never be.
//!
//! Rules: a write is data, fit for a replicated log; the bounds here are wide and guard the store alone. What
//! is sensible for a key or a tag is decided where it comes in.

use protocol::account::{Budget, KeyRecord, Spent, Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::money::Price;
use serde::{Deserialize, Serialize};

use crate::hard::OpenReservation;
use crate::report::LAST_MOMENT;

/// The most writes in a batch.
pub const MAX_WRITES: usize = 10_000;
/// The longest name, in bytes: of a key, a budget, a model, a tag.
pub const MAX_NAME: usize = 512;
/// The largest value, in bytes, and the largest batch is four of them.
pub const MAX_SIZE: usize = 4 << 20;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// A key, new or in place of the one with its id.
    PutKey(KeyRecord),
    /// A budget, new or in place of the one with its id; what was spent of it stays.
    PutBudget(Budget),
    /// A budget is no more, nor what was spent of it.
    RemoveBudget(String),
    /// What was spent of a budget, in place of what was said before.
    Spent(Spent),
    /// A price, new or in place of the one with its name.
    PutPrice {
        /// `model`, or `provider/model`.
        name: String,
        /// What it costs.
        price: Price,
    },
    /// A price is no more.
    RemovePrice(String),
    /// What a request has used. Skipped if its usage was recorded before.
    Usage(UsageRecord),
    /// A reservation, new or in place of that of the same request. Skipped if the request's usage was recorded:
    /// what is settled cannot be reserved by a late replay.
    Open(OpenReservation),
    /// A reservation is no more, if there was one.
    Close(RequestId),
    /// The state of some part, new or in place of the one with its name.
    PutBlob {
        /// Its name.
        name: String,
        /// The state, as that part encodes it.
        bytes: Vec<u8>,
    },
    /// The state of some part is no more.
    RemoveBlob(String),
}

/// What came of a batch that is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Requests whose usage was recorded before, so that a write about them was skipped; in the batch's order.
    pub duplicates: Vec<RequestId>,
    /// The places in the batch, from 0, of the writes that were skipped; one for each of `duplicates`.
    pub skipped: Vec<usize>,
}

impl Receipt {
    pub(crate) fn skip(&mut self, place: usize, request: RequestId) {
        self.duplicates.push(request);
        self.skipped.push(place);
    }

    /// The part of the receipt that is about the writes from `start`, `len` of them, as if they had been a batch.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        let mut part = Self::default();
        for (place, request) in self.skipped.iter().zip(&self.duplicates) {
            if let Some(inner) = place.checked_sub(start).filter(|inner| *inner < len) {
                part.skip(inner, *request);
            }
        }
        part
    }
}

/// A batch that can never be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    /// Too many writes.
    #[error("a batch of {0} writes: commit at most {MAX_WRITES} at once")]
    Long(usize),
    /// Too many bytes.
    #[error("a batch of about {0} bytes: commit at most {limit} at once", limit = 4 * MAX_SIZE)]
    Large(usize),
    /// A name that is none.
    #[error("write {place} has an empty {what}: give it a name")]
    Unnamed {
        /// Its place in the batch, from 0.
        place: usize,
        /// What is empty.
        what: &'static str,
    },
    /// A name that is too long.
    #[error("write {place} has a {what} of {bytes} bytes: give at most {MAX_NAME}")]
    LongName {
        /// Its place in the batch, from 0.
        place: usize,
        /// What is too long.
        what: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// A value that is too large.
    #[error("write {place} has {bytes} bytes: keep at most {MAX_SIZE}, and fewer tags or names where it is a record")]
    LargeValue {
        /// Its place in the batch, from 0.
        place: usize,
        /// About how many.
        bytes: usize,
    },
    /// A moment after the year 9999.
    #[error("write {place} is of {at} ms after 1970, which is after the year 9999: set the clock")]
    Far {
        /// Its place in the batch, from 0.
        place: usize,
        /// The moment.
        at: u64,
    },
}

/// Whether a batch can be taken at all.
///
/// # Errors
/// Why it never can.
pub(crate) fn check(batch: &[Write]) -> Result<(), BadBatch> {
    if batch.len() > MAX_WRITES {
        return Err(BadBatch::Long(batch.len()));
    }
    let mut all = 0;
    for (place, write) in batch.iter().enumerate() {
        let bytes = Checked { place, bytes: 64 }.write(write)?;
        if bytes > MAX_SIZE {
            return Err(BadBatch::LargeValue { place, bytes });
        }
        all += bytes;
    }
    if all > 4 * MAX_SIZE { Err(BadBatch::Large(all)) } else { Ok(()) }
}

/// One write under check, and about how many bytes it has.
struct Checked {
    place: usize,
    bytes: usize,
}

impl Checked {
    fn write(mut self, write: &Write) -> Result<usize, BadBatch> {
        match write {
            Write::PutKey(record) => {
                self.name("key id", &record.id)?;
                self.key(record)?;
            }
            Write::PutBudget(budget) => self.budget(budget)?,
            Write::RemoveBudget(id) => self.name("budget id", id)?,
            Write::Spent(spent) => self.name("budget id", &spent.budget)?,
            Write::PutPrice { name, .. } | Write::RemovePrice(name) => self.name("price name", name)?,
            Write::Usage(record) => {
                self.moment(record.at.0)?;
                self.subject(&record.subject)?;
                self.text("model", &record.asked)?;
            }
            Write::Open(open) => self.subject(&open.subject)?,
            Write::Close(_) => {}
            Write::PutBlob { name, bytes } => {
                self.name("blob name", name)?;
                self.bytes += bytes.len();
            }
            Write::RemoveBlob(name) => self.name("blob name", name)?,
        }
        Ok(self.bytes)
    }

    fn key(&mut self, record: &KeyRecord) -> Result<(), BadBatch> {
        let settings = &record.settings;
        self.text("key name", &settings.name)?;
        self.optional("organisation", settings.organisation.as_ref())?;
        self.optional("team", settings.team.as_ref())?;
        self.all("model", &settings.models)?;
        self.all("tag", &settings.tags)?;
        self.all("guardrail", &settings.guardrails)?;
        for (model, others) in &settings.fallbacks {
            self.text("model", model)?;
            self.all("model", others)?;
        }
        Ok(())
    }

    fn budget(&mut self, budget: &Budget) -> Result<(), BadBatch> {
        self.name("budget id", &budget.id)?;
        self.bytes += budget.alerts.len();
        let scope = &budget.scope;
        self.optional("organisation", scope.organisation.as_ref())?;
        self.optional("team", scope.team.as_ref())?;
        self.optional("key id", scope.key.as_ref())?;
        self.optional("model", scope.model.as_ref())?;
        self.optional("tag", scope.tag.as_ref())?;
        self.optional("provider", scope.provider.as_ref())?;
        self.optional("zone", budget.window.zone.as_ref())
    }

    fn subject(&mut self, subject: &Subject) -> Result<(), BadBatch> {
        self.optional("organisation", subject.organisation.as_ref())?;
        self.optional("team", subject.team.as_ref())?;
        self.text("key id", &subject.key)?;
        self.text("model", &subject.model)?;
        self.optional("provider", subject.provider.as_ref())?;
        self.all("tag", &subject.tags)
    }

    fn all(&mut self, what: &'static str, texts: &[String]) -> Result<(), BadBatch> {
        texts.iter().try_for_each(|text| self.text(what, text))
    }

    fn optional(&mut self, what: &'static str, text: Option<&String>) -> Result<(), BadBatch> {
        text.map_or(Ok(()), |text| self.text(what, text))
    }

    fn name(&mut self, what: &'static str, text: &str) -> Result<(), BadBatch> {
        if text.is_empty() {
            return Err(BadBatch::Unnamed { place: self.place, what });
        }
        self.text(what, text)
    }

    fn text(&mut self, what: &'static str, text: &str) -> Result<(), BadBatch> {
        let bytes = text.len();
        self.bytes += bytes + 8;
        if bytes > MAX_NAME {
            return Err(BadBatch::LongName { place: self.place, what, bytes });
        }
        Ok(())
    }

    fn moment(&self, at: u64) -> Result<(), BadBatch> {
        if at > LAST_MOMENT { Err(BadBatch::Far { place: self.place, at }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
