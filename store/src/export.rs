//! Usage as tables for people and programs: CSV and JSON lines.
//!
//! Rules: the columns and their order are a promise. Times are RFC 3339 in UTC, money is decimal text of the
//! cluster's unit. In CSV a text that a spreadsheet would take for a formula gets a `'` in front; JSON has texts as
//! they are.

use std::io;

use protocol::account::UsageRecord;
use protocol::money::Money;
use protocol::units::UnixMillis;
use serde::Serialize;

use crate::error::StoreError;
use crate::report::date;

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

/// Usage cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be written.
    #[error("the export cannot be written: {0}; check the disk, or who reads it")]
    Write(#[from] io::Error),
    /// A record has a time that cannot be written.
    #[error(transparent)]
    Record(#[from] StoreError),
}

/// Writes usage as CSV, with a line of column names first.
pub struct CsvExport<'a> {
    out: csv::Writer<&'a mut dyn io::Write>,
}

impl std::fmt::Debug for CsvExport<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsvExport").finish_non_exhaustive()
    }
}

impl<'a> CsvExport<'a> {
    /// Writes the column names.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn new(out: &'a mut dyn io::Write) -> Result<Self, ExportError> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(COLUMNS).map_err(io::Error::from)?;
        Ok(Self { out })
    }

    /// Writes a record.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, record: &UsageRecord) -> Result<(), ExportError> {
        let row = Row::of(record)?;
        let text = |text: Option<&str>| harmless(text.unwrap_or_default());
        // Written one below the other, so that a column more does not compile without its name.
        let fields: [String; COLUMNS.len()] = [
            row.at,
            row.request,
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
        ];
        self.out.write_record(&fields).map_err(io::Error::from)?;
        Ok(())
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> Result<(), ExportError> {
        Ok(self.out.flush()?)
    }
}

/// Writes usage as CSV.
///
/// # Errors
/// It cannot be written.
pub fn csv<'r>(records: impl IntoIterator<Item = &'r UsageRecord>, out: &mut dyn io::Write) -> Result<(), ExportError> {
    let mut export = CsvExport::new(out)?;
    records.into_iter().try_for_each(|record| export.write(record))?;
    export.finish()
}

/// Writes usage as JSON, an object on each line. What a record does not have is null.
///
/// # Errors
/// It cannot be written.
pub fn json_lines<'r>(
    records: impl IntoIterator<Item = &'r UsageRecord>,
    out: &mut dyn io::Write,
) -> Result<(), ExportError> {
    for record in records {
        serde_json::to_writer(&mut *out, &Row::of(record)?).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// A record as it is shown: the fields are [`COLUMNS`].
#[derive(Serialize)]
struct Row<'r> {
    at: String,
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
    reserved: Money,
    cost: Money,
    disputed: Money,
    outcome: &'static str,
}

impl<'r> Row<'r> {
    fn of(record: &'r UsageRecord) -> Result<Self, StoreError> {
        let subject = &record.subject;
        Ok(Self {
            at: moment(record.at)?,
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
            reserved: Money(record.reserved),
            cost: Money(record.cost),
            disputed: Money(record.disputed),
            outcome: record.outcome.as_str(),
        })
    }
}

/// Tags in one field: `;` between them, and `\` before one that is in a tag.
fn joined(tags: &[String]) -> String {
    let tags: Vec<_> = tags.iter().map(|tag| tag.replace('\\', "\\\\").replace(';', "\\;")).collect();
    tags.join(";")
}

/// The text, with a `'` in front if a spreadsheet would compute it.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}") } else { text.to_owned() }
}

/// A moment as RFC 3339 in UTC, with milliseconds.
fn moment(at: UnixMillis) -> Result<String, StoreError> {
    let at = date(at)?;
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second, milli) = at.to_hms_milli();
    Ok(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
}

#[cfg(test)]
mod tests;
