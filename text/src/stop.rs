//! Stop texts: an answer ends right before the first of them.
//!
//! What might be the beginning of a stop text is held back until it is decided. Texts are matched as
//! bytes, cuts are made at characters: a stop text is valid UTF-8, so the two agree.

/// What a piece of text gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopOutcome {
    /// Text that is certainly before any stop.
    pub emit: String,
    /// The stop text that was found, by its index. Nothing follows.
    pub stopped: Option<usize>,
}

/// The state of one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopMatcher {
    stops: Vec<String>,
    held: String,
    done: bool,
}

impl StopMatcher {
    /// With these stop texts; empty ones are ignored.
    pub fn new(stops: &[String]) -> Self {
        Self { stops: stops.to_vec(), held: String::new(), done: false }
    }

    /// Takes the next piece of text.
    pub fn push(&mut self, text: &str) -> StopOutcome {
        if self.done {
            return StopOutcome::default();
        }
        self.held.push_str(text);
        if let Some((at, which)) = self.first() {
            self.done = true;
            let mut emit = std::mem::take(&mut self.held);
            emit.truncate(at);
            return StopOutcome { emit, stopped: Some(which) };
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        StopOutcome { emit: std::mem::replace(&mut self.held, rest), stopped: None }
    }

    /// Takes a piece of text that no stop may end, such as one before `min_tokens`.
    pub fn pass(&mut self, text: &str) -> String {
        let mut emit = std::mem::take(&mut self.held);
        emit.push_str(text);
        emit
    }

    /// What was held back at the end of the text.
    pub fn flush(&mut self) -> String {
        self.done = true;
        std::mem::take(&mut self.held)
    }

    /// The stop text that is complete first; the longest, if two end there. So the outcome does not
    /// depend on how the text was cut into pieces.
    fn first(&self) -> Option<(usize, usize)> {
        let found = self.stops.iter().enumerate().filter(|(_, stop)| !stop.is_empty());
        found
            .filter_map(|(which, stop)| self.held.find(stop.as_str()).map(|at| (at, which)))
            .min_by_key(|(at, which)| (*at + self.stops.get(*which).map_or(0, String::len), *at))
    }
}

/// How many bytes at the end of `text` are the beginning of `stop`, but not all of it.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = stop.len().saturating_sub(1).min(text.len());
    (1..=longest)
        .rev()
        .find(|n| stop.is_char_boundary(*n) && text.as_bytes().ends_with(&stop.as_bytes()[..*n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
