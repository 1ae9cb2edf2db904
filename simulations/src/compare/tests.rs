use super::*;
use replay::profile::Profile;
use replay::trace::Request;

/// Groups of prompts that begin alike.
fn trace() -> Trace {
    let request = |number: u64| Request {
        at: Duration::from_millis(60 * number),
        input: Tokens(640),
        output: Tokens(8),
        blocks: (0..16).map(|block| number % 12 * 100 + block).chain([1_000_000 + number; 4]).collect(),
        session: None,
    };
    Trace { name: "groups".into(), block: Tokens(32), requests: (0..200).map(request).collect() }
}

fn plan() -> Plan {
    let profile = Profile::by_name("troupe-cpu").unwrap();
    Plan {
        setup: Setup::new(profile, 4, Rule::Prefix),
        rules: vec![Rule::Prefix, Rule::Random, Rule::Oracle],
        seeds: vec![1, 2],
        ttft: Duration::from_secs(1),
        deadline: Duration::from_secs(5),
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    let bytes = || {
        let comparison = compare(&plan(), &trace()).unwrap();
        let json = serde_json::to_string(&comparison).unwrap();
        (json, comparison.table(), comparison.markdown(), plot::ttft(&comparison).unwrap())
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn rows_stand_as_they_were_asked_for_and_say_who_found_more() {
    let comparison = compare(&plan(), &trace()).unwrap();
    let rules: Vec<Rule> = comparison.rows.iter().map(|row| row.rule).collect();
    assert_eq!(rules, plan().rules);
    let hits = |rule| comparison.row(rule).unwrap().summary.hits;
    assert!(hits(Rule::Prefix) > hits(Rule::Random));
    assert!(of_oracle(&comparison, Rule::Prefix).unwrap() > 0.9);
    let markdown = comparison.markdown();
    assert!(markdown.contains("| prefix |") && markdown.contains("4 x troupe-cpu"), "{markdown}");
    assert!(comparison.rows.iter().all(|row| row.ttft.len() == 101 && row.ttft.is_sorted()));
}

#[test]
fn times_are_written_for_people() {
    assert_eq!([0.0004, 0.25, 1.234, 250.0].map(seconds), ["0 ms", "250 ms", "1.23 s", "250 s"]);
}
