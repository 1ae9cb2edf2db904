//! The comparison: every policy with every mix, over a day of requests.
//!
//! Rules: savings and quality are against asking the best tier of the mix alone. Shares, cost and quality of a row are
//! those of the replayed day; its interval is of the prompts, by resampling them. Cuts are the cluster's own defaults,
//! or chosen on prompts that are not measured on.

use std::time::Duration;

use policy::complexity::tiers::{BadCuts, Mode};
use policy::complexity::{LinearScorer, Score};
use protocol::units::{Nanos, Percent};
use training::learn::Recipe;

use super::compared::{auto, policies, settings};
use super::day::{DayError, Days, Ran};
use super::measure::{Against, Bench, Point, best, bound, curve, interval, mean};
use super::offers::{Paid, Priced};
use super::policies::{Choose, Policy, Sureness, Unsure, lengths};
use super::prompts::{Arrival, Item, Pool};
use super::setting::{Limit, Workload};

/// The quality that is to be kept.
pub const WANTED: f64 = 0.95;
/// Savings that are looked for.
pub const SAVED: (f64, f64) = (0.6, 0.8);
/// Shares of prompts that come from a cache.
pub const CACHED: [u8; 4] = [0, 30, 60, 90];
/// Times the requests.
const LOADS: [u64; 4] = [1, 3, 10, 100];
/// Turns of conversations; single requests are the first.
pub const TURNS: [u32; 3] = [1, 4, 8];
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
    /// How much of the gap between the lowest tier and the best is closed; nothing where nobody knows, or none is.
    pub gap: f64,
    /// What is saved of what is paid.
    pub saved_paid: f64,
}

