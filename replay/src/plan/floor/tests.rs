use proptest::prelude::*;
use protocol::units::{Blocks, Percent};

use super::*;
use crate::plan::run::on;
use crate::plan::tests::{profile, trace};

fn millis(number: u64) -> Option<Duration> {
    Some(Duration::from_millis(number))
}

fn why(profile: &Profile, trace: &Trace, target: &Target) -> String {
    check(profile, trace, target).unwrap_err().to_string()
}

#[test]
fn what_is_impossible_is_named_with_its_request() {
    let (profile, trace) = (profile(), trace(10, Duration::from_secs(1)));
    let ttft = Target { ttft: millis(300), ..Target::default() };
    // All but the first have 64 of 320 tokens in common with an earlier one.
    assert_eq!(
        why(&profile, &trace, &ttft),
        "no number of nodes has p99 of TTFT within 300 ms: on an idle node 1 of 10 requests take longer, as request 1 of \
         320 tokens with 320 ms"
    );
    let p90 = Target { percentile: "0.9".parse().unwrap(), ..ttft };
    assert_eq!(check(&profile, &trace, &p90), Ok(()), "one in ten may take longer");
    let latency = Target { latency: millis(359), ..Target::default() };
    assert!(why(&profile, &trace, &latency).contains("p99 of latency"));
    let step = Target { inter_token: millis(9), ..Target::default() };
    assert!(why(&profile, &trace, &step).contains("a step of one sequence takes 10.0 ms"));
    let goodput = Target { goodput: Some(13.0), ..Target::default() };
    assert!(why(&profile, &trace, &goodput).contains("asks for 12.5 tokens/s"));
    let small = Profile { blocks: Blocks(10), ..profile.clone() };
    assert!(why(&small, &trace, &ttft).starts_with("10 of 10 requests fit no such node"));
    let empty = Trace { requests: Vec::new(), ..trace };
    assert!(why(&profile, &empty, &ttft).contains("no requests"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What is said to be impossible must be: a node for every request is as good as idle nodes get.
    #[test]
    fn no_run_is_faster_than_the_floor(
        requests in prop::collection::vec((0_u64..2000, 1_u64..600, 1_u64..20, 0_u64..4), 1..20),
        limit in 1_u64..700,
    ) {
        let mut at = Duration::ZERO;
        let request = |(gap, input, output, group): (u64, u64, u64, u64)| {
            at += Duration::from_millis(gap);
            let blocks = (0..input.div_ceil(32)).map(|block| group * 1000 + block).collect();
            Request { at, input: Tokens(input), output: Tokens(output), blocks, session: None }
        };
        let trace = Trace { name: "t".into(), block: Tokens(32), requests: requests.into_iter().map(request).collect() };
        let profile = profile();
        let target = Target { ttft: millis(limit), latency: millis(limit + 100), headroom: Percent(0), ..Target::default() };
        let outcome = on(&profile, 1)(20, &trace).unwrap();
        if target.met_by(&outcome) {
            prop_assert_eq!(check(&profile, &trace, &target), Ok(()));
        }
    }
}
