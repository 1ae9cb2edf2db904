//! What must hold, looked at while the cluster runs: the predicates of [`policy::invariants`], where they are cheap.
//!
//! Rules: a breach counts once in `troupe_invariant_breaches_total{invariant}` and is logged once, until it holds again.
//! Nothing is stopped: a breach is a bug, and whoever sees it must be told before it costs more.

use std::collections::BTreeSet;

use policy::invariants::{Breach, Invariant};

use crate::guarded::Guarded;

const BREACHES: &str = "troupe_invariant_breaches_total";

/// What does not hold now, and where.
#[derive(Debug, Default)]
pub struct Promises {
    broken: Guarded<BTreeSet<(Invariant, String)>>,
}

impl Promises {
    /// Somebody has looked whether a property holds at a place.
    pub fn look(&self, invariant: Invariant, place: &str, held: Result<(), Breach>) {
        let mut broken = self.broken.lock();
        match held {
            Ok(()) if broken.is_empty() => {}
            Ok(()) => {
                broken.remove(&(invariant, place.to_owned()));
            }
            Err(breach) => {
                if broken.insert((invariant, place.to_owned())) {
                    metrics::counter!(BREACHES, "invariant" => breach.invariant.as_str()).increment(1);
                    tracing::error!("a promise is broken at {place}, which is a bug: {breach}");
                }
            }
        }
    }

    /// How many do not hold now.
    pub fn broken(&self) -> usize {
        self.broken.lock().len()
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
        assert_eq!(promises.broken(), 0);
        look(2);
        look(3);
        assert_eq!(promises.broken(), 1);
        promises.look(Invariant::Owned, "other", owned("jobs", 2, 1));
        assert_eq!(promises.broken(), 2);
        look(0);
        assert_eq!(promises.broken(), 1);
    }
}
