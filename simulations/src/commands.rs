//! What a person types: one file per command, each with its options.
//!
//! Rules: files that are named on the command line are written before anything is printed; standard output is written
//! to by [`print`] and `say!` alone, so that a reader who has seen enough and closes the pipe breaks nothing.

use std::io::{self, Write as _};

/// Prints a line, as [`print`] does.
macro_rules! say {
    ($($text:tt)*) => { $crate::commands::print(&format!("{}\n", format_args!($($text)*))) };
}

pub(crate) mod chaos;
pub(crate) mod cost;
pub(crate) mod generate;
pub(crate) mod input;
pub(crate) mod inspect;
pub(crate) mod plan;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod scale;
pub(crate) mod stack;

/// Writes to standard output.
///
/// # Errors
/// It cannot be written to, as when a disk is full.
fn print(text: &str) -> Result<(), crate::Failure> {
    let mut out = io::stdout().lock();
    quiet(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Whoever closes the pipe has read enough, and what else is to be done goes on.
///
/// # Errors
/// Standard output cannot be written to for another reason.
fn quiet(printed: io::Result<()>) -> Result<(), crate::Failure> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

/// Tells people on stderr how far it is; it is nobody's loss where that is closed.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a file, and the folders that it lies in.
///
/// # Errors
/// It cannot be written: one line that names it.
fn write(path: &std::path::Path, text: &str) -> Result<(), crate::Failure> {
    let failed = |error| format!("cannot write {}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    Ok(std::fs::write(path, text).map_err(failed)?)
}

/// The time that passes for whoever waits at the screen. It is told on stderr and is part of no result.
struct Wall(std::time::Instant);

impl Wall {
    #[expect(clippy::disallowed_methods, reason = "for people alone: nothing that is simulated sees it")]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "for people alone: nothing that is simulated sees it")]
    fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
