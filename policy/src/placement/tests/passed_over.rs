//! Most candidates are passed over without a price. That must not show: what is chosen is what is chosen where all are
//! priced.

use std::collections::BTreeSet;

use super::*;

/// A candidate with its price and what it is ranked by.
struct Priced {
    candidate: Candidate,
    cached: Tokens,
    price: Price,
    rank: (bool, u64),
}

fn priced(prompt: &Prompt, candidates: &[Candidate], yardstick: &Yardstick) -> Vec<Priced> {
    let all = candidates.iter().filter(|candidate| !candidate.open);
    all.map(|candidate| {
        let cached = candidate.cached.or(candidate.session).unwrap_or_default().min(prompt.tokens - Tokens(1));
        let price = yardstick.price(&Standing::of(candidate), cached);
        Priced { candidate: *candidate, cached, price, rank: (!price.room, price.total()) }
    })
    .collect()
}

/// Who is asked, in order, and why: by the rules, with everybody priced.
fn plainly(mut all: Vec<Priced>, yardstick: &Yardstick, settings: &Settings) -> (Vec<u64>, Reason) {
    let saturated = all.iter().all(|one| one.price.saturated(settings.saturated));
    all.sort_by_key(|one| one.rank);
    let most = all.iter().map(|one| one.cached).max().unwrap_or_default();
    let holder = all.iter().find(|one| one.cached == most && most > Tokens::ZERO);
    let first = &all[0];
    let within = |holder: &Priced, margin: Duration| holder.rank.1 <= first.rank.1 + margin.as_micros() as u64;
    let apart = holder.filter(|holder| holder.candidate.node != first.candidate.node);
    let pinned = apart.is_some_and(|holder| saturated && within(holder, settings.pin));
    let near = apart.is_some_and(|holder| {
        let worth = yardstick.worth(&Standing::of(&holder.candidate), holder.cached - first.cached);
        !saturated && holder.rank.0 == first.rank.0 && within(holder, settings.stick.min(worth))
    });
    let preferred = apart.filter(|_| pinned || near);
    let chosen = preferred.unwrap_or(first);
    let others = all.iter().filter(|one| one.candidate.node != chosen.candidate.node);
    let order = std::iter::once(chosen).chain(others).take(settings.candidates);
    let reason = match holder {
        _ if all.len() == 1 => Reason::Only,
        _ if pinned => Reason::Pinned,
        Some(holder) if holder.cached == chosen.cached => Reason::Prefix,
        _ => Reason::Load,
    };
    (order.map(|one| one.candidate.node.0).collect(), reason)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_chosen_is_what_is_chosen_where_all_are_priced(
        loads in proptest::collection::vec((0u64..2_500, 0u64..5, 0u8..8), 1..24),
        mood in 0u8..3,
        tokens in 200u64..1_200,
        stick in 0u64..1_000,
    ) {
        let candidates: Vec<Candidate> = (0..)
            .zip(loads)
            .map(|(id, (load, beginning, kind))| {
                // Little is due, or much; or something waits on most of them.
                let load = if mood == 1 { 900 + load } else { load / 5 };
                let candidate = busy(holding(id, beginning * 150), load);
                match kind {
                    0 => Candidate { jobs: 0, ..candidate },
                    1..7 if mood == 2 => Candidate { oldest: Duration::from_secs(3), ..candidate },
                    1 => Candidate { oldest: Duration::from_secs(3), ..candidate },
                    2 => Candidate { open: true, ..candidate },
                    _ => candidate,
                }
            })
            .collect();
        let settings = Settings { stick: Duration::from_millis(stick), ..settings(Policy::Prefix) };
        let prompt = prompt(tokens);
        let standings: Vec<Standing> =
            candidates.iter().filter(|candidate| !candidate.open).map(Standing::of).collect();
        let yardstick = Yardstick::new(&prompt, &Claims::of(standings.iter()), &settings);
        let all = priced(&prompt, &candidates, &yardstick);
        let ranks: BTreeSet<(bool, u64)> = all.iter().map(|one| one.rank).collect();
        // Nobody is there, or something is left to chance.
        prop_assume!(!all.is_empty() && ranks.len() == all.len());
        let expected = plainly(all, &yardstick, &settings);
        let mut jitter = Jitter::new(tokens);
        let decision = choose(&prompt, &candidates, &settings, 0, &mut || jitter.draw()).unwrap();
        prop_assert_eq!((order(&decision), decision.reason), expected);
    }
}

#[test]
fn a_holder_without_room_does_not_hide_one_that_has_room() {
    let full = Candidate { jobs: 0, ..holding(1, 600) };
    let idle = [2, 3, 4].map(|id| busy(node(id), id));
    let dearer = busy(holding(5, 600), 700);
    let candidates = [&[full], &idle[..], &[dearer]].concat();
    let settings = Settings { stick: Duration::from_millis(200), ..settings(Policy::Prefix) };
    let decision = choose(&prompt(1_000), &candidates, &settings, 0, &mut || 0.5).unwrap();
    assert_eq!((order(&decision)[0], decision.reason), (5, Reason::Prefix));
}
