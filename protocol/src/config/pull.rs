//! When cached blocks are fetched from another node instead of computed.

use serde::{Deserialize, Serialize};

use super::check::count;
use super::parse::{ConfigFault, fault};
use super::{millis, secs};
use crate::units::{ByteSize, Span};

/// The longest time a pull may be given.
const LONGEST: Span = secs(600);
/// The least bandwidth that can be meant.
const LEAST: ByteSize = ByteSize(1024);

/// When cached blocks are fetched from another node instead of computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pull {
    /// Whether this node fetches. Whether it hands out is said by `node.listen`.
    pub enabled: bool,
    /// To compute must cost so many times what the pull costs.
    pub margin: f64,
    /// The longest a pull may take; below `requests.grant_timeout`.
    pub limit: Span,
    /// Fewer tokens are computed.
    pub least_tokens: u32,
    /// What a peer that was never measured is taken to send in a second.
    pub bandwidth: ByteSize,
    /// Prompts with so many tokens that are cached nowhere may be computed by a node whose role is `prefill` first.
    pub elsewhere_tokens: u32,
    /// Pulls that a node makes at once; one more job is computed.
    pub fetches: u32,
    /// Pulls that a node serves at once; one more is refused.
    pub serves: u32,
}

impl Default for Pull {
    fn default() -> Self {
        Self {
            enabled: false,
            margin: 1.5,
            limit: millis(1000),
            least_tokens: 128,
            bandwidth: ByteSize(64 << 20),
            elsewhere_tokens: 1024,
            fetches: 4,
            serves: 4,
        }
    }
}

impl Pull {
    pub(super) fn check(&self, grant_timeout: Span, found: &mut Vec<ConfigFault>) {
        if !(1.0..=1000.0).contains(&self.margin) {
            found.push(fault("pull.margin", format!("is {}: give 1.0 to 1000.0", self.margin)));
        }
        if self.limit.0.is_zero() || self.limit > LONGEST {
            found.push(fault("pull.limit", format!("is {}: give more than 0s and at most {LONGEST}", self.limit)));
        }
        if self.enabled && self.limit >= grant_timeout {
            let problem = format!("is {}: give less than requests.grant_timeout, {grant_timeout}", self.limit);
            found.push(fault("pull.limit", problem));
        }
        if self.bandwidth < LEAST {
            found.push(fault("pull.bandwidth", format!("is {}: give at least {LEAST}", self.bandwidth)));
        }
        count(found, "pull.least_tokens".to_owned(), self.least_tokens, 1 << 26);
        count(found, "pull.elsewhere_tokens".to_owned(), self.elsewhere_tokens, 1 << 26);
        count(found, "pull.fetches".to_owned(), self.fetches, 1024);
        count(found, "pull.serves".to_owned(), self.serves, 1024);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn what_cannot_work_is_named() {
        let faults = |text: &str| -> Vec<String> {
            Config::parse(text)
                .map_or_else(|error| error.faults.into_iter().map(|fault| fault.path).collect(), |_| vec![])
        };
        assert_eq!(faults("[pull]\nmargin = 0.5\nbandwidth = \"1B\"\nserves = 0").len(), 3);
        assert_eq!(faults("[pull]\nenabled = true\nlimit = \"2s\""), ["pull.limit"]);
        assert_eq!(faults("[pull]\nlimit = \"2s\""), Vec::<String>::new());
        assert_eq!(faults("[node]\naddress = \"nowhere\""), ["node.address"]);
        assert_eq!(faults("[node]\nlisten = \"0.0.0.0:7601\""), ["node.address"]);
        assert_eq!(faults("[node]\nlisten = \"0.0.0.0:7601\"\naddress = \"a:7601\"\nrole = \"prefill\"").len(), 0);
    }
}
