//! The coordinator as a process of its own, as it runs anywhere else.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::error::BenchError;

/// How long it may take to be ready.
const READY: Duration = Duration::from_secs(30);
/// How often the ready file is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Linux counts CPU time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);
const LOG_TAIL: usize = 20;
/// Any free port.
pub(crate) const ANYWHERE: &str = "127.0.0.1:0";

/// A running coordinator. Dropping kills it.
#[derive(Debug)]
pub(crate) struct Coordinator {
    child: Child,
    pub(crate) reach: Reach,
}

/// Where it says that it can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) http: String,
    pub(crate) quic: String,
    pub(crate) key: String,
    pub(crate) token: PathBuf,
}

impl Coordinator {
    /// Starts it with its state in `folder`, and waits for its ready file.
    ///
    /// # Errors
    /// It cannot be started, or is not ready in time.
    pub(crate) async fn start(
        program: &Path,
        folder: &Path,
        config: &Path,
        http: &str,
        quic: &str,
    ) -> Result<Self, BenchError> {
        let (ready, log) = (folder.join("ready.json"), folder.join("coordinator.log"));
        drop(fs::remove_file(&ready));
        let file = |source| BenchError::File { path: log.clone(), source };
        let out = File::options().create(true).append(true).open(&log).map_err(file)?;
        let err = out.try_clone().map_err(file)?;
        let mut command = Command::new(program);
        command.current_dir(folder).arg("--config").arg(config).arg("--state").arg(folder.join("coordinator"));
        command.args(["--http", http, "--quic", quic]).arg("--ready-file").arg(&ready).env_remove("RUST_LOG");
        let spawned = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let mut child = spawned.map_err(|source| BenchError::Program { path: program.to_owned(), source })?;
        let begun = Instant::now();
        let reach = loop {
            if let Some(reach) = read_ready(&ready)? {
                break reach;
            }
            if let Some(status) = child.try_wait()? {
                return Err(BenchError::Ended { how: status.to_string(), tail: tail(&log) });
            }
            if begun.elapsed() > READY {
                drop(child.kill());
                return Err(BenchError::TooLate {
                    what: "the coordinator's start".to_owned(),
                    seconds: READY.as_secs(),
                });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        Ok(Self { child, reach })
    }

    /// Ends it at once, as a power cut does.
    ///
    /// # Errors
    /// The system does not let us.
    pub(crate) fn kill(&mut self) -> Result<(), BenchError> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The CPU time that it has used, in its own code and in the kernel's.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub(crate) fn cpu(&self) -> Result<Duration, BenchError> {
        let id = self.child.id();
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).map_err(|_| BenchError::Process(id))?;
        ticks(&stat).map(|ticks| TICK * ticks).ok_or(BenchError::Process(id))
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.kill());
    }
}

/// The program of this name in the folder of this one.
///
/// # Errors
/// The system does not say where this program lies.
pub(crate) fn beside(name: &str) -> Result<PathBuf, BenchError> {
    let mut path = std::env::current_exe()?;
    path.set_file_name(name);
    Ok(path)
}

/// `utime` and `stime`; the name before them may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

/// Where the coordinator is; none while the file is not there.
fn read_ready(path: &Path) -> Result<Option<Reach>, BenchError> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(None) };
    let Ok(value) = serde_json::from_str::<Value>(&text) else { return Ok(None) };
    let field = |name: &'static str| {
        value.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(BenchError::ReadyFile(name))
    };
    let path = PathBuf::from(field("admin_key_file")?);
    let key = fs::read_to_string(&path).map_err(|source| BenchError::File { path, source })?;
    let (http, quic, token) = (field("http")?, field("quic")?, field("join_token_file")?.into());
    Ok(Some(Reach { http, quic, key: key.trim().to_owned(), token }))
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_TAIL)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "71 (troupe) co) S 1 71 71 0 -1 4194560 900 0 0 0 120 45 0 0 20 0 5 0 8000 1 2";
        assert_eq!(ticks(stat), Some(165));
        assert_eq!(ticks("71 (cut"), None);
    }
}
