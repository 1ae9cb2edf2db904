//! Which tools are here. Looked up in PATH without starting them, so that it costs nothing.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::SetupError;

/// torch-sys compiles C++: `CXX`, or the system's `c++`.
///
/// # Errors
/// Neither is there.
pub(crate) fn check_compiler() -> Result<(), SetupError> {
    let named = env::var("CXX").ok().filter(|name| !name.trim().is_empty());
    let name = named.as_deref().and_then(|name| name.split_whitespace().next()).unwrap_or("c++");
    if in_path(name) { Ok(()) } else { Err(SetupError::NoCompiler(name.to_owned())) }
}

/// Python 3 with pip, which downloads.
///
/// # Errors
/// One of the two is missing.
pub(crate) fn check_python() -> Result<(), SetupError> {
    if !in_path("python3") {
        return Err(SetupError::NoPython);
    }
    let asked = Command::new("python3").args(["-m", "pip", "--version"]).stdin(Stdio::null()).output();
    match asked {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(SetupError::NoPip(words.lines().last().unwrap_or("no answer").to_owned()))
        }
        Err(_) => Err(SetupError::NoPython),
    }
}

fn in_path(name: &str) -> bool {
    if name.contains('/') {
        return Path::new(name).is_file();
    }
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}
