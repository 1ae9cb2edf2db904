//! What is asked: labelled prompts that the weights have not seen, or made-up ones where there are none, and a day of
//! requests that are made of them.
//!
//! Rules: prompts are dealt like cards, so that within a day each is asked as often as any other, give or take one.
//! Requests have the lengths of the workload, whatever their texts: the texts decide where they go, the lengths what
//! they cost. In a conversation all turns are of one task, and the scorer sees those before.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use policy::complexity::{LinearScorer, Prompt, Score, Scorer};
use policy::restart::Jitter;
use protocol::request::{ChatMessage, Input, Tools};
use training::data::{self, DataError, Example};

use super::setting::Workload;

/// Seconds of an hour.
const HOUR: f64 = 3600.0;
/// Turns that are looked at besides the newest: more change nothing.
const EARLIER: usize = 3;
/// Made-up prompts.
const MADE_UP: usize = 200;

/// A prompt, and what the cluster thinks of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is.
    pub example: Example,
    /// How hard it is.
    pub score: Score,
}

/// Prompts to ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Those that are asked.
    pub items: Vec<Item>,
    /// Those that the weights were learned from; none if the prompts are made up.
    pub learned: Vec<Example>,
    /// Whether there are scores of models.
    pub labelled: bool,
}

/// One request of a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// Since midnight.
    pub at: Duration,
    /// Which prompt.
    pub item: usize,
    /// Which conversation.
    pub conversation: u64,
    /// How hard it is, with the turns before it.
    pub score: Score,
}

impl Pool {
    /// The held-out fifth of a file of labelled prompts.
    ///
    /// # Errors
    /// The file cannot be read or used.
    pub fn labelled(path: &Path, scorer: &LinearScorer) -> Result<Self, DataError> {
        let (learned, held) = data::split(data::read(&[path.to_owned()])?);
        Ok(Self { items: scored(held, scorer), learned, labelled: true })
    }

    /// Prompts by seed, for where there is no file.
    pub fn made_up(seed: u64, scorer: &LinearScorer) -> Self {
        const TASKS: [(&str, [&str; 4]); 4] = [
            ("household", ["What do people use to", "Where would you keep", "Which room holds", "Name something to"]),
            (
                "sums",
                ["Work out step by step", "If each costs $3, how much is", "Compute the total of", "Solve for x:"],
            ),
            ("code", ["Write a Python function that returns", "Fix this loop:", "Write a test for", "Refactor"]),
            ("facts", ["Who wrote", "In which year was", "What is the capital of", "Who first described"]),
        ];
        const THINGS: [&str; 8] =
            ["a broom", "the red boxes", "3x + 5 = 20", "the first primes", "an old map", "a list", "the sea", "rain"];
        let mut random = Jitter::new(seed ^ 0x00da_7a00);
        let mut below = |bound: usize| ((random.draw() * bound as f64) as usize).min(bound.saturating_sub(1));
        let mut examples = Vec::new();
        for number in 0..MADE_UP {
            let Some((task, openings)) = TASKS.get(below(TASKS.len())) else { continue };
            let words = [openings.get(below(openings.len())), THINGS.get(below(THINGS.len()))];
            let text = format!("{} ({number})?", words.into_iter().flatten().copied().collect::<Vec<_>>().join(" "));
            examples.push(Example { task: (*task).to_owned(), text, ..Example::default() });
        }
        Self { items: scored(examples, scorer), learned: Vec::new(), labelled: false }
    }

    /// What the tiers of a mix got for each prompt; none if the data does not say, or the mix not whose scores.
    ///
    /// # Errors
    /// The data has no scores of a model: its name.
    pub fn labels(&self, mix: &super::setting::Mix) -> Result<Option<Vec<Vec<f64>>>, String> {
        if !self.labelled || mix.tiers.iter().any(|tier| tier.labels.is_empty()) {
            return Ok(None);
        }
        let mean = |example: &Example, names: &[String]| {
            let scores = names.iter().map(|name| example.scores.get(name).copied().ok_or_else(|| name.clone()));
            scores.sum::<Result<f64, _>>().map(|sum| sum / names.len() as f64)
        };
        let of = |item: &Item| mix.tiers.iter().map(|tier| mean(&item.example, &tier.labels)).collect();
        self.items.iter().map(of).collect::<Result<Vec<Vec<f64>>, _>>().map(Some)
    }

