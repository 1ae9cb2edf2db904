use protocol::units::Tokens;

use super::*;

fn millis(number: u64) -> Option<Duration> {
    Some(Duration::from_millis(number))
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let good = Target { ttft: millis(500), ..Target::default() };
    assert_eq!(good.check(), Ok(()));
    for (target, words) in [
        (Target::default(), "give --ttft"),
        (Target { ttft: millis(0), ..good }, "--ttft is 0"),
        (Target { inter_token: millis(0), ..good }, "--inter-token is 0"),
        (Target { latency: millis(400), ..good }, "--latency is 400ms, below --ttft, 500ms"),
        (Target { goodput: Some(0.0), ..good }, "--goodput is 0"),
        (Target { goodput: Some(f64::NAN), ..good }, "--goodput is NaN"),
    ] {
        let error = target.check().unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn all_that_is_given_must_hold() {
    let answer = |ttft, latency| Answered {
        ttft: Duration::from_millis(ttft),
        latency: Duration::from_millis(latency),
        tokens: Tokens(11),
    };
    let outcome = Outcome::new(vec![answer(100, 1100); 99], 1, Duration::from_secs(10), 0.5, 0.0);
    let target = Target { ttft: millis(100), latency: millis(1100), inter_token: millis(100), ..Target::default() };
    assert!(target.met_by(&outcome), "the one that was refused is beyond the 99th: {}", target.missed(&outcome));
    let p999 = Target { percentile: "p99.9".parse().unwrap(), ..target };
    assert!(p999.missed(&outcome).contains("1 requests are refused"), "{}", p999.missed(&outcome));
    let late = Target { latency: millis(1099), ..target };
    assert_eq!(late.missed(&outcome), "p99 of latency is 1.10 s, above 1.10 s");
    let rate = |goodput| Target { goodput: Some(goodput), ..target };
    assert!(rate(108.9).met_by(&outcome));
    assert!(rate(109.0).missed(&outcome).starts_with("goodput is 108.9 tokens/s"));
    let nobody = Target { ttft: millis(99), goodput: Some(1.0), ..Target::default() };
    assert!(nobody.missed(&outcome).contains("goodput is 0.0"));
}
