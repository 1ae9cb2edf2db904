//! What was sent to one worker, as far as its last report does not hold it.
//!
//! Rules:
//! - A job stands here from the moment it is placed until it ends, is refused or is given up. No report takes
//!   it out: one that was made before the job came would erase a job that is there.
//! - What a report tells is how much of the jobs it knows. It knows those that were granted a moment before it
//!   came: [`SLACK`] covers a report that was under way when the grant was. All others are fresh, and are added
//!   to what it says.
//! - Known jobs that have ended since, or whose prompt is computed (their first token came), are taken off
//!   again. So a figure is not as old as the report, but as the last thing heard of any of the jobs.
//! - A node holds at least the jobs that were granted and have not ended, whatever it says.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::units::Tokens;

/// How much younger than a grant a report must be to know its job.
pub const SLACK: Duration = Duration::from_millis(20);

/// What to correct in a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Prompt tokens to compute, of jobs that the report does not know.
    pub fresh: Tokens,
    /// These jobs.
    pub fresh_jobs: u32,
    /// Prompt tokens of jobs that the report knows, whose first token is yet to come.
    pub known: Tokens,
    /// Jobs that the report knows.
    pub known_jobs: u32,
    /// Prompt tokens that were computed since.
    pub done: Tokens,
    /// Jobs that have ended since.
    pub done_jobs: u32,
}

impl Sent {
    /// Prefill that is due, where a report says so much.
    pub fn due(&self, reported: Tokens) -> Tokens {
        // A known prompt may be computed in part: the report is right, if it is the smaller.
        (reported - self.done).max(self.known).min(reported) + self.fresh
    }

    /// Jobs that are there, where a report says so many.
    pub fn held(&self, reported: u32) -> u32 {
        reported.saturating_sub(self.done_jobs).max(self.known_jobs).saturating_add(self.fresh_jobs)
    }
}

/// A job in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    /// Prompt tokens to compute, until the first token comes.
    due: Tokens,
    granted: Option<Duration>,
    /// Whether the last report knows it.
    known: bool,
}

/// All open jobs of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    open: BTreeMap<Ticket, Open>,
    next: u64,
    sent: Sent,
}

impl Ledger {
    /// A job was placed, with so many prompt tokens to compute.
    pub fn enter(&mut self, due: Tokens) -> Ticket {
        let ticket = Ticket(self.next);
        self.next = self.next.wrapping_add(1);
        self.open.insert(ticket, Open { due, granted: None, known: false });
        self.sent.fresh += due;
        self.sent.fresh_jobs = self.sent.fresh_jobs.saturating_add(1);
        ticket
    }

    /// The worker has taken it.
    pub fn granted(&mut self, now: Duration, ticket: Ticket) {
        if let Some(open) = self.open.get_mut(&ticket) {
            open.granted.get_or_insert(now);
        }
    }

    /// Its first token is there: its prompt is computed.
    pub fn computed(&mut self, ticket: Ticket) {
        let Some(open) = self.open.get_mut(&ticket) else { return };
        let due = std::mem::take(&mut open.due);
        if open.known {
            self.sent.known -= due;
            self.sent.done += due;
        } else {
            self.sent.fresh -= due;
        }
    }

    /// It has ended, in whatever way.
    pub fn ended(&mut self, ticket: Ticket) {
        self.computed(ticket);
        let Some(open) = self.open.remove(&ticket) else { return };
        if open.known {
            self.sent.known_jobs = self.sent.known_jobs.saturating_sub(1);
            self.sent.done_jobs = self.sent.done_jobs.saturating_add(1);
        } else {
            self.sent.fresh_jobs = self.sent.fresh_jobs.saturating_sub(1);
        }
    }

    /// A report came.
    pub fn on_report(&mut self, now: Duration) {
        let mut sent = Sent::default();
        for open in self.open.values_mut() {
            open.known |= open.granted.is_some_and(|granted| granted + SLACK <= now);
            let (tokens, jobs) = if open.known {
                (&mut sent.known, &mut sent.known_jobs)
            } else {
                (&mut sent.fresh, &mut sent.fresh_jobs)
            };
            *tokens += open.due;
            *jobs = jobs.saturating_add(1);
        }
        self.sent = sent;
    }

    /// What to correct in the last report.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Jobs that are open.
    pub fn jobs(&self) -> u32 {
        u32::try_from(self.open.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests;
