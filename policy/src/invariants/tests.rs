use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use protocol::answer::{Answer, Delta, ErrorKind, FinishReason, JobError, Started, Usage};
use protocol::cache::{BlockKey, CacheBatch, CacheChange};
use protocol::engine::Load;
use protocol::ids::{NodeId, TokenId};
use protocol::units::{Blocks, Nanos};

use super::*;
use crate::breaker::{Breaker, Settings};
use crate::index::Index;

fn breach<T: std::fmt::Debug>(checked: Result<T, Breach>) -> Invariant {
    checked.unwrap_err().invariant
}

#[test]
fn every_name_is_its_own() {
    let names: HashSet<&str> = Invariant::ALL.map(Invariant::as_str).into();
    assert_eq!(names.len(), Invariant::ALL.len());
}

#[test]
fn tokens_are_compared_up_to_where_they_differ() {
    let tokens = |all: &[u32]| all.iter().copied().map(TokenId).collect::<Vec<_>>();
    let (wanted, lost, twice) = (tokens(&[1, 2, 3]), tokens(&[1, 3]), tokens(&[1, 2, 2]));
    assert_eq!(tokens::tokens_once(&tokens(&[1, 2]), &wanted, false), Ok(()));
    assert_eq!(tokens::tokens_once(&wanted, &wanted, true), Ok(()));
    assert_eq!(breach(tokens::tokens_once(&tokens(&[1, 2]), &wanted, true)), Invariant::TokensOnce);
    for heard in [lost, twice, tokens(&[1, 2, 3, 4])] {
        assert_eq!(breach(tokens::tokens_once(&heard, &wanted, false)), Invariant::TokensOnce);
    }
}

#[test]
fn figures_stand_in_what_a_breach_says() {
    assert_eq!(ends::ends_once(0, false), Ok(()));
    assert_eq!(breach(ends::ends_once(2, true)), Invariant::EndsOnce);
    assert_eq!(breach(ends::ends_once(0, true)), Invariant::EndsOnce);
    assert!(owners::owned("jobs", 2, 1).unwrap_err().to_string().contains("owned: jobs: 2 reserved, where 1"));
    let stand = |settled| spending::Stand { budget: "b", settled, reserved: Nanos(3), ceiling: Nanos(10) };
    assert_eq!(spending::within_budget(&stand(Nanos(7))), Ok(()));
    assert_eq!(breach(spending::within_budget(&stand(Nanos(8)))), Invariant::WithinBudget);
    assert_eq!(breach(spending::within_budget(&stand(Nanos(u64::MAX)))), Invariant::WithinBudget);
    let retry = crate::retry::Settings { share: 0.1, floor: 2, first: Duration::ZERO, longest: Duration::ZERO };
    assert_eq!(retries::retries_bounded(10, 3, &retry), Ok(()));
    assert_eq!(breach(retries::retries_bounded(10, 4, &retry)), Invariant::RetriesBounded);
}

#[test]
fn a_breaker_that_is_half_open_has_one_probe_out() {
    let settings = Settings { faults: 1, cooldown: Duration::from_secs(1), longest: Duration::from_secs(4) };
    let (mut breaker, now) = (Breaker::default(), Duration::from_secs(5));
    let first = breaker.permit(now).unwrap();
    breaker.fault(now, first, &settings, 0.5);
    assert_eq!(breakers::heals(now, &breaker, &settings), Ok(()));
    let probe = breaker.permit(now * 2).unwrap();
    assert_eq!(breakers::one_probe(&[first, probe, breaker.force()]), Ok(()));
    assert_eq!(breach(breakers::one_probe(&[probe, first, probe])), Invariant::OneProbe);
    let short = Settings { longest: Duration::from_millis(500), ..settings };
    assert_eq!(breach(breakers::heals(now, &breaker, &short)), Invariant::BreakersHeal);
}

#[test]
fn an_index_is_true_or_knows_that_it_is_not() {
    let (node, mut index) = (NodeId(1), Index::default());
    index.join(node, Blocks(8));
    let held = |keys: &[u64]| keys.iter().copied().map(BlockKey).collect::<BTreeSet<_>>();
    assert_eq!(index::index_true(&index, node, &held(&[1])), Ok(()), "it knows nothing, and says so");
    assert_eq!(breach(index::index_whole(&index, node, &held(&[1]))), Invariant::IndexTrue);
    let changes = vec![CacheChange::Cleared, CacheChange::Stored(vec![BlockKey(1), BlockKey(2)])];
    index.apply(node, &CacheBatch { model: "m".into(), epoch: 1, sequence: 0, changes });
    assert_eq!(index::index_true(&index, node, &held(&[1, 2])), Ok(()));
    assert_eq!(index::index_whole(&index, node, &held(&[1, 2])), Ok(()));
    for other in [held(&[1]), held(&[1, 2, 3]), held(&[1, 3])] {
        assert_eq!(breach(index::index_true(&index, node, &other)), Invariant::IndexTrue);
    }
}

#[test]
fn an_answer_has_one_order() {
    let piece = |what: &str| match what {
        "started" => Answer::Started(Started::default()),
        "text" => Answer::Delta(Delta { choice: 1, text: "a".into(), logprobs: Vec::new(), calls: Vec::new() }),
        "0" | "1" | "2" => Answer::Finished { choice: what.parse().unwrap(), reason: FinishReason::Stop },
        "done" => Answer::Done { usage: Usage::default() },
        _ => Answer::Failed(JobError::new(ErrorKind::Timeout, "late")),
    };
    let run = |all: &str| {
        let mut order = order::Order::of(2);
        all.split(' ').try_for_each(|what| order.in_order(&piece(what)))
    };
    for fine in ["started text text 1 0 done", "started text failed", "failed", "started 0 text"] {
        assert_eq!(run(fine), Ok(()), "{fine}");
    }
    for wrong in
        ["text", "0", "started started", "started 1 text", "started 1 1", "started 2", "started 0 done", "done"]
    {
        assert_eq!(breach(run(wrong)), Invariant::InOrder, "{wrong}");
    }
    for late in ["started 0 1 done failed", "failed done", "failed started"] {
        assert_eq!(breach(run(late)), Invariant::InOrder, "{late}");
    }
}

#[test]
fn pages_and_texts_are_looked_at() {
    let load = Load::default();
    assert_eq!(pages::pages_free(&load), Ok(()));
    let used = Load { blocks_used: Blocks(1), ..load };
    assert_eq!(breach(pages::pages_free(&used)), Invariant::PagesFree);
    assert_eq!(breach(pages::pages_free(&Load { waiting: 1, ..load })), Invariant::PagesFree);
    assert_eq!(tokens::text_once("ab", "abc", false), Ok(()));
    for (heard, complete) in [("ab", true), ("abb", false), ("abcd", false)] {
        assert_eq!(breach(tokens::text_once(heard, "abc", complete)), Invariant::TokensOnce);
    }
}
