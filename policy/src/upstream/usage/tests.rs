use proptest::prelude::*;

use super::*;

fn usage(prompt: u64, cached: u64, completion: u64, reasoning: u64) -> ProviderUsage {
    ProviderUsage {
        prompt: Tokens(prompt),
        cached: Tokens(cached),
        completion: Tokens(completion),
        reasoning: Tokens(reasoning),
    }
}

const OWN: Own = Own {
    prompt_estimate: Tokens(400),
    completion_estimate: Tokens(200),
    bound: Bound { prompt: Tokens(500), completion: Tokens(1000) },
};

#[test]
fn a_claim_that_can_be_true_is_booked_as_it_is() {
    // Hidden reasoning makes far more than what came as text.
    for claimed in [usage(300, 0, 150, 0), usage(500, 500, 1000, 900), usage(20, 0, 9, 0)] {
        assert_eq!(believe(Some(claimed), OWN), Believed { usage: claimed, doubt: None });
    }
}

#[test]
fn who_says_nothing_is_billed_by_our_count() {
    let believed = believe(None, OWN);
    assert_eq!(believed, Believed { usage: usage(400, 0, 200, 0), doubt: Some(Doubt::Missing) });
    let own = Own { completion_estimate: Tokens(5000), prompt_estimate: Tokens(900), ..OWN };
    assert_eq!(believe(None, own).usage, usage(500, 0, 1000, 0), "the bound holds for our own count too");
}

#[test]
fn nothing_for_a_long_text_is_not_believed() {
    let claimed = usage(300, 100, 0, 0);
    let believed = believe(Some(claimed), OWN);
    assert_eq!(believed, Believed { usage: usage(300, 100, 200, 0), doubt: Some(Doubt::TooLow { claimed }) });
    let claimed = usage(0, 0, 150, 0);
    assert_eq!(believe(Some(claimed), OWN).usage, usage(400, 0, 150, 0));
    // Nor is it for a short one; few are, since a token may be long.
    let own = Own { completion_estimate: Tokens(3), ..OWN };
    assert_eq!(believe(Some(usage(300, 0, 0, 0)), own).usage.completion, Tokens(3));
    assert_eq!(believe(Some(usage(300, 0, 1, 0)), own).doubt, None);
    let nothing = Own { completion_estimate: Tokens(0), ..OWN };
    assert_eq!(believe(Some(usage(300, 0, 0, 0)), nothing).doubt, None);
}

#[test]
fn what_is_claimed_beyond_the_bound_is_told_and_not_booked() {
    let claimed = usage(300, 0, 1_000_000, 0);
    let believed = believe(Some(claimed), OWN);
    assert_eq!(believed, Believed { usage: usage(300, 0, 1000, 0), doubt: Some(Doubt::TooHigh { claimed }) });
    assert_eq!(believed.doubt.unwrap().beyond(&believed.usage), (Tokens(0), Tokens(999_000)));
    let claimed = usage(u64::MAX, u64::MAX, 0, 0);
    assert_eq!(believe(Some(claimed), OWN).usage, usage(500, 500, 200, 0));
}

#[test]
fn contradictions_do_not_make_a_bill_smaller() {
    let claimed = usage(300, 400, 150, 0);
    let believed = believe(Some(claimed), OWN);
    assert_eq!(believed, Believed { usage: usage(300, 0, 150, 0), doubt: Some(Doubt::Contradictory { claimed }) });
    assert_eq!(believe(Some(usage(300, 0, 150, 151)), OWN).usage.reasoning, Tokens(150));
}

#[test]
fn estimates_round_up() {
    assert_eq!([estimate(""), estimate("a"), estimate("abcd"), estimate("日本")].map(|tokens| tokens.0), [0, 1, 2, 2]);
}

proptest! {
    #[test]
    fn nothing_beyond_the_bound_is_ever_booked(
        claim in proptest::option::of(any::<[u64; 4]>()),
        own in any::<[u64; 2]>(),
        bound in any::<[u64; 2]>(),
    ) {
        let claimed = claim.map(|[a, b, c, d]| usage(a, b, c, d));
        let bound = Bound { prompt: Tokens(bound[0]), completion: Tokens(bound[1]) };
        let own = Own { prompt_estimate: Tokens(own[0]), completion_estimate: Tokens(own[1]), bound };
        let Believed { usage, doubt } = believe(claimed, own);
        prop_assert!(usage.prompt <= bound.prompt && usage.completion <= bound.completion);
        prop_assert!(usage.cached <= usage.prompt && usage.reasoning <= usage.completion);
        prop_assert_eq!(doubt.is_none(), claimed == Some(usage), "whatever is changed is told");
    }
}

#[test]
fn regression_of_an_answer_that_broke_off_the_provider_had_counted_nothing_yet() {
    let own = |completion| Own { completion_estimate: Tokens(completion), ..Own::default() };
    let claimed =
        |completion| ProviderUsage { prompt: Tokens(9), completion: Tokens(completion), ..Default::default() };
    for (told, came, booked) in [(0, 6, 6), (1, 40, 40), (3, 40, 40), (10, 40, 10), (50, 40, 50), (0, 0, 0)] {
        let usage = unfinished(claimed(told), &own(came));
        assert_eq!((usage.prompt, usage.completion), (Tokens(9), Tokens(booked)), "{told} of {came}");
    }
}
