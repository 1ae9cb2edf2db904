//! Why a profile cannot be used, in one line: file, field, value, and what to do.

use std::io;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// None has the name.
    #[error("there is no profile '{name}': take one of {known}, or name a file that ends in .toml")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The file itself.
    #[error("{file}: cannot be read: {source}")]
    File {
        /// Which.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It is not written as a profile is.
    #[error("{file}, line {line}: {problem}")]
    Text {
        /// Which.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A figure no node can have.
    #[error("{file}: {field} is {value}: {remedy}")]
    Field {
        /// Which.
        file: String,
        /// Its key.
        field: &'static str,
        /// What it says.
        value: String,
        /// What to write instead.
        remedy: String,
    },
}
