//! Links from the checkout into the cache.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::error::SetupError;

/// What a link is now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or a link that leads nowhere.
    Nothing,
    /// A link to a place in this cache folder: one that we made.
    Ours,
    /// A folder, or a link elsewhere: the user's own.
    Own,
}

/// Looks at `link`.
pub(crate) fn look(link: &Path, cache: &Path) -> Found {
    if !link.exists() {
        return Found::Nothing;
    }
    match fs::read_link(link) {
        Ok(target) if target.starts_with(cache) => Found::Ours,
        Ok(_) | Err(_) => Found::Own,
    }
}

/// Lets `link` lead to `target`; true if it did not before. Other links are replaced in one step.
///
/// # Errors
/// Something that is no link is in the way, or the folder cannot be written.
pub(crate) fn point(link: &Path, target: &Path) -> Result<bool, SetupError> {
    match fs::symlink_metadata(link) {
        Ok(data) if !data.is_symlink() => return Err(SetupError::InTheWay(link.to_owned())),
        Ok(_) if fs::read_link(link).is_ok_and(|now| now == target) => return Ok(false),
        _ => {}
    }
    let fresh = link.with_extension("new");
    // Left by an interrupted run, if it is there at all.
    let _ = fs::remove_file(&fresh);
    symlink(target, &fresh).map_err(SetupError::files("cannot link", &fresh))?;
    fs::rename(&fresh, link).map_err(SetupError::files("cannot link", link))?;
    Ok(true)
}

/// Takes a link away.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn remove(link: &Path) -> Result<(), SetupError> {
    fs::remove_file(link).map_err(SetupError::files("cannot unlink", link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_kept_and_turned() {
        let folder = tempfile::tempdir().unwrap();
        let (link, cache) = (folder.path().join(".libtorch"), folder.path().join("cache"));
        let (cpu, cuda) = (cache.join("cpu"), cache.join("cuda"));
        fs::create_dir_all(&cpu).unwrap();
        fs::create_dir_all(&cuda).unwrap();
        assert_eq!(look(&link, &cache), Found::Nothing);
        assert!(point(&link, &cpu).unwrap());
        assert!(!point(&link, &cpu).unwrap(), "already there");
        assert!(point(&link, &cuda).unwrap());
        assert_eq!(fs::read_link(&link).unwrap(), cuda);
        assert_eq!(look(&link, &cache), Found::Ours);
        assert_eq!(look(&link, &folder.path().join("other")), Found::Own);
        fs::remove_dir(&cuda).unwrap();
        assert_eq!(look(&link, &cache), Found::Nothing, "it leads nowhere");
        remove(&link).unwrap();
        assert!(fs::symlink_metadata(&link).is_err());
    }

    #[test]
    fn a_folder_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join(".models");
        fs::create_dir(&link).unwrap();
        assert_eq!(look(&link, folder.path()), Found::Own);
        assert!(matches!(point(&link, folder.path()), Err(SetupError::InTheWay(_))));
    }
}
