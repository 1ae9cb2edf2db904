//! From a file to a [`Trace`]: which format it is, and what all formats share.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use protocol::units::Tokens;

use super::error::short;
use super::{Request, Trace, TraceError, azure, burst, mooncake};

/// Tokens in a block of Mooncake's traces.
pub const BLOCK: Tokens = Tokens(512);
/// The longest prompt or answer: what is beyond is a mistake.
pub(super) const LONGEST: u64 = 1_000_000;
/// The longest trace, generously.
pub(super) const LONGEST_TIME: Duration = Duration::from_secs(366 * 24 * 3600);
/// Beyond it a float no longer tells microseconds apart; seconds since 1970 lie below.
const MOST_MICROS: f64 = 4e15;

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line: `timestamp` in ms, `input_length`, `output_length`, `hash_ids`, and perhaps `session_id`.
    Mooncake,
    /// CSV: `TIMESTAMP,ContextTokens,GeneratedTokens`, with date and time.
    Azure,
    /// CSV: `Timestamp` in s, `Request tokens`, `Response tokens` and more; perhaps `Session ID`.
    BurstGpt,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "mooncake" => Ok(Self::Mooncake),
            "azure" => Ok(Self::Azure),
            "burstgpt" => Ok(Self::BurstGpt),
            _ => Err(format!("'{}' is no format of traces: one of mooncake, azure, burstgpt", short(text))),
        }
    }
}

/// How a trace is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// How it is written; guessed if absent.
    pub format: Option<Format>,
    /// Tokens in a block of `hash_ids`.
    pub block: Tokens,
    /// Whether BurstGPT's failed requests, whose answers have no tokens, are left out instead of refused.
    pub skip_failed: bool,
    /// Not more requests than this are read.
    pub limit: Option<usize>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { format: None, block: BLOCK, skip_failed: false, limit: None }
    }
}

/// Reads a trace; the format is guessed from the content if none is given.
///
/// # Errors
/// The file cannot be read, or holds what no trace can: the message names file, line, field, value and remedy.
pub fn read(path: &Path, format: Option<Format>) -> Result<Trace, TraceError> {
    read_with(path, &ReadOptions { format, ..ReadOptions::default() })
}

/// Reads a trace as the options say.
///
/// # Errors
/// As [`read`].
pub fn read_with(path: &Path, options: &ReadOptions) -> Result<Trace, TraceError> {
    let input = File::open(path).map_err(|source| TraceError::File { file: path.to_owned(), source })?;
    read_from(path, BufReader::new(input), options)
}

/// Reads a trace from anywhere; `path` is for messages and for its name.
///
/// # Errors
/// As [`read`].
pub fn read_from(path: &Path, mut input: impl BufRead, options: &ReadOptions) -> Result<Trace, TraceError> {
    let format = match options.format {
        Some(format) => format,
        None => guess(path, &mut input)?,
    };
    let mut requests = Requests::new(path, options);
    match format {
        Format::Mooncake => mooncake::read(input, &mut requests)?,
        Format::Azure => azure::read(input, &mut requests)?,
        Format::BurstGpt => burst::read(input, &mut requests)?,
    }
    requests.finish()
}

/// The format by the first line that is not blank, as far as it lies in the buffer. Nothing is consumed.
fn guess(path: &Path, input: &mut impl BufRead) -> Result<Format, TraceError> {
    let head = input.fill_buf().map_err(|source| TraceError::File { file: path.to_owned(), source })?;
    let head = String::from_utf8_lossy(head);
    let lines = head.trim_start_matches('\u{feff}').lines().zip(1..);
    let Some((first, line)) = lines.map(|(text, line)| (text.trim(), line)).find(|(text, _)| !text.is_empty()) else {
        return Err(TraceError::Empty { file: path.to_owned() });
    };
    let has = |column: &str| first.split(',').any(|name| name.trim() == column);
    if first.starts_with('{') {
        Ok(Format::Mooncake)
    } else if has(azure::INPUT) {
        Ok(Format::Azure)
    } else if has(burst::INPUT) {
        Ok(Format::BurstGpt)
    } else {
        Err(TraceError::Unknown { file: path.to_owned(), line, begins: short(first) })
    }
}

/// One request as a reader found it.
#[derive(Debug)]
pub(super) struct Found {
    /// Since whatever the file counts from.
    pub(super) at: Duration,
    /// That, as it is written.
    pub(super) written: String,
    pub(super) input: Tokens,
    pub(super) output: Tokens,
    pub(super) blocks: Vec<u64>,
    pub(super) session: Option<u64>,
}

