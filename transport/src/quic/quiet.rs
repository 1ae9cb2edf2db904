//! Says the same refusal of the same machine once, however often it comes again: a node that dials each
//! second with a foreign certificate must not fill the log.

use std::collections::VecDeque;
use std::net::IpAddr;

/// Refusals that are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 256;

/// What was said already.
#[derive(Debug, Default)]
pub struct Quiet {
    said: VecDeque<(IpAddr, String)>,
}

impl Quiet {
    /// Whether this is news. Ports do not count: each attempt comes from another.
    pub fn is_news(&mut self, peer: IpAddr, problem: &str) -> bool {
        if self.said.iter().any(|(known, said)| *known == peer && said == problem) {
            return false;
        }
        if self.said.len() >= REMEMBERED {
            self.said.pop_front();
        }
        self.said.push_back((peer, problem.to_owned()));
        true
    }

    /// The peer was let in: its next refusal is news again.
    pub fn forget(&mut self, peer: IpAddr) {
        self.said.retain(|(known, _)| *known != peer);
    }
}

#[cfg(test)]
mod tests;
