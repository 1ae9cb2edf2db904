//! Synthetic traces, and what is written.

use proptest::prelude::*;

use super::super::synthetic::{Kind, Plan};
use super::*;

fn bytes(trace: &Trace) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(trace, &mut bytes).unwrap();
    bytes
}

fn made(kind: Kind, change: impl FnOnce(&mut Plan)) -> Trace {
    let mut plan = Plan::new(kind);
    change(&mut plan);
    plan.generate().unwrap()
}

fn kinds() -> impl Strategy<Value = Kind> {
    proptest::sample::select(Kind::ALL.to_vec())
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (0_u64..1 << 40, 1..=1_000_000_u64, 1..=1_000_000_u64, any::<u64>(), any::<Option<u64>>());
    proptest::collection::vec(request, 1..8).prop_map(|mut list| {
        list.sort_by_key(|(at, ..)| *at);
        let first = list.first().map_or(0, |(at, ..)| *at);
        let request = |(at, input, output, name, session): (u64, u64, u64, u64, Option<u64>)| {
            let count = if name % 3 == 0 { 0 } else { Tokens(input).blocks(BLOCK).0 };
            let blocks = (0..count).map(|place| name.wrapping_add(place)).collect();
            Request {
                at: Duration::from_micros(at - first),
                input: Tokens(input),
                output: Tokens(output),
                blocks,
                session,
            }
        };
        list.into_iter().map(request).collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(requests in requests()) {
        let trace = Trace { name: "t".to_owned(), block: BLOCK, requests };
        let text = String::from_utf8(bytes(&trace)).unwrap();
        prop_assert_eq!(plain(&text).unwrap(), trace);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_that_are_read_back(
        kind in kinds(), seed: u64, rate in 0.1..100.0_f64, block in 16_u64..600, requests in 1_u32..60,
    ) {
        let plan = Plan { seed, rate, block: Tokens(block), requests, ..Plan::new(kind) };
        let trace = plan.generate().unwrap();
        let text = bytes(&trace);
        prop_assert_eq!(&text, &bytes(&plan.generate().unwrap()));
        let options = ReadOptions { block: Tokens(block), ..ReadOptions::default() };
        let read = read_text(std::str::from_utf8(&text).unwrap(), &options).unwrap();
        prop_assert_eq!(read.requests.len(), requests as usize);
        prop_assert_eq!(read, Trace { name: "t".to_owned(), ..trace });
    }
}

#[test]
fn another_seed_gives_another_trace_and_other_lengths_leave_the_times() {
    for kind in Kind::ALL {
        assert_ne!(made(kind, |plan| plan.seed = 1).requests, made(kind, |plan| plan.seed = 2).requests, "{kind}");
    }
    let longer = made(Kind::Bursts, |plan| plan.input = Lengths::Fixed(Tokens(9)));
    assert_eq!(times(&made(Kind::Bursts, |_| ())), times(&longer));
}

#[test]
fn prompts_of_a_group_begin_alike_and_no_others_do() {
    let trace = made(Kind::SharedPrefix, |plan| plan.groups = 5);
    let mut beginnings: Vec<&[u64]> = trace.requests.iter().filter_map(|request| request.blocks.get(..4)).collect();
    assert_eq!(beginnings.len(), 1000, "every prompt has its group's 2,048 tokens and at least one of its own");
    beginnings.sort_unstable();
    beginnings.dedup();
    assert_eq!(beginnings.len(), 5);
    let mut own: Vec<u64> =
        trace.requests.iter().flat_map(|request| request.blocks.get(4..).unwrap()).copied().collect();
    let count = own.len();
    own.sort_unstable();
    own.dedup();
    assert_eq!(own.len(), count);
    // The first group is asked more than twice as often as the last under a skew of 1.
    let asked = |name| trace.requests.iter().filter(|request| request.blocks.contains(&name)).count();
    let most = beginnings.iter().map(|blocks| asked(blocks[0])).max().unwrap();
    let least = beginnings.iter().map(|blocks| asked(blocks[0])).min().unwrap();
    assert!(most > 2 * least, "{most} and {least}");
    assert_eq!(made(Kind::NoSharing, |_| ()).summary().seen, Tokens::ZERO);
    assert_eq!(made(Kind::DecodeHeavy, |_| ()).summary().seen, Tokens::ZERO);
}

#[test]
fn bursts_come_at_the_mean_rate_with_silence_between() {
    let rate = 4.0;
    let gaps = |kind| {
        let trace = made(kind, |plan| (plan.rate, plan.requests) = (rate, 20_000));
        let times = times(&trace);
        let mean = *times.last().unwrap() as f64 / 1e6 / 20_000.0;
        let square: f64 = times.windows(2).map(|pair| ((pair[1] - pair[0]) as f64 / 1e6).powi(2)).sum();
        (mean, square / 20_000.0 / mean.powi(2) - 1.0)
    };
    let (mean, variation) = gaps(Kind::NoSharing);
    assert!((mean * rate - 1.0).abs() < 0.05 && (variation - 1.0).abs() < 0.1, "Poisson: {mean} {variation}");
    let (mean, variation) = gaps(Kind::Bursts);
    assert!((mean * rate - 1.0).abs() < 0.3, "{mean}");
    assert!(variation > 10.0, "gaps of bursts vary far more: {variation}");
}

#[test]
fn an_agent_s_next_prompt_is_its_last_the_answer_and_more() {
    let trace = made(Kind::Agents, |_| ());
    let mut last: std::collections::BTreeMap<u64, &Request> = std::collections::BTreeMap::new();
    let mut turns = 0;
    for request in &trace.requests {
        assert!(request.input + request.output <= Tokens(32_768));
        if let Some(before) = last.insert(request.session.unwrap(), request) {
            turns += 1;
            assert!(request.input > before.input + before.output);
            assert!(request.blocks.starts_with(&before.blocks));
            let answered = before.at + Duration::from_millis(20) * before.output.0 as u32;
            assert!(request.at >= answered, "{before:?} {request:?}");
        }
    }
    assert!(turns > 500, "{turns} of 1,000 requests have one before them");
    let beginnings: std::collections::BTreeSet<&[u64]> = last.values().map(|request| &request.blocks[..4]).collect();
    assert_eq!(beginnings.len(), 4);
}

#[test]
fn plans_that_make_no_trace_are_refused() {
    let refused = |kind, change: fn(&mut Plan)| {
        let mut plan = Plan::new(kind);
        change(&mut plan);
        plan.generate().unwrap_err().to_string()
    };
    use Kind::{Agents, Bursts, NoSharing, SharedPrefix};
    assert_eq!(refused(NoSharing, |plan| plan.requests = 0), "--requests is 0: give 1 to 10000000");
    let rates: [fn(&mut Plan); 3] =
        [|plan| plan.rate = f64::NAN, |plan| plan.rate = 0.0, |plan| plan.rate = f64::INFINITY];
    for change in rates {
        assert!(refused(NoSharing, change).starts_with("--rate is "));
    }
    assert!(refused(NoSharing, |plan| plan.block = Tokens(0)).starts_with("--block is 0"));
    assert!(refused(SharedPrefix, |plan| plan.prefix = Tokens(9)).starts_with("--prefix is 9: give at least a block"));
    assert!(refused(Bursts, |plan| plan.on = Duration::ZERO).starts_with("--on is 0s"));
    assert!(refused(Bursts, |plan| plan.rate = 1e-5).contains("nearly all bursts would be empty"));
    assert!(refused(Agents, |plan| plan.turns = 0.0).starts_with("--turns is 0"));
    assert!(refused(Agents, |plan| plan.context = Tokens(2048)).starts_with("--context is 2048"));
}

#[test]
fn lengths_are_as_they_were_asked_for() {
    let mean = |text: &str| {
        let lengths: Lengths = text.parse().unwrap();
        let mut random = policy::restart::Jitter::new(7);
        let drawn: Vec<u64> = (0..20_000).map(|_| lengths.draw(&mut random).0).collect();
        (drawn.iter().sum::<u64>() as f64 / 20_000.0, *drawn.iter().min().unwrap(), *drawn.iter().max().unwrap())
    };
    assert_eq!(mean("fixed:512"), (512.0, 512, 512));
    let (middle, least, most) = mean("uniform:100..104");
    assert!((middle - 102.0).abs() < 0.1 && (least, most) == (100, 104));
    let (middle, ..) = mean("lognormal:512:0.5");
    assert!((middle / 512.0 - 1.0).abs() < 0.03, "{middle}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cdf.json");
    std::fs::write(&file, r#"{"cdf": [[64, 0.0], [128, 0.5], [256, 1.0]], "source": "x"}"#).unwrap();
    let (middle, least, most) = mean(&format!("cdf:{}", file.display()));
    assert!((middle - (96.0 + 192.0) / 2.0).abs() < 2.0 && least >= 64 && most <= 256, "{middle} {least} {most}");
    for (text, word) in [("512", "fixed:512"), ("fixed:0", "1 to 1000000"), ("uniform:5..4", "smaller one first")] {
        let error = text.parse::<Lengths>().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    for (text, word) in [
        ("[]", "the last fraction is 0"),
        ("[[64, 0.5]]", "the last fraction is 0.5"),
        ("[[64, 0.5], [64, 1]]", "point 1 is at 64 tokens"),
        ("[[64, 0.5], [128, 0.4]]", "point 1 has the fraction 0.4"),
        ("{}", "is no cumulative distribution"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Lengths::read_cdf(&file).unwrap_err().to_string();
        assert!(error.contains("cdf.json: ") && error.contains(word), "{error}");
    }
}