/// The requests read so far. They count from the first, and their times do not run backwards.
#[derive(Debug)]
pub(super) struct Requests<'a> {
    path: &'a Path,
    pub(super) options: &'a ReadOptions,
    requests: Vec<Request>,
    begin: Duration,
    /// Time, as it is written too, and line of the last one.
    last: Option<(Duration, String, u64)>,
}

impl<'a> Requests<'a> {
    fn new(path: &'a Path, options: &'a ReadOptions) -> Self {
        Self { path, options, requests: Vec::new(), begin: Duration::ZERO, last: None }
    }

    /// Whether no more are wanted.
    pub(super) fn is_full(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.requests.len() >= limit)
    }

    /// For messages about a line.
    pub(super) fn place(&self, line: u64) -> Place<'a> {
        Place { path: self.path, line }
    }

    pub(super) fn push(&mut self, place: Place<'_>, field: &'static str, found: Found) -> Result<(), TraceError> {
        if let Some((last, before, above)) = &self.last {
            if found.at < *last {
                return Err(TraceError::Backwards {
                    file: self.path.to_owned(),
                    line: place.line,
                    field,
                    value: short(&found.written),
                    before: short(before),
                    above: *above,
                });
            }
        } else {
            self.begin = found.at;
        }
        let at = found.at.saturating_sub(self.begin);
        if at > LONGEST_TIME {
            return Err(place.field(field, &found.written, "a trace lasts a year at most"));
        }
        self.last = Some((found.at, found.written, place.line));
        let Found { input, output, blocks, session, .. } = found;
        self.requests.push(Request { at, input, output, blocks, session });
        Ok(())
    }

    fn finish(self) -> Result<Trace, TraceError> {
        if self.requests.is_empty() {
            return Err(TraceError::Empty { file: self.path.to_owned() });
        }
        let name = self.path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(Trace { name, block: self.options.block, requests: self.requests })
    }
}

/// A line of a file: for messages about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    path: &'a Path,
    line: u64,
}

impl Place<'_> {
    pub(super) fn file(self, source: io::Error) -> TraceError {
        TraceError::File { file: self.path.to_owned(), source }
    }

    pub(super) fn problem(self, problem: impl Into<String>) -> TraceError {
        TraceError::Line { file: self.path.to_owned(), line: self.line, problem: problem.into() }
    }

    pub(super) fn missing(self, field: &'static str, remedy: &'static str) -> TraceError {
        TraceError::Missing { file: self.path.to_owned(), line: self.line, field, remedy }
    }

    pub(super) fn field(self, field: &'static str, value: &str, remedy: impl Into<String>) -> TraceError {
        TraceError::Field {
            file: self.path.to_owned(),
            line: self.line,
            field,
            value: short(value),
            remedy: remedy.into(),
        }
    }

    /// A number of tokens that a prompt or an answer can have.
    pub(super) fn length(self, field: &'static str, value: &str) -> Result<Tokens, TraceError> {
        match value.trim().parse::<u64>() {
            Ok(0) => Err(self.field(field, value, "give at least 1 token, or leave the line out")),
            Ok(tokens) if tokens <= LONGEST => Ok(Tokens(tokens)),
            Ok(_) => Err(self.field(field, value, format!("give at most {LONGEST} tokens, or leave the line out"))),
            Err(_) => Err(self.field(field, value, "write a whole number of tokens, such as 512")),
        }
    }

    /// A time as a number of units of so many seconds, kept to the microsecond.
    pub(super) fn time(self, field: &'static str, value: &str, seconds: f64) -> Result<Duration, TraceError> {
        let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let Some(number) = number else {
            return Err(self.field(field, value, "write a number, such as 1500"));
        };
        if number < 0.0 {
            return Err(self.field(field, value, "time begins at 0"));
        }
        let micros = (number * (seconds * 1e6)).round();
        if micros > MOST_MICROS {
            return Err(self.field(field, value, "this is no time since the beginning of a trace"));
        }
        Ok(Duration::from_micros(micros as u64))
    }

    pub(super) fn blocks(self, ids: usize, input: Tokens, block: Tokens) -> Result<(), TraceError> {
        let needed = input.blocks(block).0;
        if ids as u64 == needed {
            return Ok(());
        }
        Err(TraceError::Blocks { file: self.path.to_owned(), line: self.line, ids, needed, input, block })
    }
}
