//! The programs under test: built once per test process, from the checkout as it is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The model that real answers come from, seen from the checkout.
const MODEL: &str = ".models/SmolLM2-135M-Instruct.Q4_1.gguf";

/// The checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The real model's file.
///
/// # Panics
/// It is not there.
pub fn model() -> PathBuf {
    let path = checkout().join(MODEL);
    assert!(path.exists(), "{} is missing: run `cargo xtask setup`", path.display());
    path
}

/// A program, built now if it is not fresh.
///
/// # Panics
/// It does not build.
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

/// Builds all programs for the profile that this test was built for. The selection is that of `cargo
/// xtask test`: another one would unite features otherwise, and compile everything again.
fn build() -> PathBuf {
    // Tests lie in a folder `deps` beside the programs, programs do not.
    let here = std::env::current_exe().ok().and_then(|test| Some(test.parent()?.to_owned()));
    let folder =
        here.and_then(|here| if here.ends_with("deps") { Some(here.parent()?.to_owned()) } else { Some(here) });
    let Some(folder) = folder else {
        panic!("the system does not say where this test lies");
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout()).args(["build", "--quiet", "--workspace", "--bins", "--examples"]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    match cargo.status() {
        Ok(status) if status.success() => folder,
        Ok(status) => panic!("the programs under test do not build ({status}): see cargo's messages"),
        Err(error) => panic!("cargo cannot be started: {error}"),
    }
}
