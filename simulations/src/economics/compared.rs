//! The policies that are compared, each at the share that `auto:balanced` sends up, so that they cost about the same.

use policy::complexity::tiers::{BadCuts, Cascade, Cuts, Mode};
use protocol::config::Routing;
use protocol::units::Tokens;

use super::measure::{Bench, mean};
use super::policies::{Choose, Policy, Sureness, Unsure, lengths};

/// How telling token probabilities may be.
const AREAS: [f64; 3] = [0.6, 0.7, 0.8];

/// What is compared; the best tier alone first.
///
/// # Errors
/// Never: the default configuration can be used.
pub fn policies(bench: &Bench<'_>) -> Result<Vec<Policy>, BadCuts> {
    let tiers = &bench.priced.mix.tiers;
    let always =
        |(at, tier): (usize, &super::setting::Tier)| Policy::new(format!("always {}", tier.name), Choose::Always(at));
    let mut all: Vec<Policy> = tiers.iter().enumerate().rev().map(always).collect();
    for mode in Mode::ALL {
        all.push(auto(mode, tiers.len())?);
    }
    let balanced = auto(Mode::Balanced, tiers.len())?;
    let shares = above(&mean(&bench.expect(&balanced)).asked);
    all.push(Policy::new("by lot, balanced's share", Choose::Lot(shares.clone())));
    let cuts = lengths(bench.items, &shares);
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

pub(super) fn settings(threshold: f64) -> Cascade {
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
