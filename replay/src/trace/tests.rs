use std::path::Path;

use super::*;

mod bad;
mod forms;
mod made;
mod real;

/// Reads a trace from a text, as a file of this name.
fn read_text(text: &str, options: &ReadOptions) -> Result<Trace, String> {
    read_from(Path::new("t.x"), text.as_bytes(), options).map_err(|error| error.to_string())
}

fn plain(text: &str) -> Result<Trace, String> {
    read_text(text, &ReadOptions::default())
}

/// When the requests of a trace come, in microseconds.
fn times(trace: &Trace) -> Vec<u128> {
    trace.requests.iter().map(|request| request.at.as_micros()).collect()
}
