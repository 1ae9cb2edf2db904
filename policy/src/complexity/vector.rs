//! One turn as numbers.

use super::features::{COUNT, features};
use super::grams::grams;
use super::text::{Folded, Kind};

/// What weights are multiplied with.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// In the order of [`super::NAMES`], each in 0..1.
    pub counts: [f32; COUNT],
    /// Buckets below [`super::BUCKETS`], with their values.
    pub grams: Vec<(u32, f32)>,
    /// Words and numbers of the turn.
    pub words: usize,
    /// The share of its letters that are not Latin.
    pub(super) foreign: f32,
}

impl Vector {
    /// Of the newest turn, or of a text alone.
    pub fn of(text: &str) -> Self {
        Self::window(text, 2048, 1024)
    }

    /// Of a turn before it.
    pub(super) fn of_earlier(text: &str) -> Self {
        Self::window(text, 512, 256)
    }

    fn window(text: &str, head: usize, tail: usize) -> Self {
        let folded = Folded::of(text, head, tail);
        let (counts, foreign) = features(&folded);
        let words = folded.tokens().iter().filter(|token| token.kind != Kind::Sign).count();
        Self { counts, grams: grams(&folded), words, foreign }
    }
}
