//! Why a trace cannot be read, in one line: file, line, field, value, and what to do.

use std::io;
use std::path::PathBuf;

use protocol::units::Tokens;

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file itself.
    #[error("{}: cannot be read: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that cannot be written.
    #[error("{}: cannot be written: {source}", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing is in it.
    #[error("{}: has no requests: give a trace with at least one", file.display())]
    Empty {
        /// Which.
        file: PathBuf,
    },
    /// It looks like none of the formats.
    #[error(
        "{}, line {line}: begins with '{begins}', which no known format does: name the format, one of mooncake, azure, burstgpt",
        file.display()
    )]
    Unknown {
        /// Which.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// Its first characters.
        begins: String,
    },
    /// A line is no request at all.
    #[error("{}, line {line}: {problem}", file.display())]
    Line {
        /// Which.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// A field is missing.
    #[error("{}, line {line}: {field} is missing: {remedy}", file.display())]
    Missing {
        /// Which.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// Its name in the file.
        field: &'static str,
        /// What to write.
        remedy: &'static str,
    },
    /// A field cannot be what it says.
    #[error("{}, line {line}: {field} is {value}: {remedy}", file.display())]
    Field {
        /// Which.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// Its name in the file.
        field: &'static str,
        /// As it is written there, shortened.
        value: String,
        /// What to write instead.
        remedy: String,
    },
    /// The blocks do not cover the prompt.
    #[error(
        "{}, line {line}: hash_ids has {ids} names, but input_length {input} in blocks of {block} needs {needed}: \
         correct one of them, or the block size",
        file.display(), input = input.0
    )]
    Blocks {
        /// Which.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// So many names.
        ids: usize,
        /// So many would do.
        needed: u64,
        /// The prompt.
        input: Tokens,
        /// In one block.
        block: Tokens,
    },
    /// A request comes before the one above it.
    #[error(
        "{}, line {line}: {field} is {value}, earlier than {before} in line {above}: sort the trace by {field}",
        file.display()
    )]
    Backwards {
        /// Which.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// Its name in the file.
        field: &'static str,
        /// As it is written there.
        value: String,
        /// The time before, as it is written there.
        before: String,
        /// Where that is.
        above: u64,
    },
}

/// A value for a message: its beginning, on one line.
pub(super) fn short(text: &str) -> String {
    const MOST: usize = 40;
    let mut short: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        short.push_str("..");
    }
    short
}
