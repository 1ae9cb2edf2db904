//! Names that come from outside, before they become paths.
//!
//! Rules: a file of a model lies right in the model's folder, so its name is one plain component. Whatever could lead
//! elsewhere, hide, or take the place of a file of ours is refused, never mended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was fetched, beside the files of a model.
pub(crate) const MANIFEST: &str = "troupe-manifest.json";
/// What a file is called until all of it is there.
pub(crate) const PART: &str = ".part";
/// The longest name that file systems take, with room for [`PART`].
const LONGEST: usize = 240;

/// The name of a file of a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct SafeName(String);

/// A name that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file name {name:?} is refused: it {problem}")]
pub(crate) struct BadName {
    pub(crate) name: String,
    pub(crate) problem: &'static str,
}

impl SafeName {
    pub(crate) fn new(name: &str) -> Result<Self, BadName> {
        match fault(name) {
            None => Ok(Self(name.to_owned())),
            Some(problem) => Err(BadName { name: name.chars().take(LONGEST).collect(), problem }),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn part(&self) -> String {
        format!("{}{PART}", self.0)
    }
}

impl TryFrom<String> for SafeName {
    type Error = BadName;

    fn try_from(name: String) -> Result<Self, BadName> {
        Self::new(&name)
    }
}

impl From<SafeName> for String {
    fn from(name: SafeName) -> Self {
        name.0
    }
}

impl fmt::Display for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.contains(['/', '\\']) {
        Some("leads into another folder")
    } else if name.starts_with('.') {
        Some("is hidden")
    } else if name.len() > LONGEST {
        Some("is longer than 240 bytes")
    } else if name.chars().any(char::is_control) {
        Some("has control characters")
    } else if name == MANIFEST || name.ends_with(PART) {
        Some("is one that this node keeps for itself")
    } else {
        None
    }
}

/// What is wrong with a path inside a repository, as a listing gives it. One such path spoils the whole listing.
pub(crate) fn path_fault(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("is empty")
    } else if path.starts_with('/') {
        Some("is absolute")
    } else if path.contains('\\') {
        Some("has a backslash")
    } else if path.chars().any(char::is_control) {
        Some("has control characters")
    } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("leads out of its folder")
    } else {
        None
    }
}

/// The folder of a model: its name, with `%` and two digits for what a path should not have.
pub(crate) fn folder(model: &str) -> String {
    let mut folder = String::new();
    for (place, byte) in model.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && place > 0);
        if plain { folder.push(char::from(byte)) } else { folder += &format!("%{byte:02X}") }
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_become_paths() {
        for good in ["model.safetensors", "a b.gguf", "é.json", "a..b"] {
            assert_eq!(SafeName::new(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(241);
        let bad =
            ["", "..", ".", "../x", "/etc/passwd", "a/b", "a\\b", ".bashrc", "a\0b", "a\nb", &long, MANIFEST, "a.part"];
        for name in bad {
            assert!(SafeName::new(name).is_err(), "{name:?}");
        }
        assert!(serde_json::from_str::<SafeName>("\"../x\"").is_err(), "nor out of a manifest");
    }

    #[test]
    fn paths_of_a_listing_stay_inside() {
        for good in ["a", "a/b.txt", ".gitattributes", "sub/.hidden", "a..b"] {
            assert_eq!(path_fault(good), None, "{good}");
        }
        for bad in ["", "/a", "..", "../a", "a/../b", "a//b", "a/", "./a", "a\\..\\b", "a\0"] {
            assert!(path_fault(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn models_have_folders_of_their_own() {
        assert_eq!(folder("Smol-2.1_b"), "Smol-2.1_b");
        assert_eq!(folder("org/model:x"), "org%2Fmodel%3Ax");
        assert_eq!((folder(".."), folder("%2E.")), ("%2E.".to_owned(), "%252E.".to_owned()));
    }
}
