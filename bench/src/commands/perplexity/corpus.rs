//! The text: the repository's own Markdown and Rust files.

use std::fs;
use std::path::Path;
use std::process::Command;

use protocol::ids::TokenId;
use text::{Special, Text};

use crate::error::BenchError;

/// The first so many tokens of the repository around the current folder.
///
/// # Errors
/// No repository, a file that cannot be read, or too little text.
pub(super) fn tokens(text: &Text, wanted: usize) -> Result<Vec<TokenId>, BenchError> {
    let mut tokens = Vec::with_capacity(wanted);
    for file in files()? {
        if tokens.len() >= wanted {
            break;
        }
        let words =
            fs::read_to_string(&file).map_err(|source| BenchError::Read { path: Path::new(&file).into(), source })?;
        tokens.extend(text.encode(&words, Special::Plain)?);
    }
    if tokens.len() < wanted {
        return Err(BenchError::Nothing(format!("the repository has {} tokens, {wanted} are wanted", tokens.len())));
    }
    tokens.truncate(wanted);
    Ok(tokens)
}

/// In git's order, so that everybody reads the same.
fn files() -> Result<Vec<String>, BenchError> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--", "*.md", "*.rs"]);
    let output = command.output().map_err(|source| BenchError::Spawn { program: "git".into(), source })?;
    if !output.status.success() {
        let tail = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(BenchError::Child { name: "git ls-files".into(), how: output.status.to_string(), tail });
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}
