//! A comparison for programs: amounts exact, as text.

use protocol::money::Money;
use protocol::units::Nanos;
use serde_json::{Value, json};

use super::measure::{Against, Point};
use super::report::{Month, Report};
use super::run::{MixReport, Row};

fn money(nanos: Nanos) -> Value {
    json!(Money(nanos).to_string())
}

/// No number where there is none.
fn part(part: f64) -> Value {
    if part.is_finite() { json!((part * 1e6).round() / 1e6) } else { Value::Null }
}

fn against(against: &Against, labelled: bool) -> Value {
    json!({ "saved": part(against.saved), "kept": if labelled { part(against.kept) } else { Value::Null } })
}

/// All of it.
pub fn json(report: &Report) -> Value {
    let workload = &report.workload;
    json!({
        "requests": workload.requests,
        "prompt": workload.prompt.0,
        "answer": workload.answer.0,
        "cached": workload.cached.0,
        "days": workload.days,
        "currency": report.currency,
        "prompts": report.prompts,
        "seed": report.seed,
        "mixes": report.mixes.iter().map(mix).collect::<Vec<_>>(),
        "months": report.months.iter().map(month).collect::<Vec<_>>(),
    })
}

fn mix(report: &MixReport) -> Value {
    let mix = &report.priced.mix;
    let point =
        |point: &Point| json!({ "at": part(point.at), "up": part(point.up), "against": against(&point.against, true) });
    let points = |curve: &[Point]| curve.iter().map(point).collect::<Vec<Value>>();
    let tiers = mix.tiers.iter().zip(&report.priced.tiers).zip(&report.ends).map(|((tier, priced), end)| {
        json!({
            "name": tier.name,
            "model": tier.model,
            "labels": tier.labels,
            "stands_in": tier.stands_in,
            "input": money(priced.price.input),
            "cached": money(priced.price.cached),
            "output": money(priced.price.output),
            "source": priced.source,
            "quality": if report.labelled { part(*end) } else { Value::Null },
        })
    });
    let anew = report.anew.as_ref().map(|anew| {
        json!({
            "prompts": anew.prompts,
            "chosen": anew.chosen.as_ref().map(point),
            "held": anew.held.as_ref().map(|(held, _)| point(held)),
            "interval": anew.held.map(|(_, interval)| interval.map(|end| against(&end, true))),
            "there": anew.there.map(|interval| interval.map(|end| against(&end, true))),
            "all": anew.all.iter().map(|(mode, own, interval)| {
                json!({
                    "mode": mode.to_string(),
                    "point": point(own),
                    "interval": interval.map(|end| against(&end, true)),
                })
            }).collect::<Vec<_>>(),
            "unseen": points(&anew.unseen),
        })
    });
    json!({
        "name": mix.name,
        "about": mix.about,
        "tiers": tiers.collect::<Vec<_>>(),
        "policies": report.rows.iter().map(|one| row(one, report.labelled)).collect::<Vec<_>>(),
        "curves": report.curves.iter().map(|(name, curve)| json!({ "name": name, "points": points(curve) })).collect::<Vec<_>>(),
        "anew": anew,
        "load": report.load.iter().map(|(times, paid, saved)| {
            json!({ "times": times, "units": paid.units, "paid": money(paid.day), "saved_paid": part(*saved) })
        }).collect::<Vec<_>>(),
        "cached": report.cached.iter().map(|(share, day, saved)| {
            json!({ "cached": share.0, "day": money(*day), "saved": part(*saved) })
        }).collect::<Vec<_>>(),
        "conversations": report.talks.iter().map(|(turns, up, kept, point)| {
            json!({ "turns": turns, "up": part(*up), "by_conversation": part(*kept), "against": against(point, report.labelled) })
        }).collect::<Vec<_>>(),
    })
}

fn row(row: &Row, labelled: bool) -> Value {
    json!({
        "name": row.name,
        "asked": row.ran.asked,
        "answered": row.ran.answered,
        "day": money(row.day),
        "paid": money(row.paid.day),
        "units": row.paid.units,
        "quality": if labelled { part(row.ran.quality) } else { Value::Null },
        "against": against(&row.against, labelled),
        "gap": part(row.gap),
        "interval": row.interval.map(|end| against(&end, labelled)),
        "saved_paid": part(row.saved_paid),
    })
}

fn month(month: &Month) -> Value {
    let Month { mix, policy, coordinators, ran } = month;
    json!({
        "mix": mix,
        "policy": policy,
        "coordinators": coordinators,
        "requests": ran.requests,
        "answered": ran.answered,
        "lowered": ran.lowered,
        "settled": money(ran.settled),
        "reserved": money(ran.reserved),
        "alerts": ran.alerts.iter().map(|alert| {
            json!({
                "budget": alert.budget,
                "share": alert.share,
                "settled": money(alert.settled),
                "reserved": money(alert.reserved),
                "limit": money(alert.limit),
                "at": alert.at.0,
            })
        }).collect::<Vec<_>>(),
        "refused": ran.refused.iter().map(|refused| {
            json!({
                "budget": refused.budget,
                "first": refused.first.0,
                "said": refused.said,
                "count": refused.count,
                "lowered": refused.lowered,
            })
        }).collect::<Vec<_>>(),
        "budgets": ran.budgets.iter().map(|state| {
            json!({ "id": state.budget.id, "limit": money(state.budget.limit), "settled": money(state.settled) })
        }).collect::<Vec<_>>(),
    })
}
