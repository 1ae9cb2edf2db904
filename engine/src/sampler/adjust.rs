//! What is done to single logits before anything is chosen: bias, banned stop tokens, penalties.
//!
//! Penalties are those of the OpenAI API (presence, frequency: taken from the logits of tokens in the
//! answer) and of CTRL (repetition: arXiv 1909.05858, prompt and answer). A bias may ban a token by
//! taking it to -inf; a logit that ends up at +inf or not a number spoils the distribution.

use protocol::ids::TokenId;
use protocol::job::{Limits, Sampling};

use super::{History, NotFinite};

/// How often each id occurs; all zero between uses, so that only what was counted is cleared.
#[derive(Debug)]
pub(super) struct Counts(Vec<u32>);

impl Counts {
    pub(super) fn new(vocabulary: usize) -> Self {
        Self(vec![0; vocabulary])
    }

    /// Changes the logit of each different token once, knowing how often the token occurs.
    fn change<'a>(
        &mut self,
        logits: &mut Logits<'_>,
        tokens: impl Iterator<Item = &'a TokenId> + Clone,
        change: impl Fn(f32, u32) -> f32,
    ) {
        if self.0.len() < logits.values.len() {
            self.0.resize(logits.values.len(), 0);
        }
        for token in tokens.clone() {
            if let Some(count) = self.0.get_mut(token.0 as usize) {
                *count += 1;
            }
        }
        for token in tokens {
            if let Some(count) = self.0.get_mut(token.0 as usize).map(std::mem::take).filter(|count| *count > 0) {
                logits.change(*token, |logit| change(logit, count));
            }
        }
    }
}

/// The logits, whether any was changed, and whether any cannot be used since.
struct Logits<'a> {
    values: &'a mut [f32],
    changed: bool,
    spoilt: bool,
}

impl Logits<'_> {
    /// Ids that the model does not have are passed over.
    fn change(&mut self, token: TokenId, change: impl FnOnce(f32) -> f32) {
        if let Some(logit) = self.values.get_mut(token.0 as usize) {
            *logit = change(*logit);
            self.changed = true;
            self.spoilt |= logit.is_nan() || *logit == f32::INFINITY;
        }
    }
}

/// Changes the logits as the request asks; says whether it changed any.
///
/// # Errors
/// A logit that is +inf or not a number now.
pub(super) fn adjust(
    logits: &mut [f32],
    counts: &mut Counts,
    sampling: &Sampling,
    limits: &Limits,
    history: History<'_>,
) -> Result<bool, NotFinite> {
    let mut logits = Logits { values: logits, changed: false, spoilt: false };
    for (token, bias) in &sampling.logit_bias {
        logits.change(*token, |logit| logit + bias);
    }
    if (history.answer.len() as u64) < limits.min_tokens.0 {
        for token in &limits.stop_ids {
            logits.change(*token, |_| f32::NEG_INFINITY);
        }
    }
    let penalty = sampling.repetition_penalty;
    if penalty != 1.0 {
        counts.change(&mut logits, history.prompt.iter().chain(history.answer), |logit, _| {
            if logit > 0.0 { logit / penalty } else { logit * penalty }
        });
    }
    if sampling.presence_penalty != 0.0 || sampling.frequency_penalty != 0.0 {
        counts.change(&mut logits, history.answer.iter(), |logit, count| {
            logit - (sampling.presence_penalty + sampling.frequency_penalty * count as f32)
        });
    }
    if logits.spoilt { Err(NotFinite) } else { Ok(logits.changed) }
}
