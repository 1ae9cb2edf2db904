//! Whether there is room for what is to be fetched: under the limit of the settings, and on the disk.

use std::fs;
use std::path::{Path, PathBuf};

/// What a disk keeps free for everybody else.
const SPARE: u64 = 256 << 20;
/// Folders within folders that are counted.
const DEPTH: usize = 4;

/// There is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    #[error(
        "{needed} bytes are to be fetched, {used} lie in {folder} already, and node.models_limit is {limit}: raise it, or remove models there"
    )]
    Limit { needed: u64, used: u64, limit: u64, folder: PathBuf },
    #[error(
        "{needed} bytes are to be fetched and {SPARE} must stay free, but the disk of {folder} has {free} left: make room, or name another folder in node.models"
    )]
    Disk { needed: u64, free: u64, folder: PathBuf },
}

/// Decides it from numbers alone.
pub(crate) fn afford(needed: u64, used: u64, limit: u64, free: u64, folder: &Path) -> Result<(), NoRoom> {
    let folder = folder.to_owned();
    if needed == 0 {
        Ok(())
    } else if used.saturating_add(needed) > limit {
        Err(NoRoom::Limit { needed, used, limit, folder })
    } else if needed > free.saturating_sub(SPARE) {
        Err(NoRoom::Disk { needed, free, folder })
    } else {
        Ok(())
    }
}

/// The bytes of all files in a folder; what cannot be read counts nothing. Blocks.
pub(crate) fn used(folder: &Path) -> u64 {
    count(folder, DEPTH)
}

fn count(folder: &Path, depth: usize) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_file() => meta.len(),
        Ok(meta) if meta.is_dir() && depth > 0 => count(&entry.path(), depth - 1),
        _ => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

/// Bytes that this process may still write to the disk of a folder. Blocks.
pub(crate) fn free(folder: &Path) -> std::io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(folder)?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_and_the_disk_both_count() {
        let here = Path::new("models");
        let gib = 1 << 30;
        assert_eq!(afford(gib, gib, 2 * gib, 2 * gib, here), Ok(()));
        assert!(matches!(afford(gib, gib + 1, 2 * gib, 9 * gib, here), Err(NoRoom::Limit { .. })));
        assert!(matches!(afford(gib, 0, 2 * gib, gib + SPARE - 1, here), Err(NoRoom::Disk { .. })));
        assert!(matches!(afford(u64::MAX, 1, u64::MAX, u64::MAX, here), Err(NoRoom::Disk { .. })));
        assert_eq!(afford(0, 3 * gib, gib, 0, here), Ok(()), "nothing needs no room");
    }

    #[test]
    fn files_are_counted_and_links_are_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("m")).unwrap();
        fs::write(folder.path().join("m/a"), [0; 100]).unwrap();
        fs::write(folder.path().join("b.part"), [0; 11]).unwrap();
        std::os::unix::fs::symlink("m/a", folder.path().join("c")).unwrap();
        std::os::unix::fs::symlink(".", folder.path().join("m/loop")).unwrap();
        assert_eq!(used(folder.path()), 111);
        assert!(free(folder.path()).unwrap() > 0);
    }
}
