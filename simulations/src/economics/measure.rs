//! What a policy does with prompts, expected: how often each tier is asked, what that costs, and what it gets.
//!
//! Rules: chances are added up, not drawn, so that a figure has no noise but that of the prompts themselves. How much
//! that is, resamples of the prompts say. Costs are of one request, in nanos.

use policy::complexity::Score;
use policy::complexity::tiers::Cuts;
use policy::restart::Jitter;
use protocol::money::TooCostly;
use protocol::units::Nanos;

use super::offers::Priced;
use super::policies::{Choose, Policy};
use super::prompts::Item;
use super::setting::Workload;

/// A mix, ready to be measured.
#[derive(Clone, Debug)]
pub struct Bench<'a> {
    /// Who answers, at what price.
    pub priced: &'a Priced,
    /// What is asked.
    pub workload: &'a Workload,
    /// The prompts.
    pub items: &'a [Item],
    /// What each tier got for each; none if nobody knows.
    pub labels: Option<Vec<Vec<f64>>>,
    /// The tier that answers, by wanted tier.
    served: Vec<usize>,
    costs: Vec<Nanos>,
    bounds: Vec<Nanos>,
}

/// What is expected of one prompt, or of the mean of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// How often each tier is asked.
    pub asked: Vec<f64>,
    /// How often each tier's answer is the one that counts.
    pub answered: Vec<f64>,
    /// What it costs, in nanos.
    pub cost: f64,
    /// What it gets, in 0..1; nothing if nobody knows.
    pub quality: f64,
}

/// How policies compare with asking the best tier alone, in 0..1 each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Against {
    /// How much less is spent.
    pub saved: f64,
    /// How much of the quality is kept.
    pub kept: f64,
}

impl<'a> Bench<'a> {
    /// Of a mix.
    ///
    /// # Errors
    /// A cost does not fit.
    pub fn new(
        priced: &'a Priced,
        workload: &'a Workload,
        items: &'a [Item],
        labels: Option<Vec<Vec<f64>>>,
    ) -> Result<Self, TooCostly> {
        let tiers = || 0..priced.tiers.len();
        let costs = tiers().map(|tier| priced.cost(tier, workload)).collect::<Result<_, _>>()?;
        let bounds = tiers().map(|tier| priced.bound(tier, workload)).collect::<Result<_, _>>()?;
        Ok(Self { priced, workload, items, labels, served: priced.served(workload)?, costs, bounds })
    }

    /// The tier that answers where one is wanted.
    pub fn served(&self, wanted: usize) -> usize {
        self.served.get(wanted).copied().unwrap_or(wanted).min(self.priced.top())
    }

    /// What a request costs at a tier.
    pub fn cost(&self, tier: usize) -> Nanos {
        self.costs.get(tier).copied().unwrap_or_default()
    }

    /// What is set aside for it.
    pub fn bound(&self, tier: usize) -> Nanos {
        self.bounds.get(tier).copied().unwrap_or_default()
    }

    /// What the tiers got for a prompt; nothing if nobody knows.
    pub fn labels(&self, item: usize) -> &[f64] {
        self.labels.as_ref().and_then(|labels| labels.get(item)).map_or(&[], Vec::as_slice)
    }

    /// What is expected of each prompt.
    pub fn expect(&self, policy: &Policy) -> Vec<Expected> {
        self.expect_by(policy, &|at| self.items.get(at).map_or(Score::new(0.5, 0.5), |item| item.score))
    }

    /// The same with other scores.
    pub fn expect_by(&self, policy: &Policy, score: &dyn Fn(usize) -> Score) -> Vec<Expected> {
        self.items.iter().enumerate().map(|(at, item)| self.of(policy, at, item, score(at))).collect()
    }

    fn of(&self, policy: &Policy, at: usize, item: &Item, score: Score) -> Expected {
        let labels = self.labels(at);
        let tiers = self.priced.tiers.len();
        let mut asked = vec![0.0; tiers];
        for (wanted, chance) in policy.odds(item, score, labels) {
            if let Some(asked) = asked.get_mut(self.served(wanted)) {
                *asked += chance;
            }
        }
        let mut answered = asked.clone();
        if let Some(unsure) = policy.unsure {
            for tier in 0..tiers.saturating_sub(1) {
                let next = self.served(tier + 1);
                let label = labels.get(tier).copied().unwrap_or(0.5);
                let odds = unsure.odds(label, self.workload.answer, self.bound(next));
                let thrown = asked.get(tier).copied().unwrap_or(0.0) * odds;
                let add = |of: &mut Vec<f64>, tier: usize, more: f64| {
                    if let Some(own) = of.get_mut(tier) {
                        *own += more;
                    }
                };
                add(&mut asked, next, thrown);
                add(&mut answered, next, thrown);
                add(&mut answered, tier, -thrown);
            }
        }
        let cost = asked.iter().enumerate().map(|(tier, asked)| asked * self.cost(tier).0 as f64).sum();
        let quality = answered.iter().zip(labels).map(|(answered, label)| answered * label).sum();
        Expected { asked, answered, cost, quality }
    }

    /// What asking the best tier alone comes to, prompt by prompt.
    pub fn top(&self) -> Vec<Expected> {
        self.expect(&Policy::new("", Choose::Always(self.priced.top())))
    }

    /// What cuts do that send such a share up, by the cluster's own scale.
    pub fn at_share(&self, share: f64) -> Policy {
        Policy::new(format!("{:.0} % up", 100.0 * share), Choose::Need(cuts(share, self.priced.tiers.len())))
    }
}

