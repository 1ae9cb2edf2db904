//! Keys: found at the start, sent, and never shown.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use protocol::config;

/// The longest key.
const MAX_BYTES: usize = 4096;

/// A provider's key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Nothing is where it was said to be.
    #[error("the environment variable {0} is not set: set it to the provider's key, or name a key_file")]
    Unset(String),
    /// The file cannot be read.
    #[error("the key_file {} cannot be read: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// It cannot be sent.
    #[error("what {0} holds is no key: 1 to {MAX_BYTES} visible ASCII characters")]
    Bad(String),
}

impl Secret {
    /// A key.
    ///
    /// # Errors
    /// It cannot be sent in a header. `place` says where it was found.
    pub fn new(text: &str, place: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError::Bad(place.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The key of a provider: in the variable, else in the file; none where neither is named. `env` reads a variable.
    ///
    /// # Errors
    /// A place is named, and holds no key.
    pub fn find(config: &config::Provider, env: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, KeyError> {
        if let Some(name) = &config.key_env
            && let Some(text) = env(name)
        {
            return Self::new(&text, name).map(Some);
        }
        if let Some(path) = &config.key_file {
            let wrong = |error| KeyError::File { path: path.clone(), error };
            let file = std::fs::File::open(path).map_err(wrong)?;
            let mut text = String::new();
            let longest = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 2;
            file.take(longest).read_to_string(&mut text).map_err(wrong)?;
            return Self::new(&text, &path.display().to_string()).map(Some);
        }
        config.key_env.clone().map_or(Ok(None), |name| Err(KeyError::Unset(name)))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The text without the key, should somebody have put it there.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(&self.0, "[key]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(env: Option<&str>, file: Option<PathBuf>) -> config::Provider {
        config::Provider { key_env: env.map(str::to_owned), key_file: file, ..config::Provider::default() }
    }

    #[test]
    fn the_variable_wins_over_the_file_and_neither_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "of-file\n").unwrap();
        let env = |name: &str| (name == "KEY").then(|| "of-env".to_owned());
        let find = |env_name, file| Secret::find(&config(env_name, file), env).unwrap().map(|secret| secret.0);
        assert_eq!(find(Some("KEY"), Some(path.clone())).as_deref(), Some("of-env"));
        assert_eq!(find(Some("OTHER"), Some(path)).as_deref(), Some("of-file"));
        assert_eq!(find(None, None), None);
    }

    #[test]
    fn a_place_without_a_key_is_named() {
        let none = |_: &str| None;
        let error = Secret::find(&config(Some("KEY"), None), none).unwrap_err().to_string();
        assert!(error.contains("KEY is not set"), "{error}");
        let error = Secret::find(&config(None, Some("/none/here".into())), none).unwrap_err().to_string();
        assert!(error.contains("/none/here"), "{error}");
        let error = Secret::find(&config(Some("KEY"), None), |_| Some("se cret".into())).unwrap_err().to_string();
        assert!(error.contains("KEY") && !error.contains("se cret"), "{error}");
    }

    #[test]
    fn it_is_not_shown() {
        let secret = Secret::new("sk-12345", "KEY").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.scrub("bad key sk-12345!"), "bad key [key]!");
    }
}
