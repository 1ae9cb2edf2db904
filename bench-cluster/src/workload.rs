//! Who says what, and when: all of it follows from a seed.
//!
//! Rules: the mock's tokens are bytes, so that lengths in tokens are lengths of text. Conversations of a group
//! begin with the same words, and no others do. They begin at random moments (Poisson), at so many a second,
//! whatever the cluster does; within one, people think for a while before they go on.

use std::time::Duration;

use policy::restart::Jitter;

/// What a set of conversations is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Conversations of one group share their beginning; with none, no two share anything.
    pub(crate) groups: usize,
    /// Length of that beginning.
    pub(crate) prompt: usize,
    pub(crate) conversations: usize,
    /// Questions in each.
    pub(crate) turns: usize,
    /// Length of a question.
    pub(crate) question: usize,
    /// Conversations that begin in a second, on average.
    pub(crate) rate: f64,
    /// How long people think between an answer and their next question, on average.
    pub(crate) pause: Duration,
}

/// One conversation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conversation {
    /// When it begins.
    pub(crate) at: Duration,
    /// What comes before all questions.
    pub(crate) system: String,
    pub(crate) turns: Vec<Turn>,
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    /// How long after the last answer it is asked.
    pub(crate) after: Duration,
    pub(crate) question: String,
}

/// Random numbers, moments and words of a seed.
#[derive(Clone, Debug)]
pub(crate) struct Draw(Jitter);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        // Seeds that follow each other would else give sequences that overlap.
        Self(Jitter::new(seed.wrapping_mul(0xd134_2543_de82_ef95)))
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((self.0.draw() * bound as f64) as usize).min(bound.saturating_sub(1))
    }

    /// The time to the next of events that come at random, so long apart on average.
    pub(crate) fn interval(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.0.draw()).ln())
    }

    /// So many letters in words.
    pub(crate) fn words(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz      ";
        let letter = |place: usize| char::from(LETTERS.get(place).copied().unwrap_or(b' '));
        (0..length).map(|_| letter(self.below(LETTERS.len()))).collect()
    }
}

/// The conversations of a seed, in the order in which they begin.
pub(crate) fn conversations(shape: &Shape, seed: u64) -> Vec<Conversation> {
    let mut draw = Draw::new(seed);
    let prompts: Vec<String> = (0..shape.groups).map(|_| draw.words(shape.prompt)).collect();
    let mut at = Duration::ZERO;
    let every = Duration::from_secs_f64(1.0 / shape.rate.max(1e-3));
    let mut all = Vec::with_capacity(shape.conversations);
    for _ in 0..shape.conversations {
        at += draw.interval(every);
        let group = draw.below(prompts.len());
        let system = prompts.get(group).cloned().unwrap_or_else(|| draw.words(shape.prompt));
        let turns = (0..shape.turns)
            .map(|turn| Turn {
                after: if turn == 0 { Duration::ZERO } else { draw.interval(shape.pause) },
                question: draw.words(shape.question),
            })
            .collect();
        all.push(Conversation { at, system, turns });
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SHAPE: Shape = Shape {
        groups: 5,
        prompt: 200,
        conversations: 400,
        turns: 3,
        question: 20,
        rate: 10.0,
        pause: Duration::from_secs(1),
    };

    #[test]
    fn a_seed_says_it_all() {
        assert_eq!(conversations(&SHAPE, 1), conversations(&SHAPE, 1));
        assert_ne!(conversations(&SHAPE, 1), conversations(&SHAPE, 2));
    }

    #[test]
    fn conversations_share_what_their_groups_do_and_come_at_their_rate() {
        let all = conversations(&SHAPE, 3);
        let beginnings: BTreeSet<&str> = all.iter().map(|one| one.system.as_str()).collect();
        assert_eq!(beginnings.len(), 5);
        assert!(all.iter().all(|one| one.system.len() == 200 && one.turns.len() == 3));
        let span = all.last().unwrap().at.as_secs_f64();
        assert!((32.0..48.0).contains(&span), "400 at 10 a second took {span} s");
        assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let alone = conversations(&Shape { groups: 0, ..SHAPE }, 3);
        let beginnings: BTreeSet<&str> = alone.iter().map(|one| one.system.as_str()).collect();
        assert_eq!(beginnings.len(), 400);
    }
}
