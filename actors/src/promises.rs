//! What must hold, looked at while the cluster runs: the predicates of [`policy::invariants`], where they are cheap.
//!
//! Rules: a breach counts once in `troupe_invariant_breaches_total{invariant}` and is logged once, until it holds again.
//! Nothing is stopped: a breach is a bug, and whoever sees it must be told before it costs more. The last one is kept,
//! for those who want none at all.

use std::collections::BTreeSet;

use policy::invariants::{Breach, Invariant};

use crate::guarded::Guarded;

const BREACHES: &str = "troupe_invariant_breaches_total";

/// What does not hold now, and where.
#[derive(Debug, Default)]
pub struct Promises {
    state: Guarded<State>,
}

#[derive(Debug, Default)]
struct State {
    broken: BTreeSet<(Invariant, String)>,
    last: Option<Breach>,
}

impl Promises {
    /// Somebody has looked whether a property holds at a place.
    pub fn look(&self, invariant: Invariant, place: &str, held: Result<(), Breach>) {
        let mut state = self.state.lock();
        match held {
            Ok(()) if state.broken.is_empty() => {}
            Ok(()) => {
                state.broken.remove(&(invariant, place.to_owned()));
            }
            Err(breach) => {
                if state.broken.insert((invariant, place.to_owned())) {
                    metrics::counter!(BREACHES, "invariant" => breach.invariant.as_str()).increment(1);
                    tracing::error!("a promise is broken at {place}, which is a bug: {breach}");
                    state.last = Some(breach);
                }
            }
        }
    }

    /// How many do not hold now.
    pub fn broken(&self) -> usize {
        self.state.lock().broken.len()
    }

    /// All have held, whenever somebody looked.
    ///
    /// # Errors
    /// The last one that did not, though it may hold again.
    pub fn kept(&self) -> Result<(), Breach> {
        self.state.lock().last.clone().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::invariants::owners::owned;

    #[test]
    fn a_breach_counts_once_until_it_holds_again() {
        let promises = Promises::default();
        let look = |open| promises.look(Invariant::Owned, "m", owned("jobs", open, 1));
        look(1);
        assert_eq!((promises.broken(), promises.kept()), (0, Ok(())));
        look(2);
        look(3);
        assert_eq!(promises.broken(), 1);
        promises.look(Invariant::Owned, "other", owned("jobs", 2, 1));
        assert_eq!(promises.broken(), 2);
        look(0);
        assert_eq!(promises.broken(), 1);
        promises.look(Invariant::Owned, "other", Ok(()));
        assert_eq!((promises.broken(), promises.kept()), (0, owned("jobs", 2, 1)), "it is not forgotten");
    }
}
