//! A comparison as people read it.

use std::fmt::Write as _;

use policy::ledger::AlertRaised;
use protocol::money::Money;
use protocol::units::{Nanos, UnixMillis};

use super::day::{BEGIN, Ran};
use super::measure::Against;
use super::run::{Anew, MixReport, Row, SAVED, WANTED};
use super::setting::Workload;

/// A month of a mix.
#[derive(Clone, Debug, PartialEq)]
pub struct Month {
    /// The mix.
    pub mix: String,
    /// Who was asked.
    pub policy: String,
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
    if part.is_nan() { "-".to_owned() } else { format!("{:.1} %", 100.0 * part) }
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
        "\n  {:<38} {:<20} {:>10} {:>12} {:>8}  {:<17} {:>8}  {:<17}{paid}",
        "POLICY",
        format!("ASKED: {}", names.join("/")),
        "A DAY",
        "A MONTH",
        "SAVED",
        "  95 % OF SAMPLES",
        "KEPT",
        "  95 % OF SAMPLES"
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
    let span = |low: f64, high: f64| format!("{:>5.1} to {:>5.1}", 100.0 * low, 100.0 * high);
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
        "  {:<38} {:<20} {:>10} {:>12} {:>8}  {:<17} {kept:>8}  {spread:<17}{paid}",
        row.name,
        format!("{} %", asked.join("/")),
        money(row.day),
        money(month),
        percent(row.against.saved),
        span(low.saved, high.saved)
    );
}

/// The shares of a curve that lie in the wanted window, lowest and highest.
pub fn window(curve: &[(f64, Against)]) -> Option<(f64, f64)> {
    let inside = |point: &Against| point.kept >= WANTED && (SAVED.0..=SAVED.1).contains(&point.saved);
    let shares: Vec<f64> = curve.iter().filter(|(_, point)| inside(point)).map(|(share, _)| *share).collect();
    Some((*shares.first()?, *shares.last()?))
}

fn target_text(out: &mut String, report: &MixReport) {
    let Some((_, curve)) = report.curves.first() else { return };
    let window = match window(curve) {
        Some((low, high)) => format!("reached by cuts that send {} to {} up", percent(low), percent(high)),
        None => "not reached by any cut".to_owned(),
    };
    let (low, high) = SAVED;
    _ = writeln!(
        out,
        "  {:.0} to {:.0} % saved with at least {:.0} % kept: {window} (read off the prompts that it is measured on)",
        100.0 * low,
        100.0 * high,
        100.0 * WANTED
    );
    for (name, curve) in &report.curves {
        if let Some((share, point)) = super::measure::best(curve, WANTED) {
            _ = writeln!(
                out,
                "  most saved with at least {:.0} % kept, {name}: {} at {} up",
                100.0 * WANTED,
                percent(point.saved),
                percent(share)
            );
        } else {
            _ = writeln!(out, "  at least {:.0} % kept, {name}: at no share", 100.0 * WANTED);
        }
    }
}

fn anew_text(out: &mut String, anew: &Anew) {
    if let (Some((share, there)), Some((here, [low, high]))) = (anew.chosen, anew.held) {
        _ = writeln!(
            out,
            "  a cut chosen on {} other prompts, by weights that had not seen them: {} up, {} saved, {} kept there; \
             on the held-out ones {} saved ({:.1} to {:.1}), {} kept ({:.1} to {:.1})",
            anew.prompts,
            percent(share),
            percent(there.saved),
            percent(there.kept),
            percent(here.saved),
            100.0 * low.saved,
            100.0 * high.saved,
            percent(here.kept),
            100.0 * low.kept,
            100.0 * high.kept
        );
    }
    let at = |share: f64| anew.unseen.iter().find(|(own, _)| (own - share).abs() < 1e-9).map(|(_, point)| *point);
    if let Some(point) = at(0.2) {
        let most = super::measure::best(&anew.unseen, WANTED);
        let most = most.map_or_else(|| "at no share".to_owned(), |(_, point)| percent(point.saved));
        _ = writeln!(
            out,
            "  by weights that have not seen the task: balanced saves {} and keeps {}; most saved with at least {:.0} % \
             kept: {most}",
            percent(point.saved),
            percent(point.kept),
            100.0 * WANTED
        );
    }
}

fn month_text(out: &mut String, month: &Month, days: u32) {
    let Month { mix, policy, ran } = month;
    let refused: u64 = ran.refused.iter().filter(|refused| !refused.lowered).map(|refused| refused.count).sum();
    _ = writeln!(
        out,
        "\nBUDGETS over {days} days, mix {mix}, {policy}: {} requests, {} booked, at most {} set aside at once; \
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
    for lowered in [true, false] {
        let mut all = ran.refused.iter().filter(|refused| refused.lowered == lowered);
        let Some(first) = all.next() else { continue };
        let (windows, count) = all.fold((1, first.count), |(windows, count), more| (windows + 1, count + more.count));
        let what = if lowered { "answered by a lower tier" } else { "refused" };
        _ = writeln!(out, "  {}  {what}, {count} in {windows} windows: {}", moment(first.first), first.said);
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
