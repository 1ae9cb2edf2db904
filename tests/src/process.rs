//! One process under test, its log in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

const TAIL_LINES: usize = 40;

/// One process under test. Dropping kills it, and shows the end of its log if the test fails.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; both its outputs go to `folder/<name>.log`, after what is there already.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let open = || {
            let out = File::options().create(true).append(true).open(&log)?;
            Ok::<_, std::io::Error>((out.try_clone()?, out))
        };
        let child = open().and_then(|(out, err)| command.stdin(Stdio::null()).stdout(out).stderr(err).spawn());
        match child {
            Ok(child) => Self { name: name.to_owned(), child, log },
            Err(error) => panic!("{name} cannot be started ({error}): {command:?}"),
        }
    }

    /// What it has written, since its name was first used.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended; none while it runs.
    ///
    /// # Panics
    /// The system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        match self.child.try_wait() {
            Ok(status) => status,
            Err(error) => panic!("{}: {error}", self.name),
        }
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// It does not run any more.
    pub fn signal(&mut self, signal: Signal) {
        assert_eq!(self.ended(), None, "{} has ended before its {signal}", self.name);
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        if let Err(error) = kill(id, signal) {
            panic!("{} cannot be sent {signal}: {error}", self.name);
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end in time.
    pub async fn end(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        wait::until(&what, || {
            let ended = self.ended();
            async move { ended.ok_or("it runs") }
        })
        .await
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("── the end of the log of {}\n{}\n", self.name, self.tail());
        }
    }
}
