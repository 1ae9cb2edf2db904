//! How good the weights are, on the fifth that training did not see.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Instant;

use policy::complexity::tiers::{Mode, Thresholds, choose};
use policy::complexity::{LinearScorer, Prompt, Score, Scorer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::bill::{Bill, Workload};
use crate::data::Example;
use crate::measure::{auc, interval, quality};
use crate::vary::{GREETINGS, stripped, title, typos};

/// Seed of resamples and slips.
const SEED: u64 = 7;
/// Times that each prompt gets slips.
const ROUNDS: usize = 5;

/// What the gate looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Area under the ROC curve of 'the small models fail'.
    pub auc: f64,
    /// Its interval.
    pub interval: (f64, f64),
    /// The same without templates.
    pub stripped: f64,
    /// By task.
    pub tasks: BTreeMap<String, (usize, Option<f64>)>,
    /// How many prompts change tier, by what was done to them.
    pub flips: Vec<(String, f64)>,
    /// Shares, and the quality by the router, by the probability to fail, at random, and by an oracle.
    pub kept: Vec<(f64, [f64; 4])>,
    /// Quality of the small models alone, and of the large ones.
    pub ends: (f64, f64),
    /// What each mode sends up, keeps and costs.
    pub modes: Vec<(Mode, f64, f64, Bill)>,
    /// Microseconds of a decision, at the median and at 99 of 100.
    pub time: (f64, f64),
}

/// Measures everything.
pub fn figures(scorer: &LinearScorer, held: &[Example], workload: &Workload) -> Figures {
    let score = |text: &str| scorer.score(&Prompt::text(text));
    let scores: Vec<Score> = held.iter().map(|example| score(&example.text)).collect();
    let scored: Vec<(f64, bool)> =
        scores.iter().zip(held).map(|(score, example)| (score.fails(), example.fails())).collect();
    let plain: Vec<(f64, bool)> =
        held.iter().map(|example| (score(&stripped(&example.text)).fails(), example.fails())).collect();
    let thresholds = Thresholds::standard(2);
    let ranked = |rank: &dyn Fn(&Score, &Example) -> f64| -> Vec<(f64, f64, f64)> {
        scores.iter().zip(held).map(|(score, example)| (rank(score, example), example.small, example.large)).collect()
    };
    let by_need = ranked(&|score, _| score.need());
    let by_fails = ranked(&|score, _| score.fails());
    let oracle = ranked(&|_, example| example.large - example.small);
    let ends = (quality(&by_need, 0.0), quality(&by_need, 1.0));
    let row = |share: f64| {
        let random = ends.0 + share * (ends.1 - ends.0);
        (share, [quality(&by_need, share), quality(&by_fails, share), random, quality(&oracle, share)])
    };
    let mode = |mode: Mode| {
        let up: Vec<bool> = scores.iter().map(|score| choose(*score, mode, &thresholds) > 0).collect();
        let share = up.iter().filter(|up| **up).count() as f64 / up.len().max(1) as f64;
        let outcomes = up.iter().zip(held).map(|(up, example)| if *up { example.large } else { example.small });
        (mode, share, outcomes.sum::<f64>() / held.len().max(1) as f64, workload.bill(share))
    };
    Figures {
        auc: auc(&scored).unwrap_or(f64::NAN),
        interval: interval(&scored, SEED).unwrap_or((f64::NAN, f64::NAN)),
        stripped: auc(&plain).unwrap_or(f64::NAN),
        tasks: tasks(held, &scored),
        flips: flips(scorer, held, &thresholds),
        kept: (1..10).map(|tenths| row(f64::from(tenths) / 10.0)).collect(),
        ends,
        modes: Mode::ALL.map(mode).to_vec(),
        time: time(scorer, held),
    }
}

fn tasks(held: &[Example], scored: &[(f64, bool)]) -> BTreeMap<String, (usize, Option<f64>)> {
    let names: BTreeSet<&str> = held.iter().map(|example| example.task.as_str()).collect();
    let of = |name: &str| {
        let own = held.iter().zip(scored).filter(|(example, _)| example.task == name);
        let own: Vec<(f64, bool)> = own.map(|(_, scored)| *scored).collect();
        (name.to_owned(), (own.len(), auc(&own)))
    };
    names.into_iter().map(of).collect()
}

