//! The comparison: every policy with every mix, over a day of requests.
//!
//! Rules: savings and quality are against asking the best tier of the mix alone. Shares, cost and quality of a row are
//! those of the replayed day; its interval is of the prompts, by resampling them. Cuts are the cluster's own defaults,
//! or chosen on prompts that are not measured on.

use std::time::Duration;

use policy::complexity::tiers::{BadCuts, Cascade, Cuts, Mode};
use policy::complexity::{LinearScorer, Score};
use protocol::config::Routing;
use protocol::units::{Nanos, Percent, Tokens};
use training::learn::Recipe;

use super::day::{DayError, Days, Ran};
use super::measure::{Against, Bench, against, best, curve, interval, mean};
use super::offers::{Paid, Priced};
use super::policies::{Choose, Policy, Sureness, Unsure, lengths};
use super::prompts::{Arrival, Item, Pool};
use super::setting::{Limit, Workload};

/// The quality that is to be kept.
pub const WANTED: f64 = 0.95;
/// Savings that are looked for.
pub const SAVED: (f64, f64) = (0.6, 0.8);
/// How telling token probabilities may be.
const AREAS: [f64; 3] = [0.6, 0.7, 0.8];
/// Shares of prompts that come from a cache.
pub const CACHED: [u8; 4] = [0, 30, 60, 90];
/// Turns of conversations.
const TURNS: [u32; 3] = [1, 4, 8];
/// Between two turns.
const PAUSE: Duration = Duration::from_secs(60);

