use super::super::{A100, Case, Kind, Synthetic};
use super::*;

/// Changes the figures of a comparison in which all rules are alike.
fn changed(change: impl Fn(Rule, &mut Row)) -> Option<String> {
    let trace = Synthetic { requests: 20, rate: 30.0, ..Synthetic::new(Kind::SharedPrefix) }.generate().unwrap();
    let mut comparison = Case::of(&trace, A100).compare().unwrap();
    let same = comparison.row(Rule::Prefix).unwrap().summary.clone();
    for row in &mut comparison.rows {
        row.summary = same.clone();
        change(row.rule, row);
    }
    line(&comparison)
}

#[test]
fn what_is_level_is_no_loss_and_nothing_lost_is_said_to_be_so() {
    assert_eq!(changed(|_, _| {}), None);
    let less = changed(|rule, row| {
        if rule != Rule::Prefix {
            row.summary.latency.p99 *= 0.995;
        }
    });
    assert_eq!(less, None);
    assert!(section("").contains("nowhere"));
}

#[test]
fn each_figure_in_which_another_is_better_is_told_with_the_best_of_them() {
    let told = changed(|rule, row| match rule {
        Rule::Prefix => row.summary.latency.mean = 2.0,
        Rule::Dynamo => row.summary.latency.mean = 1.5,
        Rule::LeastLoad => row.summary.latency.mean = 1.75,
        Rule::Approximate => row.summary.hits.0 += row.summary.hits.0 / 2,
        Rule::Oracle => row.summary.ttft.p99 *= 0.5,
        _ => {}
    });
    let told = told.unwrap();
    assert!(told.contains("latency mean 2.00 s, dynamo 1.50 s") && !told.contains("least-load"), "{told}");
    let (hits, oracle) = (told.find("hit tokens").unwrap(), told.find("TTFT p99").unwrap());
    assert!(told[hits..].contains(", approximate ") && told[oracle..].contains(", oracle ") && hits < oracle, "{told}");
    assert!(told.starts_with("- shared-prefix-1, 8 x a100") && !told.contains("good"), "{told}");
    assert!(section(&told).ends_with(&told));
}