/// The share of prompts whose tier under `auto:balanced` changes.
fn flips(scorer: &LinearScorer, held: &[Example], thresholds: &Thresholds) -> Vec<(String, f64)> {
    let tier = |text: &str| choose(scorer.score(&Prompt::text(text)), Mode::Balanced, thresholds);
    let before: Vec<usize> = held.iter().map(|example| tier(&example.text)).collect();
    let share = |changed: &mut dyn FnMut(&str) -> String, rounds: usize| {
        let mut flipped = 0;
        for _ in 0..rounds {
            flipped += held
                .iter()
                .zip(&before)
                .filter(|(example, tier_was)| tier(&changed(&example.text)) != **tier_was)
                .count();
        }
        flipped as f64 / (held.len() * rounds).max(1) as f64
    };
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut found = Vec::new();
    for edits in 1..=3 {
        let share = share(&mut |text| typos(text, edits, &mut random), ROUNDS);
        found.push((format!("typos, {edits}"), share));
    }
    found.push(("lower case".to_owned(), share(&mut str::to_lowercase, 1)));
    found.push(("upper case".to_owned(), share(&mut str::to_uppercase, 1)));
    found.push(("title case".to_owned(), share(&mut title, 1)));
    for greeting in GREETINGS {
        found.push((format!("'{greeting}'"), share(&mut |text| format!("{greeting}{text}"), 1)));
    }
    found
}

/// Prompts as they are, and each tenth time 32 KiB of them, as 8,000 tokens are.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn time(scorer: &LinearScorer, held: &[Example]) -> (f64, f64) {
    let mut long = String::new();
    for example in held.iter().cycle().take_while(|_| !held.is_empty()) {
        if long.len() >= 32 * 1024 {
            break;
        }
        long.push_str(&example.text);
        long.push('\n');
    }
    let mut times: Vec<f64> = (0..3)
        .flat_map(|_| held.iter().enumerate())
        .map(|(n, example)| {
            let text = if n % 10 == 0 { &long } else { &example.text };
            let begun = Instant::now();
            std::hint::black_box(scorer.score(&Prompt::text(text)));
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times.get((part * times.len() as f64) as usize).copied().unwrap_or(f64::NAN);
    (at(0.5), at(0.99))
}

/// As people read it.
pub fn report(figures: &Figures, held: usize, workload: &Workload) -> String {
    let mut out = String::new();
    // Writing into a string does not fail.
    let _ = write(&mut out, figures, held, workload);
    out
}

fn write(out: &mut String, figures: &Figures, held: usize, workload: &Workload) -> std::fmt::Result {
    let (low, high) = figures.interval;
    writeln!(out, "held out: {held} prompts that training did not see")?;
    writeln!(out, "\n'the small models fail', area under the ROC curve")?;
    writeln!(out, "  all                {:.3}  (95 %: {low:.3} to {high:.3})", figures.auc)?;
    writeln!(out, "  without templates  {:.3}", figures.stripped)?;
    for (task, (count, area)) in &figures.tasks {
        let area = area.map_or("-".to_owned(), |area| format!("{area:.3}"));
        writeln!(out, "  within {task:<16} {area}  ({count} prompts)")?;
    }
    writeln!(out, "\nprompts that change tier under auto:balanced")?;
    for (what, share) in &figures.flips {
        writeln!(out, "  {:<40} {:>5.1} %", what, share * 100.0)?;
    }
    let (small, large) = figures.ends;
    writeln!(out, "\nquality kept against share sent to the large tier (all small {small:.3}, all large {large:.3})")?;
    writeln!(out, "  share   auto    by the probability to fail   random   oracle")?;
    for (share, [router, fails, random, oracle]) in &figures.kept {
        writeln!(
            out,
            "  {:>3.0} %   {router:.3}   {fails:.3}                        {random:.3}    {oracle:.3}",
            share * 100.0
        )?;
    }
    writeln!(out, "\n{workload}")?;
    for (mode, share, quality, bill) in &figures.modes {
        writeln!(
            out,
            "  auto:{:<9} {:>5.1} % to the large tier, quality {quality:.3} ({:.1} % of all-large), {bill}",
            mode.to_string(),
            share * 100.0,
            100.0 * quality / large
        )?;
    }
    let (median, most) = figures.time;
    writeln!(out, "\na decision: p50 {median:.0} µs, p99 {most:.0} µs (each tenth prompt has 32 KiB)")
}

#[cfg(test)]
mod tests;
