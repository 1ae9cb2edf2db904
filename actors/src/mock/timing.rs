//! What a step of the mock costs: a linear model of a machine, with the terms of attention.

use std::time::Duration;

/// Tokens of context that a [`Timing`] names a time for.
const CONTEXT_UNIT: u128 = 1024;

/// What a step of the imitated machine costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Each prompt token.
    pub prefill_per_token: Duration,
    /// Each step in which some sequence decodes: reading the weights.
    pub decode_per_step: Duration,
    /// Each sequence that decodes.
    pub decode_per_sequence: Duration,
    /// Each prompt token, further, for each 1,024 tokens of context before it: attention.
    pub prefill_per_context: Duration,
    /// Each sequence that decodes, further, for each 1,024 tokens of its context: reading keys and values.
    pub decode_per_context: Duration,
}

impl Timing {
    /// What takes no time.
    pub const ZERO: Self = Self {
        prefill_per_token: Duration::ZERO,
        decode_per_step: Duration::ZERO,
        decode_per_sequence: Duration::ZERO,
        prefill_per_context: Duration::ZERO,
        decode_per_context: Duration::ZERO,
    };

    /// How long a step takes.
    pub(super) fn pace(&self, work: &Work) -> Duration {
        let step = if work.decodes > 0 { self.decode_per_step.as_nanos() } else { 0 };
        let plain = self.prefill_per_token.as_nanos() * u128::from(work.prefill)
            + self.decode_per_sequence.as_nanos() * u128::from(work.decodes);
        // Divided once, at the end: a token's share of a few nanoseconds must not be cut to nothing.
        let context = self.prefill_per_context.as_nanos() * work.prefill_context
            + self.decode_per_context.as_nanos() * work.decode_context;
        Duration::from_nanos(u64::try_from(step + plain + context / CONTEXT_UNIT).unwrap_or(u64::MAX))
    }
}

/// What a step has to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    /// Prompt tokens.
    prefill: u64,
    /// The sum, over these, of the tokens before each.
    prefill_context: u128,
    /// Sequences that decode.
    decodes: u64,
    /// The sum, over these, of the tokens before the next.
    decode_context: u128,
}

impl Work {
    /// So many more prompt tokens after so many that are computed.
    pub(super) fn prefill(&mut self, tokens: usize, after: usize) {
        let (tokens, after) = (tokens as u128, after as u128);
        self.prefill += u64::try_from(tokens).unwrap_or(u64::MAX);
        self.prefill_context += tokens * after + tokens * tokens.saturating_sub(1) / 2;
    }

    /// One more sequence that decodes.
    pub(super) fn decode(&mut self, after: usize) {
        self.decodes += 1;
        self.decode_context += after as u128;
    }
}
