use super::*;
use crate::config::Config;

fn paths(section: &str) -> Vec<String> {
    let faults = Config::parse(&format!("[placement]\n{section}")).unwrap_err().faults;
    faults.into_iter().map(|fault| fault.path).collect()
}

#[test]
fn policies_are_written_as_they_are_named() {
    for policy in Policy::ALL {
        let config = Config::parse(&format!("[placement]\npolicy = \"{}\"", policy.as_str())).unwrap();
        assert_eq!(config.placement.policy, policy);
    }
    assert_eq!(paths("policy = \"fastest\""), ["placement.policy"]);
}

#[test]
fn impossible_values_are_found_and_nothing_at_all_may_be_asked_for() {
    assert_eq!(
        paths("candidates = 0\nsessions = 0\nsaturated = \"0s\"\npin = \"48h\"\nstep = \"0ms\""),
        ["placement.candidates", "placement.sessions", "placement.pin", "placement.saturated", "placement.step"]
    );
    let config =
        Config::parse("[placement]\nstick = \"0s\"\npin = \"0s\"\nforesight = \"0s\"\nsequence = \"0us\"").unwrap();
    assert_eq!(config.placement.foresight, Span(std::time::Duration::ZERO));
}
