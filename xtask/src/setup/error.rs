//! What can go wrong in a set-up: one line each, with the remedy.

use std::io;
use std::path::{Path, PathBuf};

/// The set-up cannot go on. Running it again goes on from where it stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error(
        "no prepared libtorch for {os}/{arch}, only for linux/x86_64 with glibc: \
         install PyTorch {version} (`pip install torch=={version}`) and set LIBTORCH_USE_PYTORCH=1, or point LIBTORCH to an unpacked libtorch"
    )]
    Platform { os: &'static str, arch: &'static str, version: &'static str },
    #[error("LIBTORCH={} has no lib/libtorch_cpu.so: point it to an unpacked libtorch {version}, or unset it", path.display())]
    OwnLibtorch { path: PathBuf, version: &'static str },
    #[error("no C++ compiler ({0} is not in PATH): install one, for example `apt install g++`, or set CXX")]
    NoCompiler(String),
    #[error("python3 is not in PATH: install Python 3 with pip, for example `apt install python3 python3-pip`")]
    NoPython,
    #[error(
        "python3 has no pip ({0}): install it, for example `apt install python3-pip` or `python3 -m ensurepip --user`"
    )]
    NoPip(String),
    #[error(
        "{} MB are needed in {} but {} MB are free: free some, or set TROUPE_CACHE to a folder on another disk",
        needed, path.display(), free
    )]
    NoSpace { path: PathBuf, needed: u64, free: u64 },
    #[error("the disk of {} is full: free some space, or set TROUPE_CACHE to a folder on another disk; then run it again", .0.display())]
    DiskFull(PathBuf),
    #[error(
        "{package} cannot be downloaded: {reason}; check the network, the proxy and `python3 -m pip config list`, then run it again"
    )]
    Refused { package: String, reason: String },
    #[error(
        "{package} has sha256 {found}, not {wanted}: the package index or a proxy serves another file; \
         it was deleted; check `python3 -m pip config list` for a mirror, then run it again"
    )]
    WrongHash { package: String, found: String, wanted: &'static str },
    #[error("{package} cannot be unpacked: {reason}; run it again")]
    Unpack { package: String, reason: String },
    #[error("no place for downloads: set TROUPE_CACHE to a folder, or HOME")]
    NoCache,
    #[error("{what} {}: {source}", path.display())]
    Files { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is in the way and not ours: move it, then run it again", .0.display())]
    InTheWay(PathBuf),
}

impl SetupError {
    /// For `map_err`: what was done to which path. A full disk has its own line.
    pub(crate) fn files(what: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(path.clone()),
            _ => Self::Files { what, path: path.clone(), source },
        }
    }
}
