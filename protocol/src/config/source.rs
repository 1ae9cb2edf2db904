//! Where the files of a model come from, and which hashes they must have.
//!
//! Rules: what is accepted here can be put into an address and a path without further thought: no `..`, no
//! backslash, nothing hidden, nothing that an address would need to escape. Fetching is the node's work.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parse::{ConfigFault, fault};
use super::{Model, Node};
use crate::files::{MAX_FILES, Sha256};
use crate::units::ByteSize;

/// The least that a model can have.
const LEAST: ByteSize = ByteSize(1 << 20);

/// Where the files of a model come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `hf:ORG/REPO`, `hf:ORG/REPO/FILE.gguf`, either with `@REVISION`.
    Hub(HubSource),
    /// `folder:PATH`.
    Folder(PathBuf),
    /// `node`: from any other node that serves the model.
    Node,
}

/// A repository of the Hugging Face hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSource {
    /// `ORG/REPO`.
    pub repo: String,
    /// One GGUF file of it; the whole safetensors model if none.
    pub file: Option<String>,
    /// A branch, a tag or a commit; `main` if none.
    pub revision: Option<String>,
}

/// Text that names no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// It begins like none.
    #[error(
        "'{0}' is no source: write \"hf:ORG/REPO\", \"hf:ORG/REPO/FILE.gguf\", \"folder:/shared/models/x\" or \"node\""
    )]
    Unknown(String),
    /// No repository.
    #[error("'{0}' names no repository: write \"hf:ORG/REPO\", of letters, digits, '-', '_' and '.'")]
    Repo(String),
    /// Not one file that can be served alone.
    #[error("'{0}' cannot be fetched alone: name a file that ends in .gguf, or leave it out for the whole repository")]
    File(String),
    /// No revision.
    #[error("'{0}' is no revision: write a branch, a tag or a commit after '@'")]
    Revision(String),
    /// No path.
    #[error("'folder:' names no folder: write \"folder:/shared/models/x\"")]
    Folder,
}

impl FromStr for Source {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        match text.split_once(':') {
            None if text == "node" => Ok(Self::Node),
            Some(("hf", rest)) => hub(rest).map(Self::Hub),
            Some(("folder", "")) => Err(BadSource::Folder),
            Some(("folder", path)) => Ok(Self::Folder(path.into())),
            _ => Err(BadSource::Unknown(text.to_owned())),
        }
    }
}

fn hub(text: &str) -> Result<HubSource, BadSource> {
    let (place, revision) = match text.split_once('@') {
        Some((place, revision)) => (place, Some(revision)),
        None => (text, None),
    };
    if let Some(revision) = revision.filter(|revision| !revision.split('/').all(is_plain)) {
        return Err(BadSource::Revision(revision.to_owned()));
    }
    let mut parts = place.splitn(3, '/');
    let (Some(org), Some(repo)) = (parts.next(), parts.next()) else { return Err(BadSource::Repo(text.to_owned())) };
    if !is_plain(org) || !is_plain(repo) {
        return Err(BadSource::Repo(text.to_owned()));
    }
    let file = parts.next();
    if let Some(file) = file.filter(|file| !file.split('/').all(is_plain) || !is_gguf(file)) {
        return Err(BadSource::File(file.to_owned()));
    }
    let revision = revision.map(str::to_owned);
    Ok(HubSource { repo: format!("{org}/{repo}"), file: file.map(str::to_owned), revision })
}

/// A part of a path that means the same in an address and in a folder.
fn is_plain(part: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '=');
    (1..=200).contains(&part.len()) && !part.starts_with('.') && part.chars().all(known)
}

fn is_gguf(file: &str) -> bool {
    file.len() > 5 && file.to_ascii_lowercase().ends_with(".gguf")
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(hub) => hub.fmt(f),
            Self::Folder(path) => write!(f, "folder:{}", path.display()),
            Self::Node => f.write_str("node"),
        }
    }
}

impl fmt::Display for HubSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.repo)?;
        self.file.iter().try_for_each(|file| write!(f, "/{file}"))?;
        self.revision.iter().try_for_each(|revision| write!(f, "@{revision}"))
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Hashes that the files of a model must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Hashes {
    /// Of its only file.
    One(Sha256),
    /// Of some of its files, or all, by name.
    Each(BTreeMap<String, Sha256>),
}

impl<'de> Deserialize<'de> for Hashes {
    /// By hand, so that a wrong digit is named and not just "no variant matched".
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Hashes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a SHA-256 hash, or a table { \"FILE\" = \"HASH\" }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hashes, E> {
                text.parse().map(Hashes::One).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hashes, A::Error> {
                let mut each = BTreeMap::new();
                while let Some((name, hash)) = map.next_entry::<String, Sha256>()? {
                    each.insert(name, hash);
                }
                Ok(Hashes::Each(each))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Model {
    /// Whether its files must be fetched, and from where: a path of its own wins.
    pub fn fetched(&self) -> Option<&Source> {
        self.source.as_ref().filter(|_| self.path.as_os_str().is_empty())
    }

    pub(super) fn check_source(&self, name: &str, node: &Node, found: &mut Vec<ConfigFault>) {
        if self.path.as_os_str().is_empty() && self.source.is_none() {
            let remedy = "is missing: name a GGUF file or a Hugging Face folder, or give a source";
            found.push(fault(format!("models.{name}.path"), remedy));
        }
        if self.fetched() == Some(&Source::Node) && node.peers.is_empty() {
            let remedy = "is \"node\", but node.peers is empty: name the nodes to ask, HOST:PORT of their node.listen";
            found.push(fault(format!("models.{name}.source"), remedy));
        }
        if let Some(Hashes::Each(each)) = &self.sha256
            && (each.is_empty() || each.len() > MAX_FILES)
        {
            let problem = format!("has {} files: give 1 to {MAX_FILES}, or leave it out", each.len());
            found.push(fault(format!("models.{name}.sha256"), problem));
        }
    }
}

impl Node {
    pub(super) fn check_files(&self, found: &mut Vec<ConfigFault>) {
        if self.models.as_os_str().is_empty() {
            found.push(fault("node.models", "is empty: name the folder where fetched files lie"));
        }
        if self.models_limit < LEAST {
            found.push(fault("node.models_limit", format!("is {}: give at least {LEAST}", self.models_limit)));
        }
        if let Some(hub) = &self.hub
            && !is_base(hub)
        {
            found.push(fault("node.hub", format!("is '{hub}': write https://HOST, without query or user")));
        }
    }
}

/// Whether it is the front of an address that paths can be put behind.
pub(super) fn is_base(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '@', '\\', ' ']) && rest.is_ascii()
    })
}

#[cfg(test)]
mod tests;