    /// A day of requests, in the order in which they come, in conversations of so many turns.
    pub fn day(
        &self,
        workload: &Workload,
        turns: u32,
        pause: Duration,
        seed: u64,
        scorer: &LinearScorer,
    ) -> Vec<Arrival> {
        let turns = turns.clamp(1, workload.requests.max(1));
        let starts = workload.requests.div_ceil(turns);
        let mut deck = Deck::new(&self.items, seed);
        let mut spread = Jitter::new(seed ^ 0x7135);
        let mut day = Vec::with_capacity(workload.requests as usize);
        for conversation in 0..starts {
            // One in each part of the day that holds as many as any other: the number of a day is exact.
            let part = (f64::from(conversation) + spread.draw()) / f64::from(starts);
            let mut at = moment(&workload.hours, part);
            let mut earlier: VecDeque<usize> = VecDeque::new();
            for turn in 0..turns.min(workload.requests - conversation * turns) {
                let Some(item) = deck.deal(turn == 0) else { return day };
                let score = if turns == 1 { self.score(item) } else { self.in_talk(item, &earlier, turn, scorer) };
                day.push(Arrival { at, item, conversation: conversation.into(), score });
                earlier.push_front(item);
                earlier.truncate(EARLIER);
                at += pause;
            }
        }
        day.sort_by_key(|arrival| (arrival.at, arrival.conversation));
        day
    }

    /// How hard a prompt is.
    pub fn score(&self, item: usize) -> Score {
        self.items.get(item).map_or(Score::new(0.5, 0.5), |item| item.score)
    }

    fn in_talk(&self, item: usize, earlier: &VecDeque<usize>, turn: u32, scorer: &LinearScorer) -> Score {
        let text = |at: &usize| self.items.get(*at).map_or("", |item| item.example.text.as_str());
        // What lies further back counts as a turn, not as words.
        let lost = (turn as usize).saturating_sub(earlier.len());
        let talk = std::iter::repeat_n("…", lost).chain(earlier.iter().rev().map(text)).chain([text(&item)]);
        let answered = talk.flat_map(|text| [ChatMessage::new("user", text), ChatMessage::new("assistant", "…")]);
        let mut messages: Vec<ChatMessage> = answered.collect();
        // The newest has no answer yet.
        messages.pop();
        scorer.score(&Prompt::of(&Input::Chat(messages), &Tools::default()))
    }
}

fn scored(examples: Vec<Example>, scorer: &LinearScorer) -> Vec<Item> {
    let of = |example: Example| Item { score: scorer.score(&Prompt::text(&example.text)), example };
    examples.into_iter().map(of).collect()
}

/// When so much of a day's requests has come.
fn moment(hours: &[u32], part: f64) -> Duration {
    let sum: u32 = hours.iter().sum();
    let mut left = part.clamp(0.0, 1.0) * f64::from(sum);
    let mut at = 0.0;
    for hour in hours.iter().copied().map(f64::from) {
        if left < hour {
            return Duration::from_secs_f64(at + HOUR * left / hour);
        }
        left -= hour;
        at += HOUR;
    }
    Duration::from_secs_f64(at)
}

/// Prompts by task, dealt like cards.
struct Deck {
    tasks: BTreeMap<String, Pile>,
    order: Pile,
    /// The task of the conversation that goes on.
    task: String,
    names: Vec<String>,
}

struct Pile {
    cards: Vec<usize>,
    left: Vec<usize>,
    random: Jitter,
}

impl Pile {
    fn new(cards: Vec<usize>, seed: u64) -> Self {
        Self { cards, left: Vec::new(), random: Jitter::new(seed) }
    }

    fn deal(&mut self) -> Option<usize> {
        if self.left.is_empty() {
            self.left.clone_from(&self.cards);
            for last in (1..self.left.len()).rev() {
                let other = (self.random.draw() * (last + 1) as f64) as usize;
                self.left.swap(last, other.min(last));
            }
        }
        self.left.pop()
    }
}

impl Deck {
    fn new(items: &[Item], seed: u64) -> Self {
        let mut piles: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, item) in items.iter().enumerate() {
            piles.entry(&item.example.task).or_default().push(at);
        }
        let names: Vec<String> = items.iter().map(|item| item.example.task.clone()).collect();
        let tasks =
            piles.into_iter().zip(1..).map(|((task, cards), salt)| (task.to_owned(), Pile::new(cards, seed ^ salt)));
        Self { tasks: tasks.collect(), order: Pile::new((0..items.len()).collect(), seed), task: String::new(), names }
    }

    /// The next prompt; of the same task, unless a conversation begins.
    fn deal(&mut self, begins: bool) -> Option<usize> {
        if begins {
            // Conversations begin with every prompt equally often, so that tasks have the share that they have.
            let first = self.order.deal()?;
            self.task = self.names.get(first).cloned().unwrap_or_default();
            return Some(first);
        }
        self.tasks.get_mut(&self.task)?.deal()
    }
}

#[cfg(test)]
pub(crate) mod tests;