/// What weights that are learned anew say.
#[derive(Clone, Debug, PartialEq)]
pub struct Anew {
    /// The share whose cut saves most at the wanted quality, on prompts that are not measured on, and what it does there.
    pub chosen: Option<Point>,
    /// Where 95 of 100 resamples of those lie.
    pub there: Option<[Against; 2]>,
    /// How many those are.
    pub prompts: usize,
    /// The same cut on the held-out prompts, and its interval.
    pub held: Option<(Point, [Against; 2])>,
    /// Every prompt there is, each scored by weights that have not seen it: the modes with their default cuts, which
    /// nobody chose by these prompts, and where 95 of 100 resamples lie.
    pub all: Vec<(Mode, Point, [Against; 2])>,
    /// Held-out prompts, by weights that have seen nothing of their task: the curve.
    pub unseen: Vec<Point>,
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
    pub curves: Vec<(&'static str, Vec<Point>)>,
    /// What is learned anew.
    pub anew: Option<Anew>,
    /// What `auto:balanced` is paid for at so many times the requests, and what it saves of that.
    pub load: Vec<(u64, Paid, f64)>,
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
    pub fn new(
        workload: &'a Workload,
        pool: &'a Pool,
        scorer: &'a LinearScorer,
        turns: &[u32],
        anew: bool,
        seed: u64,
    ) -> Self {
        let days = turns.iter().map(|turns| (*turns, pool.day(workload, *turns, PAUSE, seed, scorer))).collect();
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
        self.on(priced, self.pool)
    }

    fn on<'b>(&'b self, priced: &'b Priced, pool: &'b Pool) -> Result<Bench<'b>, RunError> {
        let labels = pool.labels(&priced.mix).map_err(|model| {
            let known = pool.items.first().map(|item| item.example.scores.keys().cloned().collect::<Vec<_>>());
            RunError::Label { mix: priced.mix.name.clone(), model, known: known.unwrap_or_default().join(", ") }
        })?;
        Ok(Bench::new(priced, self.workload, &pool.items, labels)?)
    }

    /// Everything about a mix.
    ///
    /// # Errors
    /// Something does not fit.
    pub fn mix(&'a self, priced: &'a Priced) -> Result<MixReport, RunError> {
        let bench = self.bench(priced)?;
        let labelled = bench.labels.is_some();
        let mut rows: Vec<Row> = Vec::new();
        for policy in policies(&bench)? {
            let row = self.row(&bench, &policy, rows.first())?;
            rows.push(row);
        }
        let tiers = 0..priced.tiers.len();
        let ends: Vec<f64> =
            tiers.map(|tier| mean(&bench.expect(&Policy::new("", Choose::Always(tier)))).quality).collect();
        let gap = ends.last().copied().unwrap_or_default() - ends.first().copied().unwrap_or_default();
        for row in &mut rows {
            let closed = row.ran.quality - ends.first().copied().unwrap_or_default();
            row.gap = if labelled && gap > 0.0 { closed / gap } else { f64::NAN };
        }
        let own = |at: usize| self.pool.score(at);
        Ok(MixReport {
            labelled,
            load: self.load(&bench, &rows)?,
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
        let ran =
            Days { bench, policy, day: self.day(), days: 1, limits: &[], coordinators: 1, seed: self.seed }.run()?;
        let paid = bench.priced.paid(&ran.asked, self.workload)?;
        let part = |own: f64, top: f64| if top > 0.0 { own / top } else { f64::NAN };
        let saved = |own: Nanos, top: Nanos| 1.0 - part(own.0 as f64, top.0 as f64);
        let (top_day, top_paid, top_quality) =
            first.map_or((ran.settled, paid.day, ran.quality), |row| (row.day, row.paid.day, row.ran.quality));
        let against = Against { saved: saved(ran.settled, top_day), kept: part(ran.quality, top_quality) };
        let interval = interval(&bench.expect(policy), &bench.top(), self.seed);
        let (name, saved_paid) = (policy.name.clone(), saved(paid.day, top_paid));
        Ok(Row { name, day: ran.settled, paid, against, interval, gap: f64::NAN, saved_paid, ran })
    }

    fn curves(&self, bench: &Bench<'_>, own: &dyn Fn(usize) -> Score) -> Vec<(&'static str, Vec<Point>)> {
        let (top, tiers) = (bench.top(), bench.priced.tiers.len());
        let swept = |policy: &dyn Fn(f64) -> Policy| -> Vec<Point> {
            let at = |step: u32| {
                let share = f64::from(step) / 50.0;
                Point::of(share, &bench.expect(&policy(share)), &top)
            };
            (0..=50).map(at).collect()
        };
        let shares = |share: f64| (1..tiers).map(|tier| share.powi(tier as i32)).collect::<Vec<f64>>();
        let middle = Sureness::of_area(0.7);
        let lot = swept(&|share| Policy::new("", Choose::Lot(shares(share))));
        let length = swept(&|share| Policy::new("", Choose::Length(lengths(&self.pool.items, &shares(share)))));
        let unsure = |share: f64| Unsure { settings: settings(share), sureness: middle };
        let cascade = swept(&|share| Policy::new("", Choose::Always(0)).cascading(unsure(share)));
        vec![
            ("auto", curve(bench, own)),
            ("by lot", lot),
            ("by length", length),
            ("cascade at area 0.7", cascade),
            ("oracle", bound(bench)),
        ]
    }

    fn anew(&self, bench: &Bench<'_>) -> Result<Option<Anew>, RunError> {
        let Some((crossed, unseen)) = &self.anew else { return Ok(None) };
        let learned = self.pool.learned.iter().zip(crossed);
        let items = learned.map(|(example, score)| Item { example: example.clone(), score: *score });
        let mut pool = Pool { items: items.collect(), learned: Vec::new(), labelled: true };
        let prompts = pool.items.len();
        let (chosen, there) = {
            let other = self.on(bench.priced, &pool)?;
            let chosen = best(&curve(&other, &|at| pool.score(at)), WANTED);
            (chosen, chosen.map(|point| interval(&other.expect(&other.at_share(point.at)), &other.top(), self.seed)))
        };
        pool.items.extend(self.pool.items.iter().cloned());
        let every = self.on(bench.priced, &pool)?;
        let mut all = Vec::new();
        for mode in Mode::ALL {
            let (own, top) = (every.expect(&auto(mode, bench.priced.tiers.len())?), every.top());
            all.push((mode, Point::of(0.0, &own, &top), interval(&own, &top, self.seed)));
        }
        let held = chosen.map(|point| {
            let (own, top) = (bench.expect(&bench.at_share(point.at)), bench.top());
            (Point::of(point.at, &own, &top), interval(&own, &top, self.seed))
        });
        let unseen = curve(bench, &|at| unseen.get(at).copied().unwrap_or(Score::new(0.5, 0.5)));
        Ok(Some(Anew { chosen, there, prompts, held, all, unseen }))
    }

    /// As own hardware is bought in whole units, what is paid falls behind what is used where there is little to do.
    fn load(&self, bench: &Bench<'_>, rows: &[Row]) -> Result<Vec<(u64, Paid, f64)>, RunError> {
        let find = |name: &str| rows.iter().find(|row| row.name == name).map(|row| row.ran.asked.clone());
        let (Some(own), Some(top)) = (find("auto:balanced"), rows.first().map(|row| row.ran.asked.clone())) else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for times in LOADS {
            let many = |asked: &[u64]| asked.iter().map(|asked| asked.saturating_mul(times)).collect::<Vec<_>>();
            let own = bench.priced.paid(&many(&own), self.workload)?;
            let top = bench.priced.paid(&many(&top), self.workload)?;
            all.push((times, own, 1.0 - own.day.0 as f64 / top.day.0 as f64));
        }
        Ok(all)
    }

    fn cached(&self, priced: &Priced) -> Result<Vec<(Percent, Nanos, f64)>, RunError> {
        let mut rows = Vec::new();
        for percent in CACHED.map(Percent) {
            let workload = Workload { cached: percent, ..self.workload.clone() };
            let bench = Bench::new(priced, &workload, &self.pool.items, None)?;
            let day = |policy: &Policy| {
                Days { bench: &bench, policy, day: self.day(), days: 1, limits: &[], coordinators: 1, seed: self.seed }
                    .run()
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
            let run = |policy: &Policy| {
                Days { bench, policy, day, days: 1, limits: &[], coordinators: 1, seed: self.seed }.run()
            };
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
    pub fn month(
        &self,
        bench: &Bench<'_>,
        policy: &Policy,
        limits: &[Limit],
        coordinators: u8,
    ) -> Result<Ran, DayError> {
        let days = self.workload.days;
        Days { bench, policy, day: self.day(), days, limits, coordinators, seed: self.seed }.run()
    }
}

#[cfg(test)]
mod tests;
