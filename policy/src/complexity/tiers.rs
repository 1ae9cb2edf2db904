//! Which tier of models answers: small ones, larger ones, a provider's.
//!
//! Rules: tiers are numbered from 0, the cheapest. Between two neighbours stands a cut: who needs more than it goes
//! up. A mode names a list of cuts; the higher they are, the cheaper it is. What a conversation has been given, it
//! keeps while its prefix is warm ([`Sticky`]); what the small model is unsure of is asked again above
//! ([`cascade()`]).

mod cascade;
mod sticky;

pub use cascade::{Cascade, Left, Next, Verdict, cascade, mean_probability};
pub use sticky::{Because, Choice, Sticky, StickySettings};

use std::fmt;
use std::str::FromStr;

use super::Score;

/// The most tiers.
pub const MAX_TIERS: usize = 8;

/// What `auto` may be told after a colon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Larger models only where they add most.
    Cheap,
    /// What `auto` means.
    #[default]
    Balanced,
    /// Larger models wherever they are expected to add something.
    Best,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cheap, Self::Balanced, Self::Best];

    /// Of a model's name: `auto`, `auto:cheap`, `auto:balanced`, `auto:best`. None if the name is no `auto` at all.
    ///
    /// # Errors
    /// It is an `auto` of another mode.
    pub fn of_model(name: &str) -> Option<Result<Self, BadMode>> {
        match name.split_once(':') {
            None => (name == "auto").then_some(Ok(Self::Balanced)),
            Some(("auto", mode)) => Some(mode.parse()),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cheap => "cheap",
            Self::Balanced => "balanced",
            Self::Best => "best",
        })
    }
}

/// Text that is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a mode of auto: write cheap, balanced or best")]
pub struct BadMode(String);

impl FromStr for Mode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<Self, BadMode> {
        let found = Self::ALL.into_iter().find(|mode| mode.to_string() == text);
        found.ok_or_else(|| BadMode(text.chars().take(64).collect()))
    }
}

/// Cuts between neighbouring tiers, ascending, each in 0..=1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cuts(Vec<f64>);

/// Numbers that are no cuts.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BadCuts {
    /// Too many.
    #[error("there are {0} thresholds: give one fewer than there are tiers, at most {most}", most = MAX_TIERS - 1)]
    Many(usize),
    /// One is outside.
    #[error("threshold {at} is {value}: give a number from 0 to 1")]
    Range {
        /// Which, from 0.
        at: usize,
        /// What it is.
        value: f64,
    },
    /// One is below the one before.
    #[error("threshold {at} is {value}, below the one before it: write them in ascending order")]
    Order {
        /// Which, from 0.
        at: usize,
        /// What it is.
        value: f64,
    },
}

impl Cuts {
    /// Checked.
    ///
    /// # Errors
    /// There are too many, one is outside 0..=1, or they descend.
    pub fn new(cuts: Vec<f64>) -> Result<Self, BadCuts> {
        if cuts.len() >= MAX_TIERS {
            return Err(BadCuts::Many(cuts.len()));
        }
        let mut before = 0.0;
        for (at, value) in cuts.iter().copied().enumerate() {
            if !(0.0..=1.0).contains(&value) {
                return Err(BadCuts::Range { at, value });
            }
            if value < before {
                return Err(BadCuts::Order { at, value });
            }
            before = value;
        }
        Ok(Self(cuts))
    }

    /// For so many tiers of a mode, where nobody has calibrated any. Of what goes up, the same share goes up again.
    pub fn standard(mode: Mode, tiers: usize) -> Self {
        let up = match mode {
            Mode::Cheap => 0.05,
            Mode::Balanced => 0.20,
            Mode::Best => 0.60,
        };
        let cuts = (1..tiers.min(MAX_TIERS)).map(|tier| 1.0 - f64::powi(up, tier as i32));
        Self(cuts.collect())
    }

    /// The cuts, ascending.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The tier of a score. A cut of 0 lets everybody up, one of 1 nobody.
    pub fn tier(&self, score: Score) -> usize {
        self.0.iter().take_while(|cut| passes(score.need(), **cut)).count()
    }
}

fn passes(need: f64, cut: f64) -> bool {
    cut <= 0.0 || (need > cut && cut < 1.0)
}

/// The cuts of every mode.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// Of `auto:cheap`.
    pub cheap: Cuts,
    /// Of `auto` and `auto:balanced`.
    pub balanced: Cuts,
    /// Of `auto:best`.
    pub best: Cuts,
}

impl Thresholds {
    /// For so many tiers, where nobody has calibrated any.
    pub fn standard(tiers: usize) -> Self {
        let of = |mode| Cuts::standard(mode, tiers);
        Self { cheap: of(Mode::Cheap), balanced: of(Mode::Balanced), best: of(Mode::Best) }
    }

    /// Of a mode.
    pub fn of(&self, mode: Mode) -> &Cuts {
        match mode {
            Mode::Cheap => &self.cheap,
            Mode::Balanced => &self.balanced,
            Mode::Best => &self.best,
        }
    }
}

/// The tier for a request that stands alone.
pub fn choose(score: Score, mode: Mode, thresholds: &Thresholds) -> usize {
    thresholds.of(mode).tier(score)
}

#[cfg(test)]
mod tests;
