//! A comparison as people read it.

use std::fmt::Write as _;

use policy::ledger::AlertRaised;
use protocol::money::Money;
use protocol::units::{Nanos, UnixMillis};

use super::day::{BEGIN, Ran};
use super::measure::{Point, best};
use super::run::{Anew, MixReport, Row, SAVED, WANTED};
use super::setting::Workload;

/// A month of a mix.
#[derive(Clone, Debug, PartialEq)]
pub struct Month {
    /// The mix.
    pub mix: String,
    /// Who was asked.
    pub policy: String,
    /// How many coordinators shared the budgets.
    pub coordinators: u8,
    /// What became of it.
    pub ran: Ran,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was asked.
    pub workload: Workload,
    /// The currency of all amounts.
    pub currency: String,
    /// What the prompts are.
    pub prompts: String,
    /// Decides everything that is drawn.
    pub seed: u64,
    /// Mix by mix.
    pub mixes: Vec<MixReport>,
    /// Months through the ledger.
    pub months: Vec<Month>,
}

/// With two decimals: amounts of a day are not read to the nano.
pub fn money(nanos: Nanos) -> String {
    let cents = nanos.0.saturating_add(5_000_000) / 10_000_000;
    let (whole, part) = (cents / 100, cents % 100);
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped}.{part:02}")
}

fn percent(part: f64) -> String {
    // Adding nothing makes of -0 a 0.
    if part.is_nan() { "-".to_owned() } else { format!("{:.1} %", (1000.0 * part).round() / 10.0 + 0.0) }
}

/// `day 3 14:05:09`, from day 1.
pub fn moment(at: UnixMillis) -> String {
    let seconds = at.since(BEGIN).as_secs();
    let (day, rest) = (seconds / 86_400 + 1, seconds % 86_400);
    format!("day {day:>2} {:02}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60)
}

impl Report {
    /// As text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let Workload { requests, prompt, answer, cached, .. } = &self.workload;
        // Writing into a string does not fail.
        _ = writeln!(
            out,
            "{requests} requests a day of {} + {} tokens, {cached} of the prompts cached; at the busiest hour {:.2} times the mean; {}; seed {}",
            prompt.0,
            answer.0,
            f64::from(self.workload.peak()) / 100.0,
            self.currency,
            self.seed
        );
        _ = writeln!(out, "{}", self.prompts);
        for mix in &self.mixes {
            mix_text(&mut out, mix, &self.workload);
        }
        for month in &self.months {
            month_text(&mut out, month, self.workload.days);
        }
        out
    }
}

fn mix_text(out: &mut String, report: &MixReport, workload: &Workload) {
    let mix = &report.priced.mix;
    _ = writeln!(out, "\nMIX {}: {}", mix.name, mix.about);
    for (at, (tier, priced)) in mix.tiers.iter().zip(&report.priced.tiers).enumerate() {
        let price = &priced.price;
        let quality = report.ends.get(at).filter(|_| report.labelled).map(|end| format!(", scores {end:.3}"));
        let whose = if tier.stands_in { " of another model, which stands in" } else { "" };
        _ = writeln!(
            out,
            "  tier {}: {} at {} in, {} cached, {} out a million{}{whose} ({})",
            tier.name,
            tier.model,
            Money(price.input),
            Money(price.cached),
            Money(price.output),
            quality.unwrap_or_default(),
            priced.source
        );
    }
    let names: Vec<&str> = mix.tiers.iter().map(|tier| tier.name.as_str()).collect();
    let paid = if report.priced.has_own() { "    PAID A DAY  UNITS   SAVED" } else { "" };
    _ = writeln!(
        out,
        "\n  {:<38} {:<20} {:>10} {:>12} {:>7}  {:<13} {:>8}  {:<14} {:>8}{paid}",
        "POLICY",
        format!("ASKED: {}", names.join("/")),
        "A DAY",
        "A MONTH",
        "SAVED",
        "95 %",
        "KEPT",
        "95 %",
        "GAP"
    );
    for row in &report.rows {
        row_text(out, row, report, workload);
    }
    if report.labelled {
        target_text(out, report);
    } else {
        _ = writeln!(out, "  quality is not told: there are no scores of these models");
    }
    if let Some(anew) = &report.anew {
        anew_text(out, anew);
    }
    if report.priced.has_own() {
        let paid = report.load.iter().map(|(times, paid, saved)| {
            format!("{times} times: {} units, {} a day, {} saved", paid.units, money(paid.day), percent(*saved))
        });
        let paid: Vec<String> = paid.collect();
        _ = writeln!(out, "  auto:balanced as it is paid for, at so many times the requests: {}", paid.join("; "));
    }
    let cached: Vec<String> = report
        .cached
        .iter()
        .map(|(share, day, saved)| format!("{share}: {} a day, {} saved", money(*day), percent(*saved)))
        .collect();
    _ = writeln!(out, "  auto:balanced by share of the prompts from a cache: {}", cached.join("; "));
    let talks = report.talks.iter().map(|(turns, up, kept, against)| {
        let quality = if report.labelled { format!(", {} kept", percent(against.kept)) } else { String::new() };
        format!(
            "{turns}: {} up, {} by the conversation, {} saved{quality}",
            percent(*up),
            percent(*kept),
            percent(against.saved)
        )
    });
    _ = writeln!(out, "  auto:balanced by turns of a conversation: {}", talks.collect::<Vec<_>>().join("; "));
}

