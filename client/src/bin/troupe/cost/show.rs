//! A plan as a table and as JSON. Amounts are exact in both.

use std::collections::BTreeSet;
use std::fmt::Write;

use policy::plan::{Bill, Need, Offer};
use protocol::money::Money;
use protocol::units::Nanos;
use serde_json::{Value, json};

use super::{Named, Report};

/// `1234567` as `1,234,567`.
fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn number(number: u64) -> String {
    grouped(&number.to_string())
}

fn money(nanos: Nanos) -> String {
    let text = Money(nanos).to_string();
    match text.split_once('.') {
        Some((whole, part)) => format!("{}.{part}", grouped(whole)),
        None => text,
    }
}

/// Hundredths of a percent, as `57.3%`.
fn percent(hundredths: u64) -> String {
    format!("{}.{}%", number(hundredths / 100), hundredths % 100 / 10)
}

fn factor(hundredths: u32) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn price(offer: &Offer) -> String {
    match offer {
        Offer::Price(price) => {
            format!("{} in, {} cached, {} out", money(price.input), money(price.cached), money(price.output))
        }
        Offer::Own { hardware, .. } if hardware.gpus == 1 => format!("{} an hour", money(hardware.gpu_hour.0)),
        Offer::Own { hardware, .. } => {
            format!("{} an hour for each of {} GPUs", money(hardware.gpu_hour.0), hardware.gpus)
        }
    }
}

fn source(named: &Named) -> String {
    let parts = [&named.source, &named.date, &named.note];
    parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("; ")
}

/// What hardware is for and how busy it is.
fn busy(named: &Named, need: &Need) -> Option<String> {
    let Offer::Own { hardware, .. } = &named.offer else { return None };
    let units = if need.units == 1 { "1 unit".to_owned() } else { format!("{} units", number(need.units)) };
    let verdict = if need.suffices() {
        format!("{units}: enough")
    } else {
        format!("{units}: NOT ENOUGH, {} are needed", number(need.enough))
    };
    Some(format!(
        "{verdict}; {}: busy {} of the time, {} at the peak of {} + {} tokens/s (it does {} or {})",
        hardware.model,
        percent(need.mean),
        percent(need.peak),
        number(need.prefill.0),
        number(need.decode.0),
        number(hardware.prefill.into()),
        number(hardware.decode.into()),
    ))
}

fn line(out: &mut String, name: &str, bill: &Bill, rest: &str) {
    // Writing to a string cannot fail.
    _ = writeln!(
        out,
        "{}",
        format!("{name:<32} {:>10} {:>14} {:>16}  {rest}", number(bill.requests), money(bill.day), money(bill.month))
            .trim_end()
    );
}

fn heads(out: &mut String, first: &str) {
    _ = writeln!(
        out,
        "\n{first:<32} {:>10} {:>14} {:>16}  PRICE (OF A MILLION TOKENS)",
        "REQUESTS", "A DAY", "A MONTH"
    );
}

fn entry(out: &mut String, title: &str, named: &Named, bill: &Bill) {
    line(out, title, bill, &price(&named.offer));
    if let Some(text) = bill.need.as_ref().and_then(|need| busy(named, need)) {
        _ = writeln!(out, "  {text}");
    }
}

pub(super) fn table(report: &Report) -> String {
    let workload = &report.workload;
    let mut out = String::new();
    _ = writeln!(
        out,
        "{} requests a day of {} + {} tokens, {} of the prompts cached; at the peak {} times the mean; {} days a month; {}",
        number(workload.requests),
        number(workload.prompt.0),
        number(workload.answer.0),
        workload.cached,
        factor(workload.peak),
        workload.days,
        report.currency,
    );
    heads(&mut out, "ALL TO ONE");
    for (named, bill) in &report.alone {
        entry(&mut out, &named.name, named, bill);
    }
    heads(&mut out, "ROUTED");
    for ((named, share), bill) in report.tiers.iter().zip(&report.routed.tiers) {
        entry(&mut out, &format!("{share} {}", named.name), named, bill);
    }
    line(&mut out, "together", &report.routed.all, "");
    let (place, alone) = &report.routed.dearest;
    if let Some((named, _)) = report.tiers.get(*place) {
        let (day, routed) = (alone.day, report.routed.all.day);
        _ = match day.checked_sub(routed) {
            Some(less) => writeln!(
                out,
                "routing saves {} a day, {}, against {} for all to {}",
                money(less),
                percent(report.routed.saved),
                money(day),
                named.name
            ),
            None => writeln!(
                out,
                "routing saves nothing: it costs {} a day more than {} for all to {}",
                money(routed - day),
                money(day),
                named.name
            ),
        };
    }
    sources(&mut out, report);
    out
}

/// Where each price and figure is from, once.
fn sources(out: &mut String, report: &Report) {
    _ = writeln!(out, "\nWHERE PRICES AND FIGURES ARE FROM");
    let mut seen = BTreeSet::new();
    for named in report.alone.iter().map(|(named, _)| named).chain(report.tiers.iter().map(|(named, _)| named)) {
        if seen.insert(&named.name) {
            _ = writeln!(out, "{:<32} {}", named.name, source(named));
        }
    }
}

fn amount(nanos: Nanos) -> String {
    Money(nanos).to_string()
}

fn bill_json(named: &Named, bill: &Bill) -> Value {
    let price = match &named.offer {
        Offer::Price(price) => json!({
            "input": amount(price.input),
            "cached": amount(price.cached),
            "output": amount(price.output),
        }),
        Offer::Own { hardware, .. } => json!({
            "model": hardware.model,
            "gpu_hour": hardware.gpu_hour.to_string(),
            "gpus": hardware.gpus,
            "prefill": hardware.prefill,
            "decode": hardware.decode,
        }),
    };
    let need = bill.need.map(|need| {
        json!({
            "suffices": need.suffices(),
            "units": need.units,
            "units_needed": need.enough,
            "peak_prefill": need.prefill.0,
            "peak_decode": need.decode.0,
            "utilisation": need.mean as f64 / 1e4,
            "peak_utilisation": need.peak as f64 / 1e4,
        })
    });
    json!({
        "name": named.name,
        "requests": bill.requests,
        "day": amount(bill.day),
        "month": amount(bill.month),
        "price": price,
        "hardware": need,
        "source": named.source,
        "date": named.date,
        "note": named.note,
    })
}

pub(super) fn json(report: &Report) -> Value {
    let workload = &report.workload;
    let tiers = report.tiers.iter().zip(&report.routed.tiers).map(|((named, share), bill)| {
        let mut tier = bill_json(named, bill);
        if let Some(tier) = tier.as_object_mut() {
            tier.insert("share".into(), json!(f64::from(share.0) / 100.0));
        }
        tier
    });
    let (place, dearest) = &report.routed.dearest;
    json!({
        "workload": {
            "requests": workload.requests,
            "prompt": workload.prompt.0,
            "answer": workload.answer.0,
            "cached": f64::from(workload.cached.0) / 100.0,
            "peak": f64::from(workload.peak) / 100.0,
            "days": workload.days,
        },
        "currency": report.currency,
        "alone": report.alone.iter().map(|(named, bill)| bill_json(named, bill)).collect::<Vec<_>>(),
        "routed": {
            "tiers": tiers.collect::<Vec<_>>(),
            "day": amount(report.routed.all.day),
            "month": amount(report.routed.all.month),
            "dearest": report.tiers.get(*place).map(|(named, _)| named.name.as_str()),
            "dearest_day": amount(dearest.day),
            "saved": report.routed.saved as f64 / 1e4,
        },
    })
}
