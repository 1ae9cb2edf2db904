use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    workload: Workload,
}

fn of(words: &[&str]) -> Workload {
    Line::try_parse_from(std::iter::once("x").chain(words.iter().copied())).unwrap().workload
}

#[test]
fn the_reference_workload_costs_what_its_prices_say() {
    let (all, none) = (of(&[]).bill(1.0), of(&[]).bill(0.0));
    assert!((all.cost - 135.0).abs() < 1e-9 && (none.cost - 30.0).abs() < 1e-9);
    assert!((none.saved() - 105.0 / 135.0).abs() < 1e-9 && all.saved().abs() < 1e-9);
    assert_eq!(of(&[]).bill(0.2).to_string(), "$51.00 a day, 62.2 % under $135.00");
}

#[test]
fn flags_change_it() {
    let words = ["--requests", "10", "--prompt-tokens", "1000000", "--answer-tokens", "0", "--small-price", "1"];
    assert!((of(&words).bill(0.0).cost - 10.0).abs() < 1e-9);
    assert!(of(&["--prompt-tokens", "18446744073709551615", "--small-price", "9"]).check().is_err());
    assert!(of(&[]).check().is_ok());
    assert!(Line::try_parse_from(["x", "--large-price", "-1"]).is_err());
}