fn row_text(out: &mut String, row: &Row, report: &MixReport, workload: &Workload) {
    let requests = row.ran.requests.max(1) as f64;
    let asked: Vec<String> =
        row.ran.asked.iter().map(|asked| format!("{:.1}", 100.0 * *asked as f64 / requests)).collect();
    let [low, high] = row.interval;
    let span = |low: f64, high: f64| format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high);
    let (kept, spread) = if report.labelled {
        (percent(row.against.kept), span(low.kept, high.kept))
    } else {
        ("-".to_owned(), String::new())
    };
    let month = Nanos(row.day.0.saturating_mul(workload.days.into()));
    let paid = if report.priced.has_own() {
        format!(" {:>12} {:>6} {:>7}", money(row.paid.day), row.paid.units, percent(row.saved_paid))
    } else {
        String::new()
    };
    _ = writeln!(
        out,
        "  {:<38} {:<20} {:>10} {:>12} {:>7}  {:<13} {kept:>8}  {spread:<14} {:>8}{paid}",
        row.name,
        format!("{} %", asked.join("/")),
        money(row.day),
        money(month),
        percent(row.against.saved),
        span(low.saved, high.saved),
        percent(row.gap)
    );
}

/// The least and the greatest share that goes up where a curve lies in the wanted corner.
pub fn window(curve: &[Point]) -> Option<(f64, f64)> {
    let inside = |point: &&Point| point.against.kept >= WANTED && (SAVED.0..=SAVED.1).contains(&point.against.saved);
    let ups = || curve.iter().filter(inside).map(|point| point.up);
    let least = ups().min_by(f64::total_cmp)?;
    Some((least, ups().max_by(f64::total_cmp)?))
}

fn target_text(out: &mut String, report: &MixReport) {
    let Some((_, curve)) = report.curves.first() else { return };
    let reached = match window(curve) {
        Some((low, high)) => format!("by cuts that send {} to {} up", percent(low), percent(high)),
        None => "by no cut".to_owned(),
    };
    let least = 100.0 * WANTED;
    let (low, high) = SAVED;
    _ = writeln!(out, "  {:.0} to {:.0} % saved with at least {least:.0} % kept: {reached}", 100.0 * low, 100.0 * high);
    let most = report.curves.iter().map(|(name, curve)| match best(curve, WANTED) {
        Some(point) => format!("{name} {} at {} up", percent(point.against.saved), percent(point.up)),
        None => format!("{name} nothing"),
    });
    let most: Vec<String> = most.collect();
    _ = writeln!(out, "  most saved with at least {least:.0} % kept, read off these prompts: {}", most.join("; "));
}

