use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    delay: Duration::from_secs(2),
    after: Duration::from_secs(10),
    idle: Duration::from_secs(30),
    patience: Duration::from_secs(5),
};

fn host(node: u64, free: bool, loaded: usize, places: &[(&str, LoadState)]) -> Host {
    let place = |(model, state): &(&str, LoadState)| ModelPlace { model: (*model).to_owned(), state: state.clone() };
    Host { node: NodeId(node), free, loaded, places: places.iter().map(place).collect() }
}

fn waits(seconds: u64) -> Vec<(String, Duration)> {
    vec![("m".to_owned(), Duration::from_secs(seconds))]
}

/// Observes every second of a span; when it wished, and of whom.
fn hold(loading: &mut Loading, span: std::ops::Range<u64>, delay: u64, hosts: &[Host]) -> Vec<(u64, u64)> {
    let mut wish = |second| loading.observe(Duration::from_secs(second), &waits(delay), hosts, &RULES);
    span.filter_map(|second| Some((second, wish(second)?.node.0))).collect::<Vec<_>>()
}

impl Loading {
    fn rested(hosts: &[Host]) -> Self {
        let mut loading = Self::default();
        assert_eq!(hold(&mut loading, 0..31, 0, hosts), [], "without pressure nobody is asked");
        loading
    }
}

#[test]
fn pressure_that_lasts_brings_one_node_and_then_it_is_looked_again() {
    let hosts = [host(1, true, 1, &[("m", LoadState::Idle)]), host(2, true, 0, &[("m", LoadState::Idle)])];
    let mut loading = Loading::rested(&hosts);
    assert_eq!(hold(&mut loading, 31..41, 9, &hosts), [], "a moment is no reason");
    assert_eq!(hold(&mut loading, 41..51, 9, &hosts), [(41, 2)], "the one with the fewest models, and one at a time");
    let comes = [hosts[0].clone(), host(2, true, 0, &[("m", LoadState::Loading { fetched: None })])];
    assert_eq!(hold(&mut loading, 51..200, 9, &comes), [], "it is on its way");
    let there = [hosts[0].clone(), host(2, false, 1, &[("m", LoadState::Loaded)])];
    assert_eq!(hold(&mut loading, 200..201, 9, &there), [(200, 1)], "it was not enough");
}

#[test]
fn a_break_in_the_pressure_begins_the_count_anew() {
    let hosts = [host(1, true, 0, &[("m", LoadState::Idle)])];
    let mut loading = Loading::rested(&hosts);
    assert_eq!(hold(&mut loading, 31..40, 9, &hosts), []);
    assert_eq!(hold(&mut loading, 40..41, 1, &hosts), []);
    assert_eq!(hold(&mut loading, 41..60, 9, &hosts), [(51, 1)]);
}

#[test]
fn only_who_can_and_has_nothing_to_do_is_asked() {
    let loading = LoadState::Loading { fetched: Some(3) };
    let hosts = [
        host(1, false, 0, &[("m", LoadState::Idle)]),
        host(2, true, 0, &[("m", LoadState::failed("no file"))]),
        host(3, true, 0, &[("other", LoadState::Idle)]),
        host(4, true, 0, &[("m", LoadState::Idle), ("other", loading)]),
        host(5, true, 0, &[("m", LoadState::Loaded)]),
    ];
    assert_eq!(hold(&mut Loading::rested(&hosts), 31..100, 9, &hosts), []);
    let busy_until = |second: u64| [host(1, second >= 40, 0, &[("m", LoadState::Idle)])];
    let mut loading = Loading::default();
    let asked = (0..100).find(|second| {
        let now = Duration::from_secs(*second);
        loading.observe(now, &waits(9), &busy_until(*second), &RULES).is_some()
    });
    assert_eq!(asked, Some(70), "it must have been without work for a while");
}

proptest! {
    #[test]
    fn a_wish_is_always_for_a_free_node_that_could(
        steps in prop::collection::vec((0u64..5, prop::collection::vec((any::<bool>(), 0u8..5), 3)), 1..200)
    ) {
        let mut loading = Loading::default();
        let mut last: Option<u64> = None;
        for (second, (delay, nodes)) in steps.into_iter().enumerate() {
            let state = |number| match number {
                0 => LoadState::Idle,
                1 => LoadState::Loading { fetched: None },
                2 => LoadState::Loaded,
                3 => LoadState::Unloading,
                _ => LoadState::failed("no"),
            };
            let hosts: Vec<Host> = nodes
                .into_iter()
                .enumerate()
                .map(|(node, (free, number))| host(node as u64, free, 0, &[("m", state(number))]))
                .collect();
            let rules = Rules { after: Duration::from_secs(2), idle: Duration::from_secs(1), ..RULES };
            let second = second as u64;
            if let Some(wanted) = loading.observe(Duration::from_secs(second), &waits(delay), &hosts, &rules) {
                let host = &hosts[wanted.node.0 as usize];
                prop_assert!(host.free && host.state("m") == Some(&LoadState::Idle));
                let comes = hosts.iter().any(|host| matches!(host.state("m"), Some(LoadState::Loading { .. })));
                prop_assert!(!comes);
                prop_assert!(delay >= 2);
                prop_assert!(last.is_none_or(|last| second >= last + 2), "each node more has pressure of its own");
                last = Some(second);
            }
        }
    }
}
