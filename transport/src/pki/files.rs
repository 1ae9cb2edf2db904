//! Files of a state folder: readable by their owner alone, written whole or not at all.

use std::io::Write;
use std::path::Path;

use super::PkiError;

/// Writes a file that only its owner can read: aside first, then renamed.
///
/// # Errors
/// What the system refuses.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<(), PkiError> {
    let io = |source| PkiError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&aside).map_err(io)?;
    file.write_all(content).map_err(io)?;
    file.sync_all().map_err(io)?;
    std::fs::rename(&aside, path).map_err(io)
}

/// Reads a text file of a state folder.
///
/// # Errors
/// What the system refuses.
pub fn read_secret(path: &Path) -> Result<String, PkiError> {
    std::fs::read_to_string(path).map_err(|source| PkiError::Io { path: path.to_owned(), source })
}
