//! One child process with its log, which ends when we do.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ClusterError;
use crate::clock::Stopwatch;
use crate::{orphan, shell};

const TAIL_LINES: usize = 30;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A process of the cluster.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    line: String,
    child: Child,
    log: PathBuf,
    told: bool,
}

impl Process {
    /// Starts it with its output in `logs/<name>.log`, away from the terminal's Ctrl-C.
    ///
    /// # Errors
    /// No such program, or the log cannot be written.
    pub(crate) fn start(name: &str, mut command: Command, logs: &Path) -> Result<Self, ClusterError> {
        let log = logs.join(format!("{name}.log"));
        let line = shell::line(&command);
        let open = || {
            let out = File::create(&log)?;
            Ok((out.try_clone()?, out))
        };
        let (out, err) = open().map_err(ClusterError::files("cannot write", &log))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        orphan::end_with_parent(&mut command);
        let program = command.get_program().into();
        let child = command.spawn().map_err(|source| ClusterError::Start { program, source })?;
        Ok(Self { name: name.to_owned(), line, child, log, told: false })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The command that started it, as a person can paste it.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// The last lines that it wrote.
    pub(crate) fn tail(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        lines.get(from..).unwrap_or_default().iter().map(|line| format!("  {line}\n")).collect()
    }

    /// # Errors
    /// It has ended.
    pub(crate) fn check(&mut self) -> Result<(), ClusterError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(&status.to_string())),
            Err(error) => Err(self.ended(&error.to_string())),
        }
    }

    fn ended(&self, how: &str) -> ClusterError {
        let (name, log) = (self.name.clone(), self.log.clone());
        ClusterError::Ended { name, how: how.to_owned(), log, tail: self.tail() }
    }

    /// How it ended, the first time that one asks after it did.
    pub(crate) fn news(&mut self) -> Option<String> {
        if self.told {
            return None;
        }
        let status = self.child.try_wait().ok()??;
        self.told = true;
        Some(status.to_string())
    }

    /// SIGTERM, if it still runs.
    pub(crate) fn ask_to_end(&self) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            // It fails only for a process that is gone, which is what we want. Its id is not
            // used again before we have waited for it.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
    }

    /// SIGTERM, then SIGKILL when it takes longer than `patience`. True if it ended well, or had
    /// ended before.
    pub(crate) fn stop(&mut self, patience: Duration) -> bool {
        let watch = Stopwatch::start();
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return true;
        }
        self.ask_to_end();
        while watch.elapsed() < patience {
            if let Ok(Some(status)) = self.child.try_wait() {
                if !status.success() {
                    eprintln!("{} was asked to end and ended badly ({status}):\n{}", self.name, self.tail());
                }
                return status.success();
            }
            pause(LOOK_AGAIN);
        }
        eprintln!("{} did not end within {} s: killed", self.name, patience.as_secs());
        self.kill();
        false
    }

    fn kill(&mut self) {
        // Both fail only for a process that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.kill();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a command that waits for a child of its own; nothing else runs here")]
fn pause(time: Duration) {
    thread::sleep(time);
}

#[cfg(test)]
mod tests;
