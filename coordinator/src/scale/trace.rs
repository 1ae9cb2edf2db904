//! What was asked lately, as a trace.
//!
//! Rules: blocks and conversations are numbered as they first come, so that nothing of a prompt or of a tenant is in
//! a trace, not even a hash. A prompt's last block that is not full has a number of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use actors::cluster::recent::{Asked, Remembered};
use protocol::units::{Percentile, Tokens};
use replay::plan::Ends;
use replay::trace::{Request, Trace};

/// Longer prompts and answers no trace has.
const LONGEST: Tokens = Tokens(1_000_000);

/// The trace, a request for each of what was asked. What those that no node took would have been answered is not
/// known: as much as the others on average, at least one token.
pub(super) fn of(model: &str, remembered: &Remembered) -> Trace {
    let answers: Vec<u64> = remembered.asked.iter().filter_map(|asked| asked.answer).map(|answer| answer.0).collect();
    let mean = answers.iter().sum::<u64>().checked_div(answers.len() as u64).unwrap_or(1);
    let (mut blocks, mut sessions) = (Numbers::default(), Numbers::default());
    let block = remembered.block.max(Tokens(1));
    let requests = remembered.asked.iter().map(|asked| {
        let input = asked.prompt.clamp(Tokens(1), LONGEST);
        let wanted = input.blocks(block).as_usize();
        let mut names: Vec<u64> = asked.blocks.iter().take(wanted).map(|name| blocks.of(*name)).collect();
        names.resize_with(wanted, || blocks.fresh());
        Request {
            at: Duration::from_micros(u64::try_from(asked.at.as_micros()).unwrap_or(u64::MAX)),
            input,
            output: asked.answer.unwrap_or(Tokens(mean)).clamp(Tokens(1), LONGEST),
            blocks: names,
            session: asked.session.map(|session| sessions.of(session)),
        }
    });
    Trace { name: model.to_owned(), block, requests: requests.collect() }
}

/// How many of these no node took.
pub(super) fn unserved(asked: &[Asked]) -> u64 {
    asked.iter().filter(|asked| asked.answer.is_none()).count() as u64
}

/// Numbers in place of names, in the order in which they come.
#[derive(Default)]
struct Numbers {
    known: BTreeMap<u64, u64>,
    next: u64,
}

impl Numbers {
    fn of(&mut self, name: u64) -> u64 {
        if let Some(number) = self.known.get(&name) {
            return *number;
        }
        let number = self.fresh();
        self.known.insert(name, number);
        number
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

/// What was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) requests: u64,
    /// From the first that was left out to the first that was not.
    pub(super) since: Duration,
}

/// Leaves the oldest requests out, until all answers together are no longer than `most`. One stays at least.
pub(super) fn shorten(trace: &mut Trace, most: Tokens) -> LeftOut {
    let mut sum = Tokens::ZERO;
    let fits = trace.requests.iter().rev().take_while(|request| {
        sum += request.output;
        sum <= most
    });
    let keep = fits.count().max(1);
    let count = trace.requests.len().saturating_sub(keep);
    trace.requests.drain(..count);
    let since = trace.requests.first().map_or(Duration::ZERO, |first| first.at);
    for request in &mut trace.requests {
        request.at = request.at.saturating_sub(since);
    }
    LeftOut { requests: count as u64, since }
}

/// The time to the first token at a percentile, as it was; whoever no node took waits for ever.
pub(super) fn measured(asked: &[Asked], percentile: Percentile) -> Option<Duration> {
    let firsts: Vec<Duration> = asked.iter().filter_map(|asked| asked.first).collect();
    let unserved = asked.iter().filter(|asked| asked.answer.is_none()).count();
    Ends::new(firsts, unserved).at(percentile)
}

/// The trace in Mooncake's format: a JSON object on each line.
pub(super) fn lines(trace: &Trace) -> String {
    let mut bytes = Vec::new();
    // Memory takes all that is written to it, and numbers and their names are text.
    let _ = replay::trace::write(trace, &mut bytes);
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
