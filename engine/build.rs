//! Says early and clearly that libtorch is missing, and lets programs find it at run time wherever it
//! lies. The rpath in `.cargo/config.toml` finds `.libtorch` even after the checkout has moved; this
//! one finds a libtorch of the user's own, and `.libtorch` from a target folder elsewhere.
//! Used by `engine` and `node`, whose programs and tests link libtorch.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["LIBTORCH", "LIBTORCH_LIB", "LIBTORCH_USE_PYTORCH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        // torch-sys asks the same Python, and says so if it has no PyTorch.
        if let Some(folder) = pytorch() {
            find_at_run_time(&folder);
        }
        return;
    }
    let set = |name| env::var_os(name).map(PathBuf::from);
    let Some(root) = set("LIBTORCH_LIB").or_else(|| set("LIBTORCH")) else {
        return;
    };
    let folder = root.join("lib");
    if folder.is_dir() {
        find_at_run_time(&folder);
    } else {
        println!(
            "cargo::error=no libtorch in {}: run `cargo xtask setup`, or point LIBTORCH to an unpacked libtorch 2.13.0",
            root.display()
        );
    }
}

fn find_at_run_time(folder: &Path) {
    let family = env::var("CARGO_CFG_TARGET_FAMILY").unwrap_or_default();
    if family.split(',').any(|name| name == "unix") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}

/// The library folder of python3's PyTorch.
fn pytorch() -> Option<PathBuf> {
    let script = "import os, torch; print(os.path.join(os.path.dirname(torch.__file__), 'lib'))";
    let output = Command::new("python3").args(["-c", script]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let folder = PathBuf::from(text.trim());
    folder.is_dir().then_some(folder)
}
