//! Thresholds for a wished share of requests, or for a wished cost.
//!
//! Rules: the share that goes up is never above what was wished: where many prompts have one score, they stay
//! together, below. Cost is the mean of one request.

use protocol::units::Nanos;

use super::Score;
use super::tiers::{BadCuts, Cuts};

/// What is wished for.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Shares of the requests that go above each cut, descending, each in 0..=1; one for two tiers.
    Shares(Vec<f64>),
    /// The mean cost of a request, where one costs so much on the lower tier and so much on the upper.
    Cost {
        /// On the lower.
        small: Nanos,
        /// On the upper.
        large: Nanos,
        /// The mean that is not to be passed.
        most: Nanos,
    },
}

/// How both tiers did with a prompt, each in 0..1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    /// The lower.
    pub small: f64,
    /// The upper.
    pub large: f64,
}

/// Thresholds, and what they would have done with the prompts.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrated {
    /// The thresholds.
    pub cuts: Cuts,
    /// Shares that would have gone above each.
    pub shares: Vec<f64>,
    /// The mean outcome over the labelled prompts, everything above the first cut counting as the upper tier.
    pub quality: Option<f64>,
}

/// Why there are no thresholds.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalibrateError {
    /// Nothing to calibrate on.
    #[error("there are no prompts: give at least one")]
    Empty,
    /// One outcome for each prompt, or none.
    #[error("there are {labels} labels for {scores} prompts: give one for each, or none")]
    Labels {
        /// How many.
        labels: usize,
        /// Of how many.
        scores: usize,
    },
    /// A share is no share.
    #[error("a share is {0}: give numbers from 0 to 1, descending")]
    Share(f64),
    /// The wished cost is below that of the lower tier.
    #[error("a mean cost of {most} is wished, but the lower tier alone costs {small}: wish for at least that")]
    Cheap {
        /// The wish.
        most: Nanos,
        /// The least.
        small: Nanos,
    },
    /// The thresholds make no sense together.
    #[error(transparent)]
    Cuts(#[from] BadCuts),
}

/// Thresholds for what is wished, over the scores of prompts as they come.
///
/// # Errors
/// There is no score, the labels do not fit, or the wish cannot be fulfilled.
pub fn calibrate(scores: &[Score], labels: &[Label], target: &Target) -> Result<Calibrated, CalibrateError> {
    if scores.is_empty() {
        return Err(CalibrateError::Empty);
    }
    if !labels.is_empty() && labels.len() != scores.len() {
        return Err(CalibrateError::Labels { labels: labels.len(), scores: scores.len() });
    }
    let shares = shares(target)?;
    let mut needs: Vec<f64> = scores.iter().map(|score| score.need()).collect();
    needs.sort_by(|a, b| b.total_cmp(a));
    let cuts = Cuts::new(shares.iter().map(|share| cut(&needs, *share)).collect())?;
    Ok(Calibrated::of(cuts, scores, labels))
}

impl Calibrated {
    /// What thresholds do with prompts. Labels are for each prompt or for none.
    pub fn of(cuts: Cuts, scores: &[Score], labels: &[Label]) -> Self {
        let all = scores.len().max(1) as f64;
        let reached = |tier: usize| scores.iter().filter(|score| cuts.tier(**score) > tier).count() as f64;
        let shares = (0..cuts.as_slice().len()).map(|tier| reached(tier) / all).collect();
        let outcome = |(score, label): (&Score, &Label)| if cuts.tier(*score) > 0 { label.large } else { label.small };
        let quality = (!labels.is_empty()).then(|| scores.iter().zip(labels).map(outcome).sum::<f64>() / all);
        Self { cuts, shares, quality }
    }
}

fn shares(target: &Target) -> Result<Vec<f64>, CalibrateError> {
    match target {
        Target::Shares(shares) => {
            let mut before = 1.0;
            for share in shares.iter().copied() {
                if !(0.0..=before).contains(&share) {
                    return Err(CalibrateError::Share(share));
                }
                before = share;
            }
            Ok(shares.clone())
        }
        Target::Cost { small, large, most } => {
            if most < small {
                return Err(CalibrateError::Cheap { most: *most, small: *small });
            }
            // An upper tier that is not dearer may have everything.
            let room = (most.0 - small.0) as f64;
            let dearer = large.0.saturating_sub(small.0) as f64;
            Ok(vec![if dearer > 0.0 { (room / dearer).min(1.0) } else { 1.0 }])
        }
    }
}

/// Halfway between the last that goes up and the first that stays; 1, which nobody passes, if there is no such
/// place.
fn cut(descending: &[f64], share: f64) -> f64 {
    // A share such as 0.3 of ten is 2.9999999999999996.
    let up = (share * descending.len() as f64 + 1e-9) as usize;
    let Some(stays) = descending.get(up).copied() else { return 0.0 };
    let above = descending.iter().take(up).rev().find(|need| **need > stays);
    above.map_or(1.0, |above| f64::midpoint(*above, stays))
}

#[cfg(test)]
mod tests;
