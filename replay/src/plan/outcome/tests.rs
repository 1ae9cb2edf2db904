use super::*;

fn answered(ttft: u64, latency: u64, tokens: u64) -> Answered {
    let millis = Duration::from_millis;
    Answered { ttft: millis(ttft), latency: millis(latency), tokens: Tokens(tokens) }
}

#[test]
fn whoever_was_refused_waits_for_ever() {
    let answers: Vec<_> = (1..=98).rev().map(|ttft| answered(ttft, 200, 11)).collect();
    let one = Outcome::new(answers.clone(), 1, Duration::from_secs(1), 0.5, 0.5);
    assert_eq!((one.requests(), one.ttft.at(Percentile::P99)), (99, None), "99 of a hundred are 99 of 99 here");
    let none = Outcome::new(answers, 0, Duration::from_secs(1), 0.5, 0.5);
    assert_eq!(none.ttft.at(Percentile::P99), Some(Duration::from_millis(98)));
    assert_eq!(none.ttft.at(Percentile::P50), Some(Duration::from_millis(49)));
    assert_eq!(Outcome::default().ttft.at(Percentile::P50), None);
}

#[test]
fn goodput_counts_the_tokens_of_good_answers_alone() {
    let answers = vec![answered(100, 1100, 11), answered(900, 1900, 21), answered(10, 10, 1)];
    let outcome = Outcome::new(answers, 1, Duration::from_secs(2), 0.5, 0.5);
    let rate = |limit| outcome.rate(|answer| answer.ttft <= Duration::from_millis(limit));
    assert_eq!((rate(500), rate(5000)), (6.0, 16.5));
    assert_eq!(outcome.inter_token.at(Percentile::P50), Some(Duration::from_millis(100)));
    assert_eq!(outcome.inter_token.count(), 3, "one token has no gap, and the refused one counts");
}
