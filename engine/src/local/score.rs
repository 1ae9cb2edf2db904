//! How probable a model finds a text: for perplexity.

use protocol::engine::EngineError;
use protocol::ids::TokenId;

use super::LocalEngine;
use crate::blocks::BlockId;

impl LocalEngine {
    /// The log-probability (natural) of each token but the first, given those before it.
    ///
    /// The text is computed in one step, in blocks that are borrowed for it.
    ///
    /// # Errors
    /// A device that fails, or a text that is longer than a step or than what is free of the cache.
    pub fn score(&mut self, tokens: &[TokenId]) -> Result<Vec<f32>, EngineError> {
        let needed = tokens.len().div_ceil(self.block);
        let blocks = if tokens.len() > self.rows { None } else { self.scheduler.lend(needed) };
        let blocks = blocks.ok_or_else(|| {
            EngineError::Invariant(format!(
                "{} tokens cannot be scored: a step takes {}, and {needed} blocks must be free",
                tokens.len(),
                self.rows
            ))
        })?;
        let scores = self.score_in(tokens, &blocks);
        self.scheduler.give_back(blocks);
        scores
    }

    fn score_in(&mut self, tokens: &[TokenId], blocks: &[BlockId]) -> Result<Vec<f32>, EngineError> {
        self.batch.clear(self.block);
        let table = blocks.iter().map(|block| block.index() as u32);
        self.batch.push(tokens.iter().map(|token| token.0), 0, table, false);
        self.batch.sampled.extend(0..tokens.len().saturating_sub(1));
        let vocabulary = self.card.vocabulary.max(1) as usize;
        let mut logits = self.model.forward(&self.batch, blocks, &mut self.profile)?;
        let rows = logits.all().chunks_exact(vocabulary);
        Ok(rows.zip(tokens.iter().skip(1)).map(|(logits, token)| logprob(logits, token.0 as usize)).collect())
    }
}

fn logprob(logits: &[f32], token: usize) -> f32 {
    let most = logits.iter().fold(f32::NEG_INFINITY, |most, logit| most.max(*logit));
    let total: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    let logit = logits.get(token).copied().unwrap_or(f32::NEG_INFINITY);
    (f64::from(logit - most) - total.ln()) as f32
}
