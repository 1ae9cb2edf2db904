//! Usage: as JSON, as JSON lines, as CSV.
//!
//! The columns and their order are a promise. In CSV a text that a spreadsheet would take for a formula gets a `'` in
//! front; JSON has texts as they are.

use std::fmt;
use std::io;
use std::str::FromStr;

use protocol::account::{UsageRecord, shown};
use protocol::manage::UsagePlace;
use protocol::units::UnixMillis;
use serde::Serialize;

use crate::moment::Moment;
use crate::money::Amount;

/// The columns, in their order.
pub const COLUMNS: [&str; 16] = [
    "at",
    "request",
    "key",
    "organisation",
    "team",
    "model",
    "asked",
    "provider",
    "tags",
    "prompt",
    "cached",
    "completion",
    "reserved",
    "cost",
    "disputed",
    "outcome",
];

/// A record as it is shown: the fields are [`COLUMNS`].
#[derive(Debug, Serialize)]
pub struct UsageView<'r> {
    at: Moment,
    request: String,
    key: &'r str,
    organisation: Option<&'r str>,
    team: Option<&'r str>,
    model: &'r str,
    asked: &'r str,
    provider: Option<&'r str>,
    tags: &'r [String],
    prompt: u64,
    cached: u64,
    completion: u64,
    reserved: Amount,
    cost: Amount,
    disputed: Amount,
    outcome: &'static str,
}

impl<'r> From<&'r UsageRecord> for UsageView<'r> {
    fn from(record: &'r UsageRecord) -> Self {
        let subject = &record.subject;
        Self {
            at: Moment(record.at),
            request: record.request.to_string(),
            key: &subject.key,
            organisation: subject.organisation.as_deref(),
            team: subject.team.as_deref(),
            model: &subject.model,
            asked: &record.asked,
            provider: subject.provider.as_deref(),
            tags: &subject.tags,
            prompt: record.prompt.0,
            cached: record.cached.0,
            completion: record.completion.0,
            reserved: Amount(record.reserved),
            cost: Amount(record.cost),
            disputed: Amount(record.disputed),
            outcome: record.outcome.as_str(),
        }
    }
}

/// CSV of these records, with a line of column names if `head`.
///
/// # Errors
/// There is no memory for it.
pub fn csv(records: &[UsageRecord], head: bool) -> io::Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    if head {
        out.write_record(COLUMNS)?;
    }
    for record in records {
        out.write_record(fields(&UsageView::from(record)))?;
    }
    out.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

fn fields(row: &UsageView<'_>) -> [String; COLUMNS.len()] {
    let text = |text: Option<&str>| harmless(text.unwrap_or_default());
    // Written one below the other, so that a column more does not compile without its name.
    [
        row.at.to_string(),
        row.request.clone(),
        text(Some(row.key)),
        text(row.organisation),
        text(row.team),
        text(Some(row.model)),
        text(Some(row.asked)),
        text(row.provider),
        harmless(&joined(row.tags)),
        row.prompt.to_string(),
        row.cached.to_string(),
        row.completion.to_string(),
        row.reserved.to_string(),
        row.cost.to_string(),
        row.disputed.to_string(),
        row.outcome.to_owned(),
    ]
}

/// JSON of these records, an object on each line. What a record does not have is null.
///
/// # Errors
/// There is no memory for it.
pub fn json_lines(records: &[UsageRecord]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    for record in records {
        serde_json::to_writer(&mut out, &UsageView::from(record))?;
        out.push(b'\n');
    }
    Ok(out)
}

/// Tags in one field: `;` between them, and `\` before one that is in a tag.
fn joined(tags: &[String]) -> String {
    let tags: Vec<_> = tags.iter().map(|tag| tag.replace('\\', "\\\\").replace(';', "\\;")).collect();
    tags.join(";")
}

/// The text, with a `'` in front if a spreadsheet would compute it.
fn harmless(text: &str) -> String {
    // Spreadsheets look past white space.
    let first = text.trim_start_matches([' ', '\u{a0}']);
    if first.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// Where to go on, as one word: milliseconds and the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub UsagePlace);

/// A word that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no place among usage records: give the one that the page before named as next")]
pub struct BadPlace(String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.at.0, self.0.request)
    }
}

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let place = || {
            let (at, request) = text.split_once('-')?;
            Some(Self(UsagePlace { at: UnixMillis(at.parse().ok()?), request: request.parse().ok()? }))
        };
        place().ok_or_else(|| BadPlace(shown(text)))
    }
}

#[cfg(test)]
mod tests;