/// A run that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A day.
    #[error(transparent)]
    Day(#[from] DayError),
    /// A cost.
    #[error(transparent)]
    Costly(#[from] protocol::money::TooCostly),
    /// A bill.
    #[error(transparent)]
    Plan(#[from] policy::plan::BadPlan),
    /// The cuts of the configuration.
    #[error(transparent)]
    Cuts(#[from] BadCuts),
    /// A label.
    #[error("mix '{mix}': labels names '{model}', which the labelled data has no scores of: name one of {known}")]
    Label {
        /// The mix.
        mix: String,
        /// The model.
        model: String,
        /// Those that it has.
        known: String,
    },
}

/// One policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What became of a day.
    pub ran: Ran,
    /// A day at prices by the token.
    pub day: Nanos,
    /// A day as it is paid for.
    pub paid: Paid,
    /// Against the best tier alone, at prices by the token.
    pub against: Against,
    /// Where 95 of 100 resamples of the prompts lie.
    pub interval: [Against; 2],
    /// What is saved of what is paid.
    pub saved_paid: f64,
}

/// What weights that are learned anew say.
#[derive(Clone, Debug, PartialEq)]
pub struct Anew {
    /// The share whose cut saves most at the wanted quality, on prompts that are not measured on, and what it does there.
    pub chosen: Option<(f64, Against)>,
    /// How many those are.
    pub prompts: usize,
    /// The same cut on the held-out prompts, and its interval.
    pub held: Option<(Against, [Against; 2])>,
    /// Held-out prompts, by weights that have seen nothing of their task: the curve.
    pub unseen: Vec<(f64, Against)>,
}

/// One mix.
#[derive(Clone, Debug, PartialEq)]
pub struct MixReport {
    /// Who answers.
    pub priced: Priced,
    /// Whether there is quality.
    pub labelled: bool,
    /// Scores of the tiers alone.
    pub ends: Vec<f64>,
    /// All policies; the best tier alone is the first.
    pub rows: Vec<Row>,
    /// Savings and quality by share sent up: ours, by lot, by length, by a cascade of the middle sureness.
    pub curves: Vec<(&'static str, Vec<(f64, Against)>)>,
    /// What is learned anew.
    pub anew: Option<Anew>,
    /// What `auto:balanced` saves at shares of the prompts from a cache, and what that costs a day.
    pub cached: Vec<(Percent, Nanos, f64)>,
    /// `auto:balanced` with conversations of so many turns: share sent up, kept by the conversation, and against.
    pub talks: Vec<(u32, f64, f64, Against)>,
}

/// What all mixes share.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The workload.
    pub workload: &'a Workload,
    /// The prompts.
    pub pool: &'a Pool,
    /// What scores them.
    pub scorer: &'a LinearScorer,
    /// A day of them, by turns of a conversation.
    pub days: Vec<(u32, Vec<Arrival>)>,
    /// Scores of the learned prompts by weights that have not seen them, and of the held-out ones by weights that have
    /// not seen their task.
    pub anew: Option<(Vec<Score>, Vec<Score>)>,
    /// Decides everything that is drawn.
    pub seed: u64,
}

impl<'a> Stage<'a> {
    /// Deals the days, and learns anew if that is wanted and can be.
    pub fn new(workload: &'a Workload, pool: &'a Pool, scorer: &'a LinearScorer, anew: bool, seed: u64) -> Self {
        let days = TURNS.map(|turns| (turns, pool.day(workload, turns, PAUSE, seed, scorer))).to_vec();
        let held = || pool.items.iter().map(|item| item.example.clone()).collect::<Vec<_>>();
        let anew = (anew && pool.labelled).then(|| {
            let crossed = training::transfer::crossed(&pool.learned, &Recipe::USUAL);
            (crossed, training::transfer::unseen(&pool.learned, &held(), &Recipe::USUAL))
        });
        Self { workload, pool, scorer, days, anew, seed }
    }

    /// The day of single requests.
    pub fn day(&self) -> &[Arrival] {
        self.days.first().map_or(&[], |(_, day)| day.as_slice())
    }

    /// A mix, ready to be measured.
    ///
    /// # Errors
    /// A label that the data does not have, or a cost that does not fit.
    pub fn bench(&'a self, priced: &'a Priced) -> Result<Bench<'a>, RunError> {
        let labels = self.pool.labels(&priced.mix).map_err(|model| {
            let known = self.pool.items.first().map(|item| item.example.scores.keys().cloned().collect::<Vec<_>>());
            RunError::Label { mix: priced.mix.name.clone(), model, known: known.unwrap_or_default().join(", ") }
        })?;
        Ok(Bench::new(priced, self.workload, &self.pool.items, labels)?)
    }

    /// Everything about a mix.
    ///
    /// # Errors
    /// Something does not fit.
    pub fn mix(&'a self, priced: &'a Priced) -> Result<MixReport, RunError> {
        let bench = self.bench(priced)?;
        let labelled = bench.labels.is_some();
        let mut rows: Vec<Row> = Vec::new();
        for policy in self.policies(&bench)? {
            let row = self.row(&bench, &policy, rows.first())?;
            rows.push(row);
        }
        let own = |at: usize| self.pool.items.get(at).map_or(Score::new(0.5, 0.5), |item| item.score);
        let tiers = 0..priced.tiers.len();
        let ends = tiers.map(|tier| mean(&bench.expect(&Policy::new("", Choose::Always(tier)))).quality).collect();
        Ok(MixReport {
            labelled,
            ends,
            rows,
            curves: if labelled { self.curves(&bench, &own) } else { Vec::new() },
            anew: if labelled { self.anew(&bench)? } else { None },
            cached: self.cached(priced)?,
            talks: self.talks(&bench)?,
            priced: priced.clone(),
        })
    }

    /// A policy over a day, against the first row.
    fn row(&self, bench: &Bench<'_>, policy: &Policy, first: Option<&Row>) -> Result<Row, RunError> {
        let ran = Days { bench, policy, day: self.day(), days: 1, limits: &[], seed: self.seed }.run()?;
        let paid = bench.priced.paid(&ran.asked, self.workload)?;
        let part = |own: f64, top: f64| if top > 0.0 { own / top } else { f64::NAN };
        let saved = |own: Nanos, top: Nanos| 1.0 - part(own.0 as f64, top.0 as f64);
        let (top_day, top_paid, top_quality) =
            first.map_or((ran.settled, paid.day, ran.quality), |row| (row.day, row.paid.day, row.ran.quality));
        let against = Against { saved: saved(ran.settled, top_day), kept: part(ran.quality, top_quality) };
        let interval = interval(&bench.expect(policy), &bench.top(), self.seed);
        let (name, saved_paid) = (policy.name.clone(), saved(paid.day, top_paid));
        Ok(Row { name, day: ran.settled, paid, against, interval, saved_paid, ran })
    }

    /// What is compared; the best tier alone first.
    fn policies(&self, bench: &Bench<'_>) -> Result<Vec<Policy>, RunError> {
        let tiers = &bench.priced.mix.tiers;
        let always = |(at, tier): (usize, &super::setting::Tier)| {
            Policy::new(format!("always {}", tier.name), Choose::Always(at))
        };
        let mut all: Vec<Policy> = tiers.iter().enumerate().rev().map(always).collect();
        for mode in Mode::ALL {
            all.push(auto(mode, tiers.len())?);
        }
        let balanced = auto(Mode::Balanced, tiers.len())?;
        let shares = above(&mean(&bench.expect(&balanced)).asked);
        all.push(Policy::new("by lot, balanced's share", Choose::Lot(shares.clone())));
        let cuts = lengths(&self.pool.items, &shares);
        all.push(Policy::new("by length, balanced's share", Choose::Length(cuts)));
        if bench.labels.is_some() {
            let wanted = shares.first().copied().unwrap_or_default();
            for area in AREAS {
                let unsure = threshold(bench, Sureness::of_area(area), wanted);
                let name = format!("cascade at area {area}, balanced's share");
                all.push(Policy::new(name, Choose::Always(0)).cascading(unsure));
            }
            let unsure = threshold(bench, Sureness::of_area(0.7), wanted);
            all.push(named(auto(Mode::Cheap, tiers.len())?, "auto:cheap, then cascade at 0.7").cascading(unsure));
            all.push(Policy::new("oracle", Choose::Oracle));
        }
        Ok(all)
    }

    fn curves(&self, bench: &Bench<'_>, own: &dyn Fn(usize) -> Score) -> Vec<(&'static str, Vec<(f64, Against)>)> {
        let (top, tiers) = (bench.top(), bench.priced.tiers.len());
        let swept = |policy: &dyn Fn(f64) -> Policy| -> Vec<(f64, Against)> {
            let at = |step: u32| {
                let share = f64::from(step) / 50.0;
                (share, against(&bench.expect(&policy(share)), &top))
            };
            (0..=50).map(at).collect()
        };
        let shares = |share: f64| (1..tiers).map(|tier| share.powi(tier as i32)).collect::<Vec<f64>>();
        let middle = Sureness::of_area(0.7);
        let lot = swept(&|share| Policy::new("", Choose::Lot(shares(share))));
        let length = swept(&|share| Policy::new("", Choose::Length(lengths(&self.pool.items, &shares(share)))));
        let unsure = |share: f64| Unsure { settings: settings(share), sureness: middle };
        let cascade = swept(&|share| Policy::new("", Choose::Always(0)).cascading(unsure(share)));
        vec![("auto", curve(bench, own)), ("by lot", lot), ("by length", length), ("cascade at area 0.7", cascade)]
    }

    fn anew(&self, bench: &Bench<'_>) -> Result<Option<Anew>, RunError> {
        let Some((crossed, unseen)) = &self.anew else { return Ok(None) };
        let learned = self.pool.learned.iter().zip(crossed);
        let items = learned.map(|(example, score)| Item { example: example.clone(), score: *score }).collect();
        let pool = Pool { items, learned: Vec::new(), labelled: true };
        let labels = pool.labels(&bench.priced.mix).unwrap_or_default();
        let other = Bench::new(bench.priced, self.workload, &pool.items, labels)?;
        let chosen = best(&curve(&other, &|at| crossed.get(at).copied().unwrap_or(Score::new(0.5, 0.5))), WANTED);
        let held = chosen.map(|(share, _)| {
            let (own, top) = (bench.expect(&bench.at_share(share)), bench.top());
            (against(&own, &top), interval(&own, &top, self.seed))
        });
        let unseen = curve(bench, &|at| unseen.get(at).copied().unwrap_or(Score::new(0.5, 0.5)));
        Ok(Some(Anew { chosen, prompts: pool.items.len(), held, unseen }))
    }

    fn cached(&self, priced: &Priced) -> Result<Vec<(Percent, Nanos, f64)>, RunError> {
        let mut rows = Vec::new();
        for percent in CACHED.map(Percent) {
            let workload = Workload { cached: percent, ..self.workload.clone() };
            let bench = Bench::new(priced, &workload, &self.pool.items, None)?;
            let day = |policy: &Policy| {
                Days { bench: &bench, policy, day: self.day(), days: 1, limits: &[], seed: self.seed }.run()
            };
            let own = day(&auto(Mode::Balanced, priced.tiers.len())?)?.settled;
            let top = day(&Policy::new("", Choose::Always(priced.top())))?.settled;
            rows.push((percent, own, 1.0 - own.0 as f64 / top.0 as f64));
        }
        Ok(rows)
    }

    fn talks(&self, bench: &Bench<'_>) -> Result<Vec<(u32, f64, f64, Against)>, RunError> {
        let mut rows = Vec::new();
        for (turns, day) in &self.days {
            let run = |policy: &Policy| Days { bench, policy, day, days: 1, limits: &[], seed: self.seed }.run();
            let own = run(&auto(Mode::Balanced, bench.priced.tiers.len())?)?;
            let top = run(&Policy::new("", Choose::Always(bench.priced.top())))?;
            let saved = 1.0 - own.settled.0 as f64 / top.settled.0 as f64;
            let against = Against { saved, kept: own.quality / top.quality };
            let part = |count: u64| count as f64 / own.requests.max(1) as f64;
            rows.push((*turns, part(own.asked.iter().skip(1).sum()), part(own.kept), against));
        }
        Ok(rows)
    }

    /// A month of a mix through the ledger, with these budgets.
    ///
    /// # Errors
    /// A budget cannot be.
    pub fn month(&self, bench: &Bench<'_>, policy: &Policy, limits: &[Limit]) -> Result<Ran, DayError> {
        Days { bench, policy, day: self.day(), days: self.workload.days, limits, seed: self.seed }.run()
    }
}

/// The cluster's own mode, with the cuts of the default configuration.
///
/// # Errors
/// Never: the default configuration can be used.
pub fn auto(mode: Mode, tiers: usize) -> Result<Policy, BadCuts> {
    let routing = Routing::default();
    let list = match mode {
        Mode::Cheap => &routing.cheap,
        Mode::Balanced => &routing.balanced,
        Mode::Best => &routing.best,
    };
    let configured = Cuts::new(list.iter().copied().take(tiers.saturating_sub(1)).collect())?;
    // The configuration has cuts for three tiers; beyond them, the standard ones.
    let cuts = if configured.as_slice().len() + 1 == tiers { configured } else { Cuts::standard(mode, tiers) };
    Ok(Policy::new(format!("auto:{mode}"), Choose::Need(cuts)))
}

fn named(policy: Policy, name: &str) -> Policy {
    Policy { name: name.to_owned(), ..policy }
}

/// The share that goes above each tier.
fn above(asked: &[f64]) -> Vec<f64> {
    (1..asked.len()).map(|tier| asked.iter().skip(tier).sum()).collect()
}

fn settings(threshold: f64) -> Cascade {
    // Thresholds are compared with `<`, so that 1 throws everything away.
    Cascade { threshold, least: Tokens(8) }
}

/// The threshold by which such a share of the lowest tier's answers is thrown away.
fn threshold(bench: &Bench<'_>, sureness: Sureness, wanted: f64) -> Unsure {
    let of = |threshold: f64| Unsure { settings: settings(threshold), sureness };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        let asked = mean(&bench.expect(&Policy::new("", Choose::Always(0)).cascading(of(middle)))).asked;
        if asked.get(1).copied().unwrap_or_default() < wanted { low = middle } else { high = middle }
    }
    of(f64::midpoint(low, high))
}

#[cfg(test)]
mod tests;
