//! The kernels' tests under AddressSanitizer: `unsafe` code that reads beyond its memory fails here.
//!
//! The sanitizer's flag is not stable, so the compiler is told that it may be used; its runtime comes with
//! Rust as rustup installs it. Where it is not there, the stage says so and is left out.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::checkout::Checkout;

const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(super) fn check(checkout: &Checkout) -> Result<(), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) || !has_runtime() {
        eprintln!("left out: this Rust has no AddressSanitizer runtime for {TARGET}");
        return Ok(());
    }
    let status = checkout
        .cargo()
        .args(["test", "--manifest-path", "engine/alone/Cargo.toml", "--target", TARGET])
        .arg("--target-dir")
        .arg(checkout.root().join("target").join("sanitizer"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zsanitizer=address")
        // What the system keeps until the end of the process is no leak of ours.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the kernels under AddressSanitizer ended with {status}")) }
}

fn has_runtime() -> bool {
    let Ok(output) = Command::new("rustc").args(["--print", "sysroot"]).stderr(Stdio::null()).output() else {
        return false;
    };
    let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let libraries = Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib");
    let Ok(entries) = libraries.read_dir() else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("rt.asan"))
}
