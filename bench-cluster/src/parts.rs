//! What is measured, part by part.

use std::path::PathBuf;

pub(crate) mod cpu;
pub(crate) mod overhead;
pub(crate) mod placements;
pub(crate) mod recovery;
pub(crate) mod sharing;

/// What all parts are measured with.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The coordinator.
    pub(crate) program: PathBuf,
    /// Less of everything.
    pub(crate) quick: bool,
}

/// Says how far it is, where figures do not go.
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}
