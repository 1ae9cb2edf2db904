//! From a [`Trace`] to a file in Mooncake's format, which [`super::read`] reads back as it was.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::mooncake::{IDS, INPUT, OUTPUT, SESSION, TIME};
use super::{Request, Trace, TraceError};

/// Writes a trace to a file; what was there is replaced.
///
/// # Errors
/// The file cannot be written.
pub fn save(trace: &Trace, path: &Path) -> Result<(), TraceError> {
    let write = || {
        let mut out = BufWriter::new(File::create(path)?);
        write(trace, &mut out)?;
        out.flush()
    };
    write().map_err(|source| TraceError::Write { file: path.to_owned(), source })
}

/// Writes a trace, a request a line. Fields that say nothing are left out.
///
/// # Errors
/// What the writer says.
pub fn write(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    trace.requests.iter().try_for_each(|request| line(request, out))
}

fn line(request: &Request, out: &mut impl Write) -> io::Result<()> {
    let micros = request.at.as_micros();
    write!(out, "{{\"{TIME}\": {}", micros / 1000)?;
    if !micros.is_multiple_of(1000) {
        let part = format!("{:03}", micros % 1000);
        write!(out, ".{}", part.trim_end_matches('0'))?;
    }
    write!(out, ", \"{INPUT}\": {}, \"{OUTPUT}\": {}", request.input.0, request.output.0)?;
    for (at, id) in request.blocks.iter().enumerate() {
        match at {
            0 => write!(out, ", \"{IDS}\": [{id}")?,
            _ => write!(out, ", {id}")?,
        }
    }
    if !request.blocks.is_empty() {
        write!(out, "]")?;
    }
    if let Some(session) = request.session {
        write!(out, ", \"{SESSION}\": {session}")?;
    }
    writeln!(out, "}}")
}
