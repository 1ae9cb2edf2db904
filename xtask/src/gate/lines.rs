//! House rule: no Rust file over 500 lines. Beyond that, a file holds more than one idea.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::checkout::Checkout;

const LIMIT: usize = 500;

pub(super) fn check(checkout: &Checkout) -> Result<(), String> {
    let mut files = Vec::new();
    rust_files(checkout.root(), &mut files).map_err(|error| format!("cannot read the checkout: {error}"))?;
    let mut long = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let lines = text.lines().count();
        if lines > LIMIT {
            let name = file.strip_prefix(checkout.root()).unwrap_or(&file);
            long.push(format!("{} has {lines} lines", name.display()));
        }
    }
    if long.is_empty() {
        Ok(())
    } else {
        Err(format!("{}; at most {LIMIT} are allowed: split by idea", long.join(", ")))
    }
}

/// All of them but what is built or hidden.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            rust_files(&path, found)?;
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_named_and_built_ones_are_left() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["xtask", "a/src", "target/x", ".hidden"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for file in ["cluster.toml", "xtask/Cargo.toml"] {
            fs::write(root.path().join(file), "").unwrap();
        }
        fs::write(root.path().join("a/src/fits.rs"), "x\n".repeat(LIMIT)).unwrap();
        fs::write(root.path().join("target/x/built.rs"), "x\n".repeat(LIMIT + 1)).unwrap();
        fs::write(root.path().join(".hidden/x.rs"), "x\n".repeat(LIMIT + 1)).unwrap();
        let checkout = Checkout::find(Some(root.path().into())).unwrap();
        check(&checkout).unwrap();
        fs::write(root.path().join("a/src/long.rs"), "x\n".repeat(LIMIT + 1)).unwrap();
        assert!(check(&checkout).unwrap_err().contains("a/src/long.rs has 501 lines"));
    }
}