/// Cuts that send such a share of ordinary prompts up, and of those the same share up again.
pub fn cuts(share: f64, tiers: usize) -> Cuts {
    let cuts = (1..tiers).map(|tier| (1.0 - share.clamp(0.0, 1.0).powi(tier as i32)).clamp(0.0, 1.0));
    Cuts::new(cuts.collect()).unwrap_or_default()
}

/// The mean of all prompts.
pub fn mean(all: &[Expected]) -> Expected {
    let count = all.len().max(1) as f64;
    let tiers = all.first().map_or(0, |one| one.asked.len());
    let sum = |of: &dyn Fn(&Expected) -> f64| all.iter().map(of).sum::<f64>() / count;
    let tier = |of: fn(&Expected) -> &Vec<f64>, at: usize| sum(&|one| of(one).get(at).copied().unwrap_or(0.0));
    Expected {
        asked: (0..tiers).map(|at| tier(|one| &one.asked, at)).collect(),
        answered: (0..tiers).map(|at| tier(|one| &one.answered, at)).collect(),
        cost: sum(&|one| one.cost),
        quality: sum(&|one| one.quality),
    }
}

/// How one compares with another.
pub fn against(own: &[Expected], top: &[Expected]) -> Against {
    let sum = |of: &[Expected], what: fn(&Expected) -> f64| of.iter().map(what).sum::<f64>();
    let part = |what: fn(&Expected) -> f64| sum(own, what) / sum(top, what);
    Against { saved: 1.0 - part(|one| one.cost), kept: part(|one| one.quality) }
}

/// Where 95 of 100 resamples of the prompts lie, of what is saved and of what is kept.
pub fn interval(own: &[Expected], top: &[Expected], seed: u64) -> [Against; 2] {
    const RESAMPLES: usize = 1000;
    let mut random = Jitter::new(seed ^ 0x0b00);
    let pairs: Vec<[f64; 4]> =
        own.iter().zip(top).map(|(own, top)| [own.cost, top.cost, own.quality, top.quality]).collect();
    let (mut saved, mut kept) = (Vec::with_capacity(RESAMPLES), Vec::with_capacity(RESAMPLES));
    for _ in 0..RESAMPLES {
        let mut sums = [0.0; 4];
        for _ in 0..pairs.len() {
            let at = (random.draw() * pairs.len() as f64) as usize;
            let drawn = pairs.get(at).copied().unwrap_or_default();
            sums.iter_mut().zip(drawn).for_each(|(sum, one)| *sum += one);
        }
        let [cost, all_cost, quality, all_quality] = sums;
        saved.push(1.0 - cost / all_cost);
        kept.push(quality / all_quality);
    }
    saved.sort_by(f64::total_cmp);
    kept.sort_by(f64::total_cmp);
    let at = |of: &[f64], place: usize| of.get(place).copied().unwrap_or(f64::NAN);
    [RESAMPLES / 40, RESAMPLES - 1 - RESAMPLES / 40]
        .map(|place| Against { saved: at(&saved, place), kept: at(&kept, place) })
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// What was turned: the share that a cut stands for, or a threshold.
    pub at: f64,
    /// How much of the requests goes above the lowest tier.
    pub up: f64,
    /// Against the best tier alone.
    pub against: Against,
}

impl Point {
    /// Of what is expected of each prompt.
    pub fn of(at: f64, own: &[Expected], top: &[Expected]) -> Self {
        let up = mean(own).asked.iter().skip(1).sum();
        Self { at, up, against: against(own, top) }
    }
}

/// The curve of savings against quality by the share that cuts stand for, in hundredths, from none to all.
pub fn curve(bench: &Bench<'_>, score: &dyn Fn(usize) -> Score) -> Vec<Point> {
    let top = bench.top();
    let at = |percent: u32| {
        let share = f64::from(percent) / 100.0;
        Point::of(share, &bench.expect_by(&bench.at_share(share), score), &top)
    };
    (0..=100).map(at).collect()
}

/// The curve that nothing can be above: of all prompts, those go up first to which that adds most for its cost, each
/// to the cheapest of the tiers that do best with it.
pub fn bound(bench: &Bench<'_>) -> Vec<Point> {
    let top = bench.top();
    let tiers: Vec<Vec<Expected>> =
        (0..bench.priced.tiers.len()).map(|tier| bench.expect(&Policy::new("", Choose::Always(tier)))).collect();
    let Some(mut own) = tiers.first().cloned() else { return Vec::new() };
    let mut moves: Vec<(f64, usize, &Expected)> = Vec::new();
    for (item, low) in own.iter().enumerate() {
        let others = tiers.iter().filter_map(|tier| tier.get(item));
        let best = others.reduce(|best, other| if other.quality > best.quality { other } else { best });
        let Some(best) = best.filter(|best| best.quality > low.quality) else { continue };
        moves.push(((best.quality - low.quality) / (best.cost - low.cost).max(1.0), item, best));
    }
    moves.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let count = own.len().max(1) as f64;
    let mut points = vec![Point::of(0.0, &own, &top)];
    for (done, (_, item, best)) in moves.into_iter().enumerate() {
        if let Some(place) = own.get_mut(item) {
            place.clone_from(best);
        }
        points.push(Point::of((done + 1) as f64 / count, &own, &top));
    }
    points
}

/// The point of a curve that saves most while it keeps so much.
pub fn best(curve: &[Point], least: f64) -> Option<Point> {
    let enough = curve.iter().filter(|point| point.against.kept >= least);
    enough.max_by(|a, b| a.against.saved.total_cmp(&b.against.saved).then(b.up.total_cmp(&a.up))).copied()
}

#[cfg(test)]
mod tests;
