//! Downloads wheels with pip, which knows the user's proxies and mirrors, and checks their hashes.
//!
//! pip runs with our folder as its temporary one: a small `/tmp` does not stop it, and the growing
//! files tell how far it is.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::error::SetupError;
use super::screen::Meter;
use super::wheels::Wheel;
use crate::orphan;

/// A wheel that lies in `folder` with the right hash, downloaded if need be.
///
/// # Errors
/// pip is missing or fails, the disk is full, or the hash is another one.
pub(crate) fn wheel(wheel: &Wheel, folder: &Path) -> Result<PathBuf, SetupError> {
    let target = folder.join(format!("{}-{}.whl", wheel.project, wheel.version));
    if target.exists() {
        if verify(wheel, &target).is_ok() {
            return Ok(target);
        }
        fs::remove_file(&target).map_err(SetupError::files("cannot delete", &target))?;
    }
    let work = tempfile::Builder::new()
        .prefix(".pip-")
        .tempdir_in(folder)
        .map_err(SetupError::files("cannot make a folder in", folder))?;
    let into = work.path().join("wheels");
    fs::create_dir(&into).map_err(SetupError::files("cannot make", &into))?;
    run_pip(wheel, work.path(), &into)?;
    let found = only_wheel(&into)
        .ok_or_else(|| SetupError::Refused { package: package(wheel), reason: "pip left no wheel".into() })?;
    verify(wheel, &found)?;
    fs::rename(&found, &target).map_err(SetupError::files("cannot move the download to", &target))?;
    Ok(target)
}

fn package(wheel: &Wheel) -> String {
    format!("{} {}", wheel.project, wheel.version)
}

fn run_pip(wheel: &Wheel, work: &Path, into: &Path) -> Result<(), SetupError> {
    // What pip says is kept in memory: on a full disk a file would stay empty.
    let mut pip = download_command(wheel, work, into);
    pip.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    orphan::end_with_parent(&mut pip);
    let child = pip.spawn().map_err(|_| SetupError::NoPython)?;
    // Another thread waits for pip; this one looks at the folder meanwhile.
    let (done, ended) = mpsc::sync_channel(1);
    thread::spawn(move || done.send(child.wait_with_output()));
    let mut meter = Meter::new(package(wheel), wheel.megabytes);
    let output: io::Result<Output> = loop {
        meter.show(size_of(work) / 1_000_000);
        match ended.recv_timeout(Duration::from_millis(200)) {
            Ok(output) => break output,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break Err(io::ErrorKind::BrokenPipe.into()),
        }
    };
    let succeeded = output.as_ref().is_ok_and(|output| output.status.success());
    if succeeded {
        meter.show(wheel.megabytes);
    }
    meter.finish();
    match output {
        Ok(_) if succeeded => Ok(()),
        Ok(output) => Err(explain(&String::from_utf8_lossy(&output.stderr), wheel, work)),
        Err(error) => Err(SetupError::Refused { package: package(wheel), reason: format!("pip was lost: {error}") }),
    }
}

fn download_command(wheel: &Wheel, work: &Path, into: &Path) -> Command {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"])
        .args(["--disable-pip-version-check", "--progress-bar", "off", "--python-version", "3.11"])
        .args(["--implementation", "cp", "--platform", wheel.platform]);
    if let Some(abi) = wheel.abi {
        pip.args(["--abi", abi]);
    }
    pip.arg("--dest").arg(into).arg(format!("{}=={}", wheel.project, wheel.version));
    pip.env("TMPDIR", work).env("PIP_REQUIRE_VIRTUALENV", "0");
    pip
}

/// pip's many words in one line.
fn explain(log: &str, wheel: &Wheel, folder: &Path) -> SetupError {
    if log.contains("No module named pip") {
        return SetupError::NoPip("no module named pip".into());
    }
    if log.contains("No space left on device") || log.contains("Errno 28") || log.contains("Disk quota exceeded") {
        return SetupError::DiskFull(folder.parent().unwrap_or(folder).to_owned());
    }
    const NETWORK: [(&str, &str); 7] = [
        ("Temporary failure in name resolution", "the package index's name cannot be resolved"),
        ("Name or service not known", "the package index's name cannot be resolved"),
        ("Connection refused", "the connection was refused"),
        ("ProxyError", "the proxy refused it"),
        ("CERTIFICATE_VERIFY_FAILED", "the package index's certificate is not trusted"),
        ("Read timed out", "the package index does not answer"),
        ("No matching distribution found", "the package index does not have it or cannot be reached"),
    ];
    let known = NETWORK.iter().find(|(sign, _)| log.contains(sign)).map(|(_, reason)| (*reason).to_owned());
    let last_error = || log.lines().rev().find_map(|line| line.strip_prefix("ERROR: ")).map(str::to_owned);
    let last_line = || log.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned);
    let reason = known.or_else(last_error).or_else(last_line).unwrap_or_else(|| "pip failed without a word".into());
    SetupError::Refused { package: package(wheel), reason }
}

fn verify(wheel: &Wheel, path: &Path) -> Result<(), SetupError> {
    let found = sha256(path).map_err(SetupError::files("cannot read", path))?;
    if found == wheel.sha256 {
        return Ok(());
    }
    Err(SetupError::WrongHash { package: package(wheel), found, wanted: wheel.sha256 })
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn only_wheel(folder: &Path) -> Option<PathBuf> {
    let mut wheels = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    wheels.find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

/// Bytes of the largest file below: the one that pip is writing.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.filter_map(Result::ok).map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => size_of(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
