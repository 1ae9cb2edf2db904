use proptest::prelude::*;

use super::*;

fn target(model: &str) -> Target {
    Target { model: model.to_owned(), retries: 0, prefill: false }
}

fn chain() -> Chain {
    Chain {
        down: vec![target("down-1"), target("down-2")],
        rate_limit: vec![target("rate")],
        context_window: vec![target("long")],
        content_policy: vec![target("open")],
        budget: vec![target("cheap")],
        any: vec![target("any")],
    }
}

const SETTINGS: Settings =
    Settings { share: 0.1, floor: 100, first: Duration::from_millis(50), longest: Duration::from_secs(2) };
const LEFT: Duration = Duration::from_secs(60);

fn failed(kind: FailureKind) -> Failed {
    Failed { kind, retry_after: None, streamed: Streamed::Nothing }
}

fn fail(fallback: &mut Fallback, failed: Failed) -> Step {
    fallback.on_failure(failed, LEFT, 0.5, &mut Budget::new(SETTINGS))
}

/// The model that is asked next; nobody if given up.
fn next(fallback: &mut Fallback, kind: FailureKind) -> Option<String> {
    match fail(fallback, failed(kind)) {
        Step::Next { target, mode: Mode::Anew, .. } => Some(target.model),
        Step::GiveUp { .. } => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_kind_of_failure_has_its_chain_and_then_the_common_one() {
    for (kind, first) in [
        (FailureKind::Down, "down-1"),
        (FailureKind::Auth, "down-1"),
        (FailureKind::Timeout, "down-1"),
        (FailureKind::Cut, "down-1"),
        (FailureKind::Garbled, "down-1"),
        (FailureKind::RateLimited, "rate"),
        (FailureKind::Full, "rate"),
        (FailureKind::ContextWindow, "long"),
        (FailureKind::ContentPolicy, "open"),
        (FailureKind::Budget, "cheap"),
    ] {
        let mut fallback = Fallback::new(target("m"), chain(), SETTINGS);
        assert_eq!(next(&mut fallback, kind).as_deref(), Some(first), "{kind:?}");
    }
    let mut fallback = Fallback::new(target("m"), chain(), SETTINGS);
    let all: Vec<_> = std::iter::from_fn(|| next(&mut fallback, FailureKind::Down)).collect();
    assert_eq!(all, ["down-1", "down-2", "any"]);
}

#[test]
fn the_chain_of_the_latest_failure_counts_and_the_first_failure_is_told() {
    let mut fallback = Fallback::new(target("m"), chain(), SETTINGS);
    assert_eq!(next(&mut fallback, FailureKind::Down).as_deref(), Some("down-1"));
    assert_eq!(next(&mut fallback, FailureKind::ContextWindow).as_deref(), Some("long"));
    assert_eq!(next(&mut fallback, FailureKind::ContextWindow).as_deref(), Some("any"));
    let told = fail(&mut fallback, failed(FailureKind::ContextWindow));
    let first = FailureKind::Down;
    assert_eq!(told, Step::GiveUp { error: ErrorKind::ProviderFailed, kind: first, retry_after: None });
}

#[test]
fn what_is_wrong_is_told_at_once_but_what_a_stand_in_lacks_is_not() {
    let mut fallback = Fallback::new(target("m"), chain(), SETTINGS);
    let told = fail(&mut fallback, failed(FailureKind::Invalid));
    // `any` stands in whatever the failure.
    assert!(matches!(&told, Step::Next { target, .. } if target.model == "any"), "{told:?}");
    let none = Chain { any: vec![], ..chain() };
    let mut fallback = Fallback::new(target("m"), none, SETTINGS);
    let told = fail(&mut fallback, failed(FailureKind::Invalid));
    assert!(matches!(told, Step::GiveUp { error: ErrorKind::Invalid, .. }), "{told:?}");
    let mut fallback = Fallback::new(target("m"), chain(), SETTINGS);
    assert_eq!(next(&mut fallback, FailureKind::Down).as_deref(), Some("down-1"));
    assert_eq!(next(&mut fallback, FailureKind::Invalid).as_deref(), Some("down-2"));
}

#[test]
fn what_may_pass_is_tried_again_with_jitter_and_what_took_too_long_is_not() {
    let twice = Target { retries: 2, ..target("m") };
    let mut fallback = Fallback::new(twice.clone(), chain(), SETTINGS);
    let waits: Vec<Duration> = (0..2)
        .map(|_| match fail(&mut fallback, failed(FailureKind::Down)) {
            Step::Retry { after, mode: Mode::Anew } => after,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(waits, [Duration::from_millis(25), Duration::from_millis(50)]);
    assert_eq!(next(&mut fallback, FailureKind::Down).as_deref(), Some("down-1"));
    let mut fallback = Fallback::new(twice, chain(), SETTINGS);
    assert_eq!(next(&mut fallback, FailureKind::Timeout).as_deref(), Some("down-1"));
}

#[test]
fn no_retry_without_budget_and_none_past_the_deadline() {
    let often = Target { retries: 5, ..target("m") };
    let spent = Settings { floor: 0, share: 0.0, ..SETTINGS };
    let mut fallback = Fallback::new(often.clone(), chain(), SETTINGS);
    let step = fallback.on_failure(failed(FailureKind::Down), LEFT, 0.5, &mut Budget::new(spent));
    assert!(matches!(step, Step::Next { .. }), "{step:?}");
    let mut fallback = Fallback::new(often, Chain::default(), SETTINGS);
    let told = Failed { retry_after: Some(LEFT), ..failed(FailureKind::RateLimited) };
    let step = fallback.on_failure(told, LEFT, 0.5, &mut Budget::new(SETTINGS));
    let kind = FailureKind::RateLimited;
    assert_eq!(step, Step::GiveUp { error: ErrorKind::Overloaded, kind, retry_after: Some(LEFT) });
}

#[test]
fn who_says_when_is_obeyed_or_left_for_somebody_else() {
    let once = Target { retries: 1, ..target("m") };
    let after =
        |seconds| Failed { retry_after: Some(Duration::from_secs(seconds)), ..failed(FailureKind::RateLimited) };
    let soon = fail(&mut Fallback::new(once.clone(), chain(), SETTINGS), after(1));
    assert_eq!(soon, Step::Retry { after: Duration::from_secs(1), mode: Mode::Anew });
    let untold = fail(&mut Fallback::new(once.clone(), chain(), SETTINGS), failed(FailureKind::RateLimited));
    assert_eq!(untold, Step::Retry { after: Duration::from_secs(1), mode: Mode::Anew });
    let late = fail(&mut Fallback::new(once.clone(), chain(), SETTINGS), after(20));
    assert!(matches!(&late, Step::Next { target, .. } if target.model == "rate"), "{late:?}");
    let alone = fail(&mut Fallback::new(once, Chain::default(), SETTINGS), after(20));
    assert_eq!(alone, Step::Retry { after: Duration::from_secs(20), mode: Mode::Anew });
}

#[test]
fn plain_text_goes_on_only_where_a_model_takes_its_beginning() {
    let mut chain = chain();
    chain.down[1].prefill = true;
    let cut = Failed { streamed: Streamed::Text, ..failed(FailureKind::Cut) };
    let mut fallback = Fallback::new(Target { retries: 3, ..target("m") }, chain.clone(), SETTINGS);
    match fail(&mut fallback, cut) {
        Step::Next { target, mode: Mode::GoOn, .. } => assert_eq!(target.model, "down-2"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(fail(&mut fallback, cut), Step::GiveUp { error: ErrorKind::ProviderFailed, .. }));
    // The same may go on by itself where it can.
    let own = Target { retries: 1, prefill: true, ..target("m") };
    let step = fail(&mut Fallback::new(own, chain, SETTINGS), cut);
    assert!(matches!(step, Step::Retry { mode: Mode::GoOn, .. }), "{step:?}");
}

#[test]
fn calls_and_what_a_filter_cut_never_go_on() {
    let mut chain = chain();
    for target in [&mut chain.down[0], &mut chain.content_policy[0], &mut chain.any[0]] {
        target.prefill = true;
    }
    for (kind, streamed) in [
        (FailureKind::Cut, Streamed::More),
        (FailureKind::ContentPolicy, Streamed::Text),
        (FailureKind::Invalid, Streamed::Text),
    ] {
        let mut fallback = Fallback::new(Target { retries: 3, prefill: true, ..target("m") }, chain.clone(), SETTINGS);
        let step = fail(&mut fallback, Failed { streamed, ..failed(kind) });
        assert!(matches!(step, Step::GiveUp { kind: told, .. } if told == kind), "{kind:?}: {step:?}");
    }
}

proptest! {
    /// Whatever fails: it ends, nobody is asked twice, and what has streamed is never begun anew.
    #[test]
    fn it_ends(
        kinds in proptest::collection::vec((0usize..11, 0u8..3, proptest::option::of(0u64..100)), 64),
        retries in 0u32..3, prefill in any::<bool>(), random in 0.0f64..1.0,
    ) {
        let mut chain = chain();
        for list in [&mut chain.down, &mut chain.rate_limit, &mut chain.any] {
            list.iter_mut().for_each(|target| (target.retries, target.prefill) = (retries, prefill));
        }
        let mut fallback = Fallback::new(Target { retries, prefill, ..target("m") }, chain, SETTINGS);
        let mut budget = Budget::new(SETTINGS);
        let mut asked = vec!["m".to_owned()];
        let mut retried = 0;
        let mut streamed = Streamed::Nothing;
        for (kind, more, told) in kinds {
            streamed = streamed.max([Streamed::Nothing, Streamed::Text, Streamed::More][usize::from(more)]);
            let failed = Failed { kind: FailureKind::ALL[kind], retry_after: told.map(Duration::from_secs), streamed };
            let mode = match fallback.on_failure(failed, LEFT, random, &mut budget) {
                Step::Next { target, mode, .. } => {
                    prop_assert!(!asked.contains(&target.model), "{} twice", target.model);
                    asked.push(target.model);
                    retried = 0;
                    mode
                }
                Step::Retry { after, mode } => {
                    retried += 1;
                    prop_assert!(retried <= retries && after < LEFT);
                    prop_assert!(failed.retry_after.is_none_or(|told| after >= told));
                    mode
                }
                Step::GiveUp { .. } => return Ok(()),
            };
            prop_assert_eq!(mode == Mode::Anew, streamed == Streamed::Nothing);
            prop_assert!(streamed < Streamed::More);
            prop_assert!(mode == Mode::Anew || fallback.current().prefill);
        }
        prop_assert!(false, "it went on for ever");
    }
}
