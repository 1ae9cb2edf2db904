//! What holds beyond the prompts at hand: on other prompts of the same tasks, and on tasks never seen.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use policy::complexity::{LinearScorer, Prompt, Scorer};

use crate::data::Example;
use crate::learn::{Recipe, weights};
use crate::measure::{auc, quality};
use crate::vary::stripped;

const FOLDS: usize = 5;

/// Learns from four fifths and measures on one, five times. The examples are in random order.
pub(crate) fn cross(examples: &[Example], recipe: &Recipe) -> String {
    let mut rows = Vec::new();
    for fold in 0..FOLDS {
        let part = |inside: bool| -> Vec<Example> {
            let own = examples.iter().enumerate().filter(|(n, _)| (n % FOLDS == fold) == inside);
            own.map(|(_, example)| example.clone()).collect()
        };
        let scorer = LinearScorer::new(weights(&part(false), recipe));
        let measured = measure(&scorer, &part(true));
        rows.push(measured);
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

/// Learns without each task in turn, and measures on the held-out prompts of all of them together.
pub(crate) fn without_task(learned: &[Example], held: &[Example], recipe: &Recipe) -> String {
    let tasks: BTreeSet<&str> = held.iter().map(|example| example.task.as_str()).collect();
    let mut scored = Vec::new();
    let mut ranked = Vec::new();
    let mut out = "\nlearned without the task that is asked about\n".to_owned();
    for task in tasks {
        let others: Vec<Example> = learned.iter().filter(|example| example.task != task).cloned().collect();
        let scorer = LinearScorer::new(weights(&others, recipe));
        for example in held.iter().filter(|example| example.task == task) {
            let score = scorer.score(&Prompt::text(&example.text));
            scored.push((score.fails(), example.fails()));
            ranked.push((score.need(), example.small, example.large));
        }
    }
    let (low, high) = (quality(&ranked, 0.0), quality(&ranked, 1.0));
    // Writing into a string does not fail.
    let _ = writeln!(
        out,
        "  area {:.3}, quality at 20 % {:.3}, random {:.3}",
        auc(&scored).unwrap_or(f64::NAN),
        quality(&ranked, 0.2),
        low + 0.2 * (high - low)
    );
    out
}
