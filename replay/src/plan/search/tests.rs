use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

fn found(first: u32, most: u32, holds: impl Fn(u32) -> bool) -> (Found<bool>, Vec<u32>) {
    let mut asked = Vec::new();
    let run = |number| {
        asked.push(number);
        Ok::<_, Infallible>(holds(number))
    };
    let Ok(found) = search(first, most, run, |held| *held);
    (found, asked)
}

proptest! {
    #[test]
    fn the_least_is_found_in_few_tries(first in 0_u32..600, most in 1_u32..600, least in 1_u32..700) {
        let (found, asked) = found(first, most, |number| number >= least);
        prop_assert_eq!(found.least, (least <= most).then_some(least));
        prop_assert!(asked.len() as u32 <= 2 * most.ilog2() + 2, "{:?}", asked);
        let once: std::collections::BTreeSet<u32> = asked.iter().copied().collect();
        prop_assert_eq!(once.len(), asked.len(), "none twice: {:?}", asked);
        prop_assert!(once.iter().all(|number| (1..=most).contains(number)));
    }

    #[test]
    fn whatever_holds_when_no_number_is_claimed_that_does_not_hold(first in 1_u32..40, held in prop::collection::vec(any::<bool>(), 1..40)) {
        let most = held.len() as u32;
        let holds = |number: u32| held[number as usize - 1];
        let (found, _) = found(first, most, holds);
        match found.least {
            Some(least) => {
                prop_assert!(holds(least));
                prop_assert!(least == 1 || found.tried.get(&(least - 1)) == Some(&false), "one less was tried");
            }
            None => prop_assert!(!holds(most)),
        }
    }
}

#[test]
fn a_good_number_is_found_where_more_is_worse() {
    // 4 holds, 8 does not, 16 does: one begins at 8.
    let (one, _) = found(8, 16, |number| number != 8 && number >= 4);
    assert_eq!(one.least, Some(9), "a good number, though 4 would do");
}

#[test]
fn a_try_that_fails_ends_the_search() {
    let outcome = search(1, 8, |number| if number < 4 { Ok(false) } else { Err("too slow") }, |held: &bool| *held);
    assert_eq!(outcome, Err("too slow"));
}
