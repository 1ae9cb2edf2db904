//! The scheduler's own rules, for tests: whoever drives it asks after every operation.

use super::{Scheduler, Sums};

impl Scheduler {
    /// Whether all its rules hold. For tests, after every step.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check_rules(&self) -> Result<(), String> {
        self.pool.check(self.sequences.iter().map(|sequence| sequence.table.as_slice()))?;
        let (all, parts) = (self.sequences.len(), self.running.len() + self.waiting.len());
        if all != parts || all != self.ranks.len() {
            return Err(format!("{all} sequences, {parts} running or waiting, {} keys", self.ranks.len()));
        }
        if !self.running.is_sorted_by(|a, b| a < b) || !self.waiting.iter().is_sorted_by(|a, b| a < b) {
            return Err("running or waiting sequences are out of order".to_owned());
        }
        if self.ranks.values().any(|rank| self.running.contains(rank) == self.waiting.contains(rank)) {
            return Err("a sequence neither runs nor waits, or both".to_owned());
        }
        let mut sums = Sums::default();
        self.sequences.iter().for_each(|sequence| sums += sequence.sums());
        if sums != self.sums {
            return Err(format!("sequences add up to {sums:?}, but {:?} is kept", self.sums));
        }
        if self.running.len() > self.bounds.max_batch {
            return Err(format!("{} sequences run, {} may", self.running.len(), self.bounds.max_batch));
        }
        for rank in &self.waiting {
            if self.sequences.get(*rank).is_none_or(|sequence| !sequence.table.is_empty()) {
                return Err(format!("{rank:?} waits and holds blocks"));
            }
        }
        for sequence in self.sequences.iter() {
            if sequence.computed >= sequence.tokens.len()
                || sequence.computed > sequence.table.len() * self.bounds.block
            {
                return Err(format!(
                    "{} tokens of {} are computed in {} blocks",
                    sequence.computed,
                    sequence.tokens.len(),
                    sequence.table.len()
                ));
            }
        }
        Ok(())
    }
}
