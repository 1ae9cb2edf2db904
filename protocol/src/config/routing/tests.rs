use super::*;
use crate::config::Config;

fn problem(text: &str) -> String {
    Config::parse(text).unwrap_err().to_string()
}

#[test]
fn only_auto_asks_the_cluster_to_choose() {
    assert!(["auto", "auto:best", "auto:worst"].into_iter().all(is_auto));
    assert!(!["autobahn", "smollm2", "x:auto"].into_iter().any(is_auto));
}

#[test]
fn tiers_that_cannot_work_are_named() {
    let tier = |name: &str, models: &str| format!("[[routing.tiers]]\nname = \"{name}\"\nmodels = {models}\n");
    assert!(problem(&tier("a b", "[\"m\"]")).contains("routing.tiers[0].name"));
    assert!(problem(&tier("a", "[]")).contains("routing.tiers[0].models"));
    assert!(problem(&tier("a", "[\"auto\"]")).contains("name a model"));
    let twice = tier("a", "[\"m\"]") + &tier("b", "[\"m\"]");
    assert!(problem(&twice).contains("a model has one tier"));
    assert!(problem("[routing]\nbalanced = [0.5, 0.4]\n").contains("growing order"));
    assert!(problem("[routing]\nbest = [1.5]\n").contains("from 0 to 1"));
    let few = format!("[routing]\nbalanced = []\n{}{}", tier("a", "[\"m\"]"), tier("b", "[\"n\"]"));
    assert!(problem(&few).contains("one between each two"), "{}", problem(&few));
    let good = tier("small", "[\"m\"]") + &tier("large", "[\"n\", \"o\"]");
    assert_eq!(Config::parse(&good).unwrap().routing.tiers.len(), 2);
}
