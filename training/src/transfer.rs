//! What holds beyond the prompts at hand: on other prompts of the same tasks, and on tasks never seen.

use std::collections::BTreeSet;

use policy::complexity::{LinearScorer, Prompt, Score, Scorer};

use crate::data::Example;
use crate::learn::{Recipe, weights};
use crate::measure::{auc, quality};
use crate::vary::stripped;

const FOLDS: usize = 5;

/// Learns from four fifths and measures on one, five times. The examples are in random order.
pub fn cross(examples: &[Example], recipe: &Recipe) -> String {
    let mut rows = Vec::new();
    for fold in 0..FOLDS {
        let (others, own) = parts(examples, fold);
        rows.push(measure(&LinearScorer::new(weights(&others, recipe)), &own));
    }
    let mean = |of: fn(&Measured) -> f64| rows.iter().map(of).sum::<f64>() / rows.len() as f64;
    format!(
        "mean of {FOLDS}: area {:.4}, without templates {:.4}, quality at 20 % {:.4}, random {:.4}\n",
        mean(|row| row.auc),
        mean(|row| row.stripped),
        mean(|row| row.quality),
        mean(|row| row.random)
    )
}

/// All but one part of the examples, and that part.
fn parts(examples: &[Example], fold: usize) -> (Vec<Example>, Vec<Example>) {
    let part = |inside: bool| {
        let own = examples.iter().enumerate().filter(move |(n, _)| (n % FOLDS == fold) == inside);
        own.map(|(_, example)| example.clone()).collect()
    };
    (part(false), part(true))
}

/// The score of each example by weights learned from the other four fifths. The examples are
/// in random order.
pub fn crossed(examples: &[Example], recipe: &Recipe) -> Vec<Score> {
    let mut scores = vec![Score::new(f64::NAN, f64::NAN); examples.len()];
    for fold in 0..FOLDS {
        let (others, own) = parts(examples, fold);
        let scorer = LinearScorer::new(weights(&others, recipe));
        let places = scores.iter_mut().skip(fold).step_by(FOLDS);
        places.zip(&own).for_each(|(score, example)| *score = scorer.score(&Prompt::text(&example.text)));
    }
    scores
}

struct Measured {
    auc: f64,
    stripped: f64,
    quality: f64,
    random: f64,
}

fn measure(scorer: &LinearScorer, held: &[Example]) -> Measured {
    let score = |text: &str| scorer.score(&Prompt::text(text));
    let area = |text: &dyn Fn(&Example) -> String| {
        let scored: Vec<_> = held.iter().map(|example| (score(&text(example)).fails(), example.fails())).collect();
        auc(&scored).unwrap_or(f64::NAN)
    };
    let ranked: Vec<_> =
        held.iter().map(|example| (score(&example.text).need(), example.small, example.large)).collect();
    let (low, high) = (quality(&ranked, 0.0), quality(&ranked, 1.0));
    Measured {
        auc: area(&|example| example.text.clone()),
        stripped: area(&|example| stripped(&example.text)),
        quality: quality(&ranked, 0.2),
        random: low + 0.2 * (high - low),
    }
}

/// The score of each held-out prompt by weights that have seen nothing of its task.
pub fn unseen(learned: &[Example], held: &[Example], recipe: &Recipe) -> Vec<Score> {
    let tasks: BTreeSet<&str> = held.iter().map(|example| example.task.as_str()).collect();
    let mut scores = vec![Score::new(f64::NAN, f64::NAN); held.len()];
    for task in tasks {
        let others: Vec<Example> = learned.iter().filter(|example| example.task != task).cloned().collect();
        let scorer = LinearScorer::new(weights(&others, recipe));
        let own = scores.iter_mut().zip(held).filter(|(_, example)| example.task == task);
        own.for_each(|(score, example)| *score = scorer.score(&Prompt::text(&example.text)));
    }
    scores
}

/// Learns without each task in turn, and measures on the held-out prompts of all of them together.
pub fn without_task(learned: &[Example], held: &[Example], recipe: &Recipe) -> String {
    let scores = unseen(learned, held, recipe);
    let rows = || scores.iter().zip(held);
    let scored: Vec<_> = rows().map(|(score, example)| (score.fails(), example.fails())).collect();
    let ranked: Vec<_> = rows().map(|(score, example)| (score.need(), example.small, example.large)).collect();
    let (low, high) = (quality(&ranked, 0.0), quality(&ranked, 1.0));
    format!(
        "\nlearned without the task that is asked about\n  area {:.3}, quality at 20 % {:.3}, random {:.3}\n",
        auc(&scored).unwrap_or(f64::NAN),
        quality(&ranked, 0.2),
        low + 0.2 * (high - low)
    )
}
