//! Where things are: the checkout, its links, its programs, and cargo as a person would call it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// A checkout of Troupe.
#[derive(Debug)]
pub(crate) struct Checkout {
    root: PathBuf,
}

/// There is no checkout to work on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckoutError {
    #[error("{}: {source}; run `cargo xtask` inside a checkout of Troupe", path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("{} is not a checkout of Troupe: it has no cluster.toml and xtask/Cargo.toml", .0.display())]
    Foreign(PathBuf),
}

impl Checkout {
    /// The given folder, or the one in which this program was built.
    ///
    /// # Errors
    /// A folder that is missing or no checkout.
    pub(crate) fn find(given: Option<PathBuf>) -> Result<Self, CheckoutError> {
        let path = given.unwrap_or_else(|| {
            let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
            Path::new(&manifest).join("..")
        });
        let root = fs::canonicalize(&path).map_err(|source| CheckoutError::Unreachable { path, source })?;
        if !root.join("cluster.toml").is_file() || !root.join("xtask/Cargo.toml").is_file() {
            return Err(CheckoutError::Foreign(root));
        }
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The link to libtorch that `.cargo/config.toml` names.
    pub(crate) fn libtorch(&self) -> PathBuf {
        self.root.join(".libtorch")
    }

    /// The link to the models that `cluster.toml` names.
    pub(crate) fn models(&self) -> PathBuf {
        self.root.join(".models")
    }

    /// A program that cargo built beside this one; `name` may be `examples/demo`.
    ///
    /// # Errors
    /// The system does not say where this program lies.
    pub(crate) fn program(&self, name: &str) -> io::Result<PathBuf> {
        let mut path = env::current_exe()?;
        path.set_file_name(name);
        Ok(path)
    }

    /// Cargo in the checkout, with the environment that a person's shell gives it: what the outer
    /// `cargo run` added is taken out again, so that both share one build.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(set_by_cargo_run) {
                command.env_remove(name);
            }
        }
        if !self.own_libtorch() {
            command.env_remove("LIBTORCH");
        }
        if let Some(path) = env::var_os("LD_LIBRARY_PATH") {
            match without_cargo_folders(&path) {
                Some(rest) => command.env("LD_LIBRARY_PATH", rest),
                None => command.env_remove("LD_LIBRARY_PATH"),
            };
        }
        command
    }

    /// Did the user name a libtorch folder? `.cargo/config.toml` sets the variable too, to our link.
    pub(crate) fn own_libtorch(&self) -> bool {
        env::var_os("LIBTORCH").is_some_and(|path| !path.is_empty() && !is_link_of_a_checkout(Path::new(&path)))
    }
}

fn is_link_of_a_checkout(path: &Path) -> bool {
    path.ends_with(".libtorch") && path.parent().is_some_and(|root| root.join("xtask/Cargo.toml").is_file())
}

fn set_by_cargo_run(name: &str) -> bool {
    const EXACT: [&str; 4] = ["CARGO", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];
    EXACT.contains(&name) || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// `cargo run` puts its target folders and the compiler's libraries in front.
fn without_cargo_folders(path: &OsString) -> Option<OsString> {
    let ours = |folder: &PathBuf| {
        let text = folder.to_string_lossy();
        text.contains("/target/") || text.contains("/rustlib/") || text.contains("/toolchains/") || text.is_empty()
    };
    let rest: Vec<PathBuf> = env::split_paths(path).filter(|folder| !ours(folder)).collect();
    if rest.is_empty() { None } else { env::join_paths(rest).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cargo_run_added_is_taken_out() {
        assert!(set_by_cargo_run("CARGO_PKG_NAME") && set_by_cargo_run("CARGO_MANIFEST_DIR"));
        assert!(!set_by_cargo_run("CARGO_HOME") && !set_by_cargo_run("CARGO_TARGET_DIR"));
        let path = OsString::from("/w/target/debug/deps:/opt/cuda/lib:/r/toolchains/stable/lib");
        assert_eq!(without_cargo_folders(&path), Some("/opt/cuda/lib".into()));
        assert_eq!(without_cargo_folders(&"/w/target/debug".into()), None);
    }

    #[test]
    fn a_foreign_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Checkout::find(Some(folder.path().into())).unwrap_err();
        assert!(refused.to_string().contains("not a checkout"), "{refused}");
    }
}
