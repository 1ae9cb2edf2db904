use super::*;
use replay::profile::Profile;
use replay::run::Kind;
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

#[test]
fn where_nothing_can_be_found_there_is_no_share_of_it() {
    let mut comparison = compare(&plan(), &trace()).unwrap();
    comparison.rows.iter_mut().for_each(|row| row.summary.hits = Tokens::ZERO);
    assert_eq!(of_oracle(&comparison, Rule::Prefix), None);
}

#[test]
fn requests_without_a_first_token_count_among_all() {
    let plan = plan();
    let setup = Setup { rule: Rule::Random, ..plan.setup.clone() };
    let mut results = simulate(&setup, &trace()).unwrap();
    let all = results.records.len();
    results.records.iter_mut().take(all / 4).for_each(|record| record.first = None);
    let refused = row(Rule::Random, &[results], &plan);
    assert!((75..=76).contains(&refused.ttft.len()), "{} hundredths of three quarters", refused.ttft.len());
}

/// Short prompts that share nothing, so that the nodes' speed in decoding decides.
fn alike(requests: u64, gap: Duration) -> Trace {
    let request = |number: u32| Request {
        at: gap * number,
        input: Tokens(32),
        output: Tokens(200),
        blocks: vec![number.into()],
        session: None,
    };
    Trace { name: "alike".into(), block: Tokens(32), requests: (0..requests as u32).map(request).collect() }
}

/// How many requests each node answered.
fn answered(setup: &Setup, trace: &Trace) -> Vec<u64> {
    simulate(setup, trace).unwrap().nodes.iter().map(|node| node.requests).collect()
}

#[test]
fn placements_between_two_reports_are_remembered() {
    let profile = Profile { queue: 64, batch: 64, ..Profile::by_name("troupe-cpu").unwrap() };
    let hour = Duration::from_secs(3600);
    let setup = Setup { report_every: hour, delay: Duration::from_millis(1), ..Setup::new(profile, 4, Rule::Prefix) };
    // All come at once, long before anybody reports again.
    assert_eq!(answered(&setup, &alike(16, Duration::ZERO)), [4; 4]);
}

#[test]
fn the_size_of_batches_is_remembered_from_one_decision_to_the_next() {
    // With one sequence both are as fast, by what is told apart; with many one is not.
    let even = Profile { queue: 256, batch: 256, ..Profile::by_name("a100-80g-llama-3.1-8b").unwrap() };
    let even = Profile { step: Duration::from_millis(10), sequence: Duration::ZERO, ..even };
    let steep = Profile { sequence: Duration::from_millis(1), ..even.clone() };
    let kinds = vec![Kind { profile: even.clone(), count: 1 }, Kind { profile: steep, count: 1 }];
    let setup = Setup { kinds, ..Setup::new(even, 1, Rule::Prefix) };
    let nodes = answered(&setup, &alike(1_000, Duration::from_millis(100)));
    assert!(nodes[0] > 8 * nodes[1], "without it the first has some 700: {nodes:?}");
}
