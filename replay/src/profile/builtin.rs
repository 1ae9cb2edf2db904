//! The profiles of the repository, as part of the program.

use super::{Profile, ProfileError};

macro_rules! profiles {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../profiles/", $name, ".toml")))),+]
    };
}

const ALL: &[(&str, &str)] = profiles![
    "a100-80g-llama-3.1-8b",
    "a10g-llama-3.1-8b",
    "h100-80g-llama-3.1-8b",
    "h100-80g-x4-llama-3.1-70b",
    "l4-llama-3.1-8b",
    "troupe-cpu",
];

/// The names of all.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

pub(super) fn find(name: &str) -> Result<Profile, ProfileError> {
    match ALL.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => Profile::parse(&format!("profiles/{name}.toml"), text),
        None => Err(ProfileError::Unknown { name: name.to_owned(), known: names().collect::<Vec<_>>().join(", ") }),
    }
}
