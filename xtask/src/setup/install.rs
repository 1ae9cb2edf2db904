//! Makes a component in the cache: whole or not at all.
//!
//! It is put together in a folder of its own on the same disk and renamed into place, with a stamp
//! that lists what it was made of. An interrupted run leaves only folders that the next one sweeps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::statvfs::statvfs;
use tempfile::TempDir;

use super::error::SetupError;
use super::fetch;
use super::wheels::{Component, Take, Wheel};

const STAMP: &str = ".complete";
const PARTIAL: &str = ".partial-";
const UNPACK: &str = include_str!("unpack.py");

/// The user's cache folder.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the component lies, or will.
    pub(crate) fn place(&self, component: &Component) -> PathBuf {
        self.root.join(component.place)
    }

    /// Is it there, made of just these wheels?
    pub(crate) fn is_complete(&self, component: &Component) -> bool {
        let place = self.place(component);
        let probe = if component.probe.is_empty() { place } else { place.join(component.probe) };
        probe.is_file() && fs::read_to_string(self.stamp(component)).is_ok_and(|text| text == stamp_text(component))
    }

    /// Downloads what it is made of, and makes it.
    ///
    /// # Errors
    /// A tool is missing, a download refused or wrong, the disk full.
    pub(crate) fn install(&self, component: &Component) -> Result<(), SetupError> {
        self.check_space(component)?;
        let downloads = self.root.join("downloads");
        fs::create_dir_all(&downloads).map_err(SetupError::files("cannot make", &downloads))?;
        let staging = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempdir_in(&self.root)
            .map_err(SetupError::files("cannot make a folder in", &self.root))?;
        let body = staging.path().join("body");
        fs::create_dir(&body).map_err(SetupError::files("cannot make", &body))?;
        for (wheel, takes) in component.parts {
            let file = fetch::wheel(wheel, &downloads)?;
            eprintln!("  {} {}: unpacking", wheel.project, wheel.version);
            unpack(wheel, &file, &body, takes)?;
            fs::remove_file(&file).map_err(SetupError::files("cannot delete", &file))?;
        }
        for (name, text) in component.written {
            let path = body.join(name);
            fs::write(&path, text).map_err(SetupError::files("cannot write", &path))?;
        }
        self.put_in_place(component, &staging, &body)
    }

    fn put_in_place(&self, component: &Component, staging: &TempDir, body: &Path) -> Result<(), SetupError> {
        let place = self.place(component);
        let new = if component.probe.is_empty() {
            body.join(place.file_name().unwrap_or_default())
        } else {
            fs::write(body.join(STAMP), stamp_text(component)).map_err(SetupError::files("cannot write in", body))?;
            body.to_owned()
        };
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(SetupError::files("cannot make", parent))?;
        }
        if place.exists() {
            let old = staging.path().join("old");
            fs::rename(&place, &old).map_err(SetupError::files("cannot move away", &place))?;
        }
        fs::rename(&new, &place).map_err(SetupError::files("cannot move into place", &place))?;
        if component.probe.is_empty() {
            let stamp = self.stamp(component);
            fs::write(&stamp, stamp_text(component)).map_err(SetupError::files("cannot write", &stamp))?;
        }
        Ok(())
    }

    /// Deletes what interrupted runs left. Only under the lock: another run's folders look alike.
    pub(crate) fn sweep(&self) {
        for folder in [self.root.clone(), self.root.join("downloads")] {
            for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if [PARTIAL, ".pip-"].iter().any(|prefix| name.starts_with(prefix)) {
                    // What cannot be deleted now is tried again next time.
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
    }

    fn stamp(&self, component: &Component) -> PathBuf {
        let place = self.place(component);
        if component.probe.is_empty() {
            let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
            place.with_file_name(format!(".{name}{STAMP}"))
        } else {
            place.join(STAMP)
        }
    }

    fn check_space(&self, component: &Component) -> Result<(), SetupError> {
        // pip writes a wheel twice for a moment; wheels go one by one, after they are unpacked.
        let largest = component.parts.iter().map(|(wheel, _)| wheel.megabytes).max().unwrap_or(0);
        let needed = component.megabytes + 2 * largest;
        // A file system that does not tell is tried.
        let Ok(disk) = statvfs(&self.root) else { return Ok(()) };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size()) / 1_000_000;
        if free < needed {
            return Err(SetupError::NoSpace { path: self.root.clone(), needed, free });
        }
        Ok(())
    }
}

/// What a component was made of. Another table makes another text, and the component anew.
fn stamp_text(component: &Component) -> String {
    let mut text = String::from("layout 1\n");
    for (wheel, takes) in component.parts {
        text.push_str(&format!("{} {}=={} {takes:?}\n", wheel.sha256, wheel.project, wheel.version));
    }
    text
}

fn unpack(wheel: &Wheel, file: &Path, into: &Path, takes: &[Take]) -> Result<(), SetupError> {
    let mut python = Command::new("python3");
    python.args(["-c", UNPACK]).arg(file).arg(into);
    for (pattern, folder) in takes {
        python.args([pattern, folder]);
    }
    let output = python.stdin(Stdio::null()).output().map_err(|_| SetupError::NoPython)?;
    match output.status.code() {
        Some(0) => Ok(()),
        Some(28) => Err(SetupError::DiskFull(into.to_owned())),
        _ => {
            let reason = String::from_utf8_lossy(&output.stderr);
            let reason = reason.lines().last().unwrap_or("python3 was killed").to_owned();
            Err(SetupError::Unpack { package: format!("{} {}", wheel.project, wheel.version), reason })
        }
    }
}

#[cfg(test)]
mod tests;
