//! Questions about usage, and sums.
//!
//! Rules: sums are exact or an error; days are those of UTC. A subject's tags count each once.

use std::collections::{BTreeMap, BTreeSet};

use protocol::account::{Subject, UsageRecord};
use protocol::manage::{UsagePlace, UsageQuery};
use protocol::units::{ByteSize, Nanos, Tokens, UnixMillis};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::StoreError;

/// Records in a page, if nobody says how many.
pub const DEFAULT_PAGE: u32 = 100;
/// The most records in a page.
pub const MAX_PAGE: u32 = 10_000;
/// The most records that are looked at for a page.
pub const MAX_SCAN: u32 = 200_000;
/// The last millisecond of the year 9999: what comes later has no date in reports.
pub(crate) const LAST_MOMENT: u64 = 253_402_300_799_999;

const DAY: u64 = 86_400_000;

/// Some usage records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsagePage {
    /// The oldest first. Can be empty where `next` is not, if none of those looked at matched.
    pub records: Vec<UsageRecord>,
    /// Where to go on, if there may be more.
    pub next: Option<UsagePlace>,
}

/// What is summed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grouping {
    /// Each key, by id.
    Key,
    /// Each model that answered.
    Model,
    /// Each provider; the cluster's own nodes under the empty name.
    Provider,
    /// Each tag; a request counts under all its tags, those without one under the empty name.
    Tag,
    /// Each organisation; keys of none under the empty name.
    Organisation,
    /// Each team, as `organisation/team`; keys of none under the empty name.
    Team,
    /// Each day in UTC, as `2026-11-28`.
    Day,
}

/// A sum of usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// How many.
    pub requests: u64,
    /// Their prompt tokens, cached ones among them.
    pub prompt: Tokens,
    /// Prompt tokens that came from a cache.
    pub cached: Tokens,
    /// Answer tokens.
    pub completion: Tokens,
    /// What they cost.
    pub cost: Nanos,
}

impl Total {
    /// Both together, or none if it does not fit.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            requests: self.requests.checked_add(other.requests)?,
            prompt: self.prompt.checked_add(other.prompt)?,
            cached: self.cached.checked_add(other.cached)?,
            completion: self.completion.checked_add(other.completion)?,
            cost: self.cost.checked_add(other.cost)?,
        })
    }
}

impl From<&UsageRecord> for Total {
    fn from(record: &UsageRecord) -> Self {
        Self {
            requests: 1,
            prompt: record.prompt,
            cached: record.cached,
            completion: record.completion,
            cost: record.cost,
        }
    }
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Records that were folded.
    pub records: u64,
    /// Totals of a day and a subject that are new.
    pub totals: u64,
    /// What the file is smaller by.
    pub freed: ByteSize,
}

/// A day of UTC: so many after 1970 began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(pub(crate) u32);

impl Day {
    /// That of a moment; moments beyond [`LAST_MOMENT`] count as its.
    pub(crate) fn of(at: UnixMillis) -> Self {
        Self(u32::try_from(at.0.min(LAST_MOMENT) / DAY).unwrap_or(u32::MAX))
    }

    /// When it begins.
    pub(crate) fn start(self) -> UnixMillis {
        UnixMillis(u64::from(self.0) * DAY)
    }

    /// Whether it counts in a span.
    pub(crate) fn within(self, since: Option<UnixMillis>, until: Option<UnixMillis>) -> bool {
        since.is_none_or(|since| self.start() >= since) && until.is_none_or(|until| self.start() < until)
    }
}

/// A moment's date and time in UTC.
///
/// # Errors
/// It is after the year 9999.
pub(crate) fn date(at: UnixMillis) -> Result<OffsetDateTime, StoreError> {
    let far = || StoreError::Far(at);
    if at.0 > LAST_MOMENT {
        return Err(far());
    }
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).map_err(|_| far())
}

/// What a record is folded under: its subject, with its tags in order and each once.
pub(crate) fn folded(subject: &Subject) -> Subject {
    let tags: BTreeSet<_> = subject.tags.iter().cloned().collect();
    Subject { tags: tags.into_iter().collect(), ..subject.clone() }
}

