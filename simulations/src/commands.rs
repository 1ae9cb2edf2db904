//! What a person types: one file per command, each with its options.

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
