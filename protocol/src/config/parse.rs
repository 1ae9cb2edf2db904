//! From text to a checked [`Config`]: every fault is found in one go.
//!
//! serde stops at the first fault. So that a person sees all of them, the key at fault is noted,
//! taken out, and the rest is read again; a file has only so many keys, so this ends.

use std::fmt;

use serde::de::IntoDeserializer;

use super::Config;

/// What is wrong with a `cluster.toml`: every fault with its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The faults; at least one.
    pub faults: Vec<ConfigFault>,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// Where, as `models.small.kv_memory`; empty if the text is no TOML.
    pub path: String,
    /// What, and what to write instead.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            match fault.path.as_str() {
                "" => f.write_str(&fault.problem)?,
                path => write!(f, "{path}: {}", fault.problem)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads and checks a `cluster.toml`.
    ///
    /// # Errors
    /// All faults of the file at once.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut table = text.parse::<toml::Table>().map_err(|error| ConfigError {
            faults: vec![ConfigFault { path: String::new(), problem: error.to_string().trim_end().to_owned() }],
        })?;
        let mut faults = Vec::new();
        let config = loop {
            match serde_path_to_error::deserialize::<_, Self>(table.clone().into_deserializer()) {
                Ok(config) => break Some(config),
                Err(error) => {
                    let (path, problem) = locate(&error);
                    let removed = remove(&mut table, &path);
                    faults.push(ConfigFault { path: path.join("."), problem });
                    if !removed {
                        break None;
                    }
                }
            }
        };
        if let Some(config) = config {
            // What was taken out is missing only for that reason.
            let taken = |path: &str| {
                let below = |rest: &str| rest.is_empty() || rest.starts_with('.');
                faults.iter().any(|fault| fault.path.strip_prefix(path).is_some_and(below))
            };
            let more: Vec<ConfigFault> = config.faults().into_iter().filter(|fault| !taken(&fault.path)).collect();
            faults.extend(more);
            if faults.is_empty() {
                return Ok(config);
            }
        }
        Err(ConfigError { faults })
    }
}

/// The path to the key at fault, and what is wrong with it.
fn locate(error: &serde_path_to_error::Error<toml::de::Error>) -> (Vec<String>, String) {
    let mut path: Vec<String> = error
        .path()
        .iter()
        .filter_map(|segment| match segment {
            serde_path_to_error::Segment::Map { key } => Some(key.clone()),
            // A fault inside a list is a fault of the list: its key is what can be taken out.
            _ => None,
        })
        .collect();
    let message = error.inner().message().to_owned();
    if let Some(rest) = message.strip_prefix("unknown field `")
        && let Some((key, expected)) = rest.split_once('`')
    {
        if path.last().is_none_or(|last| last != key) {
            path.push(key.to_owned());
        }
        let expected = expected.trim_start_matches(", ").replace("expected one of ", "");
        return (path, format!("no such key; known here: {}", expected.replace("expected ", "")));
    }
    (path, message)
}

/// Takes the key out of the table. False if it is not there.
fn remove(table: &mut toml::Table, path: &[String]) -> bool {
    match path {
        [] => false,
        [key] => table.remove(key).is_some(),
        [key, rest @ ..] => {
            table.get_mut(key).and_then(toml::Value::as_table_mut).is_some_and(|inner| remove(inner, rest))
        }
    }
}

pub(super) fn fault(path: impl Into<String>, problem: impl Into<String>) -> ConfigFault {
    ConfigFault { path: path.into(), problem: problem.into() }
}