/// Sums in the making.
#[derive(Debug)]
pub(crate) struct Sums {
    by: Grouping,
    sums: BTreeMap<String, Total>,
}

impl Sums {
    pub(crate) fn new(by: Grouping) -> Self {
        Self { by, sums: BTreeMap::new() }
    }

    /// # Errors
    /// A sum does not fit.
    pub(crate) fn add(&mut self, day: Day, subject: &Subject, more: &Total) -> Result<(), StoreError> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        match self.by {
            Grouping::Key => self.under(subject.key.clone(), more),
            Grouping::Model => self.under(subject.model.clone(), more),
            Grouping::Provider => self.under(text(&subject.provider), more),
            Grouping::Organisation => self.under(text(&subject.organisation), more),
            Grouping::Team => match (&subject.organisation, &subject.team) {
                (_, None) => self.under(String::new(), more),
                (None, Some(team)) => self.under(team.clone(), more),
                (Some(organisation), Some(team)) => self.under(format!("{organisation}/{team}"), more),
            },
            Grouping::Day => {
                let date = date(day.start())?.date();
                self.under(format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day()), more)
            }
            Grouping::Tag if subject.tags.is_empty() => self.under(String::new(), more),
            Grouping::Tag => {
                let tags: BTreeSet<_> = subject.tags.iter().collect();
                tags.into_iter().try_for_each(|tag| self.under(tag.clone(), more))
            }
        }
    }

    fn under(&mut self, label: String, more: &Total) -> Result<(), StoreError> {
        let sum = self.sums.get(&label).copied().unwrap_or_default();
        let Some(sum) = sum.checked_add(more) else { return Err(StoreError::Overflow { label }) };
        self.sums.insert(label, sum);
        Ok(())
    }

    pub(crate) fn done(self) -> BTreeMap<String, Total> {
        self.sums
    }
}

/// Where to begin, and where to stop, for a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first place that may count.
    pub(crate) from: UsagePlace,
    /// That place itself does not.
    pub(crate) beyond: bool,
    /// The first moment that does not count.
    pub(crate) until: Option<UnixMillis>,
}

impl Span {
    pub(crate) fn of(query: &UsageQuery) -> Self {
        let since = UsagePlace { at: query.since.unwrap_or_default(), ..UsagePlace::default() };
        match query.after {
            Some(after) if after >= since => Self { from: after, beyond: true, until: query.until },
            _ => Self { from: since, beyond: false, until: query.until },
        }
    }

    pub(crate) fn ended(&self, place: UsagePlace) -> bool {
        self.until.is_some_and(|until| place.at >= until)
    }
}

/// A page in the making: it is shown the records of its span in their order.
#[derive(Debug)]
pub(crate) struct Paging<'a> {
    query: &'a UsageQuery,
    limit: usize,
    left: u32,
    last: Option<UsagePlace>,
    page: UsagePage,
}

impl<'a> Paging<'a> {
    pub(crate) fn new(query: &'a UsageQuery) -> Self {
        let limit = if query.limit == 0 { DEFAULT_PAGE } else { query.limit.min(MAX_PAGE) };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { query, limit, left: MAX_SCAN, last: None, page: UsagePage::default() }
    }

    /// Whether the page is full, so that the record that would come next is not looked at.
    pub(crate) fn full(&mut self) -> bool {
        let full = self.page.records.len() >= self.limit || self.left == 0;
        if full {
            self.page.next = self.last;
        }
        full
    }

    pub(crate) fn show(&mut self, record: UsageRecord) {
        self.left = self.left.saturating_sub(1);
        self.last = Some(UsagePlace { at: record.at, request: record.request });
        let (query, subject) = (self.query, &record.subject);
        if query.key.as_ref().is_none_or(|key| *key == subject.key)
            && query.model.as_ref().is_none_or(|model| *model == subject.model)
            && query.tag.as_ref().is_none_or(|tag| subject.tags.contains(tag))
        {
            self.page.records.push(record);
        }
    }

    pub(crate) fn done(self) -> UsagePage {
        self.page
    }
}

#[cfg(test)]
mod tests;
