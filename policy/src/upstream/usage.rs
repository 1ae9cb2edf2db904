//! Whether what a provider says it used is believed.
//!
//! Rules:
//! - What it says is the best figure there is, as long as it can be true: its tokenizer is its own.
//! - Who says nothing is billed by our own count. So is who says nothing came when text did, or far too little of it.
//! - Nothing is booked beyond the bound that was reserved. What is claimed beyond it is told, not booked.
//! - Own counts are rather too high: see [`estimate`].

use protocol::units::Tokens;

/// Bytes of text that a token is taken to hold: fewer than with any common tokenizer for English (4 to 5) and code
/// (3 to 4), so that the estimate is rather too high.
const BYTES_PER_TOKEN: usize = 3;
/// A provider that counts fewer than one token for so many of ours is not believed. A run of the same character may
/// be one token for 64 bytes.
const LOW: u64 = 32;
/// Who counts, in the middle of an answer, fewer than one token for so many of ours has not counted yet. Ours are bytes
/// by three, and few texts have more than a dozen bytes to a token.
const PARTIAL: u64 = 4;

/// What a provider says it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderUsage {
    /// Tokens of the prompt, cached ones among them.
    pub prompt: Tokens,
    /// Of these, from its cache.
    pub cached: Tokens,
    /// Tokens of all answers, those of hidden reasoning among them.
    pub completion: Tokens,
    /// Of these, of hidden reasoning.
    pub reasoning: Tokens,
}

/// What we know ourselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// The prompt, as estimated or counted.
    pub prompt_estimate: Tokens,
    /// What came of all answers, as estimated or counted.
    pub completion_estimate: Tokens,
    /// The most that may be booked.
    pub bound: Bound,
}

/// The most that may be booked: what was reserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Of the prompt.
    pub prompt: Tokens,
    /// Of all answers.
    pub completion: Tokens,
}

/// What is booked, and why it is not what was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Believed {
    /// What is booked.
    pub usage: ProviderUsage,
    /// Why it is not what was claimed.
    pub doubt: Option<Doubt>,
}

/// Why a claim is not booked as it is. Of several reasons, the one that stands first here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing was claimed.
    Missing,
    /// More than the bound was claimed.
    TooHigh {
        /// The claim.
        claimed: ProviderUsage,
    },
    /// Far less was claimed than came or was sent.
    TooLow {
        /// The claim.
        claimed: ProviderUsage,
    },
    /// More of the prompt came from a cache than there is of it, or more reasoning than answer.
    Contradictory {
        /// The claim.
        claimed: ProviderUsage,
    },
}

impl Doubt {
    /// For metrics and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooHigh { .. } => "too_high",
            Self::TooLow { .. } => "too_low",
            Self::Contradictory { .. } => "contradictory",
        }
    }

    /// Tokens that were claimed beyond what is booked, of prompt and answers.
    pub fn beyond(self, booked: &ProviderUsage) -> (Tokens, Tokens) {
        match self {
            Self::Missing => (Tokens::ZERO, Tokens::ZERO),
            Self::TooHigh { claimed } | Self::TooLow { claimed } | Self::Contradictory { claimed } => {
                (claimed.prompt - booked.prompt, claimed.completion - booked.completion)
            }
        }
    }
}

/// Tokens that text is taken to have: one for each three bytes, rounded up. It is above the count of common
/// tokenizers for prose and code; digits, rare scripts and noise may have up to one token per byte.
pub fn estimate(text: &str) -> Tokens {
    estimate_bytes(text.len())
}

/// As [`estimate`], of text of so many bytes.
pub fn estimate_bytes(bytes: usize) -> Tokens {
    Tokens::of(bytes.div_ceil(BYTES_PER_TOKEN))
}

/// What is booked of a claim, given what we know ourselves.
pub fn believe(claimed: Option<ProviderUsage>, own: Own) -> Believed {
    let Some(claimed) = claimed else {
        let usage = ProviderUsage {
            prompt: own.prompt_estimate.min(own.bound.prompt),
            completion: own.completion_estimate.min(own.bound.completion),
            ..ProviderUsage::default()
        };
        return Believed { usage, doubt: Some(Doubt::Missing) };
    };
    let high = claimed.prompt > own.bound.prompt || claimed.completion > own.bound.completion;
    let low_prompt = is_low(claimed.prompt, own.prompt_estimate);
    let low_completion = is_low(claimed.completion, own.completion_estimate);
    let wild = claimed.cached > claimed.prompt || claimed.reasoning > claimed.completion;
    let prompt = if low_prompt { own.prompt_estimate } else { claimed.prompt }.min(own.bound.prompt);
    let completion =
        if low_completion { own.completion_estimate } else { claimed.completion }.min(own.bound.completion);
    let usage = ProviderUsage {
        prompt,
        // A cache that holds more than the prompt is not believed at all: it makes a bill smaller.
        cached: if claimed.cached > claimed.prompt { Tokens::ZERO } else { claimed.cached.min(prompt) },
        completion,
        reasoning: claimed.reasoning.min(completion),
    };
    let doubt = if high {
        Some(Doubt::TooHigh { claimed })
    } else if low_prompt || low_completion {
        Some(Doubt::TooLow { claimed })
    } else if wild {
        Some(Doubt::Contradictory { claimed })
    } else {
        None
    };
    Believed { usage, doubt }
}

/// What a provider has claimed of an answer that did not come to its end. Some tell how much there is with every
/// piece; others at the end alone, and what they had said until then is no word on the answer: our own count is.
pub fn unfinished(claimed: ProviderUsage, own: &Own) -> ProviderUsage {
    let told = claimed.completion.0.saturating_mul(PARTIAL) >= own.completion_estimate.0;
    ProviderUsage { completion: if told { claimed.completion } else { own.completion_estimate }, ..claimed }
}

fn is_low(claimed: Tokens, own: Tokens) -> bool {
    claimed.0.saturating_mul(LOW) < own.0
}

#[cfg(test)]
mod tests;