fn anew_text(out: &mut String, anew: &Anew) {
    if let (Some(there), Some((here, [low, high]))) = (anew.chosen, anew.held) {
        _ = writeln!(
            out,
            "  a cut chosen on {} other prompts, scored by weights that had not seen them: {} up, {} saved, {} kept there; \
             here {} up, {} saved ({:.1} to {:.1}), {} kept ({:.1} to {:.1})",
            anew.prompts,
            percent(there.up),
            percent(there.against.saved),
            percent(there.against.kept),
            percent(here.up),
            percent(here.against.saved),
            100.0 * low.saved,
            100.0 * high.saved,
            percent(here.against.kept),
            100.0 * low.kept,
            100.0 * high.kept
        );
    } else {
        _ = writeln!(out, "  no cut keeps {:.0} % on {} other prompts", 100.0 * WANTED, anew.prompts);
    }
    if let Some([low, high]) = anew.there {
        _ = writeln!(
            out,
            "    of those prompts, 95 of 100 samples save {:.1} to {:.1} % and keep {:.1} to {:.1} %",
            100.0 * low.saved,
            100.0 * high.saved,
            100.0 * low.kept,
            100.0 * high.kept
        );
    }
    for (mode, point, [low, high]) in &anew.all {
        _ = writeln!(
            out,
            "  auto:{mode} over every prompt, each scored by weights that had not seen it: {} up, {} saved ({:.1} to {:.1}), \
             {} kept ({:.1} to {:.1})",
            percent(point.up),
            percent(point.against.saved),
            100.0 * low.saved,
            100.0 * high.saved,
            percent(point.against.kept),
            100.0 * low.kept,
            100.0 * high.kept
        );
    }
    if let Some(point) = anew.unseen.iter().find(|point| (point.at - 0.2).abs() < 1e-9) {
        let most = best(&anew.unseen, WANTED);
        let most = most.map_or_else(
            || "nothing".to_owned(),
            |point| format!("{} at {} up", percent(point.against.saved), percent(point.up)),
        );
        _ = writeln!(
            out,
            "  by weights that have seen nothing of the task: balanced's cut sends {} up, saves {}, keeps {}; most saved \
             with at least {:.0} % kept: {most}",
            percent(point.up),
            percent(point.against.saved),
            percent(point.against.kept),
            100.0 * WANTED
        );
    }
}

fn month_text(out: &mut String, month: &Month, days: u32) {
    let Month { mix, policy, coordinators, ran } = month;
    let by = if *coordinators == 1 { "one coordinator".to_owned() } else { format!("{coordinators} coordinators") };
    let refused: u64 = ran.refused.iter().filter(|refused| !refused.lowered).map(|refused| refused.count).sum();
    _ = writeln!(
        out,
        "\nBUDGETS over {days} days, mix {mix}, {policy}, {by}: {} requests, {} booked, at most {} set aside at once; \
         {} answered by a lower tier, {refused} refused",
        ran.requests,
        money(ran.settled),
        money(ran.reserved),
        ran.lowered
    );
    for alerts in grouped(&ran.alerts) {
        let Some(first) = alerts.first() else { continue };
        let more = match alerts.last().filter(|_| alerts.len() > 1) {
            Some(last) => format!("; {} more, the last {}", alerts.len() - 1, moment(last.at)),
            None => String::new(),
        };
        _ = writeln!(
            out,
            "  {}  alert: '{}' has reached {} %: {} of {} are spent, {} reserved{more}",
            moment(first.at),
            first.budget,
            first.share,
            money(first.settled),
            money(first.limit),
            money(first.reserved)
        );
    }
    let mut seen: Vec<(&str, bool)> = Vec::new();
    for first in &ran.refused {
        let which = (first.budget.as_str(), first.lowered);
        if seen.contains(&which) {
            continue;
        }
        seen.push(which);
        let alike = ran.refused.iter().filter(|other| (other.budget.as_str(), other.lowered) == which);
        let (windows, count) = alike.fold((0, 0), |(windows, count), more| (windows + 1, count + more.count));
        let what = if first.lowered { "answered by a lower tier" } else { "refused" };
        let span = if windows == 1 { "one window".to_owned() } else { format!("{windows} windows") };
        _ = writeln!(out, "  {}  {what}, {count} in {span}: {}", moment(first.first), first.said);
    }
    for state in &ran.budgets {
        _ = writeln!(
            out,
            "  at the end of the last day: '{}' has {} of {} spent",
            state.budget.id,
            money(state.settled),
            money(state.budget.limit)
        );
    }
}

/// Alerts of the same budget and share together, in the order in which the first ones came.
fn grouped(alerts: &[AlertRaised]) -> Vec<Vec<&AlertRaised>> {
    let mut groups: Vec<Vec<&AlertRaised>> = Vec::new();
    for alert in alerts {
        let same = |group: &&mut Vec<&AlertRaised>| {
            group.first().is_some_and(|first| (&first.budget, first.share) == (&alert.budget, alert.share))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(alert),
            None => groups.push(vec![alert]),
        }
    }
    groups
}

#[cfg(test)]
mod tests;
