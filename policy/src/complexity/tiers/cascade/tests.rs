use super::*;

const NEXT: Next = Next { time: Duration::from_secs(2), money: Nanos(500) };

fn verdict(mean: Option<f64>, time: Option<u64>, money: Option<u64>) -> Verdict {
    let left = Left { time: time.map(Duration::from_secs), money: money.map(Nanos) };
    cascade(&Cascade { threshold: 0.6, least: Tokens(4) }, mean, Tokens(20), left, NEXT)
}

#[test]
fn only_an_unsure_answer_goes_on() {
    assert_eq!(verdict(Some(0.59), None, None), Verdict::Escalate);
    assert_eq!(verdict(Some(0.6), None, None), Verdict::Keep);
    assert_eq!(verdict(None, None, None), Verdict::Keep);
    assert_eq!(verdict(Some(f64::NAN), None, None), Verdict::Keep);
}

#[test]
fn without_time_or_money_it_is_kept() {
    assert_eq!(verdict(Some(0.1), Some(1), None), Verdict::KeepForTime);
    assert_eq!(verdict(Some(0.1), None, Some(499)), Verdict::KeepForMoney);
    assert_eq!(verdict(Some(0.1), Some(2), Some(500)), Verdict::Escalate);
    assert_eq!(verdict(Some(0.9), Some(0), Some(0)), Verdict::Keep);
}

#[test]
fn a_few_tokens_say_too_little() {
    let of = |tokens| cascade(&Cascade::default(), Some(0.1), Tokens(tokens), Left::default(), NEXT);
    assert_eq!([of(0), of(7), of(8)], [Verdict::Keep, Verdict::Keep, Verdict::Escalate]);
}

#[test]
fn the_mean_is_of_probabilities() {
    assert_eq!(mean_probability([]), None);
    assert_eq!(mean_probability([0.0, f32::NEG_INFINITY]), Some(0.5));
    let mean = mean_probability([0.5_f32.ln(), 0.25_f32.ln(), f32::NAN, 3.0]).unwrap();
    assert!((mean - (0.5 + 0.25 + 0.0 + 1.0) / 4.0).abs() < 1e-6);
}
