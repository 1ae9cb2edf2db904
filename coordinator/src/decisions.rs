//! Why requests went where they went, for `troupe explain`: the last ones, in memory.
//!
//! Rules: bounded, the oldest go first. A decision is written down as it is made, so that a request which still
//! runs can be explained too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, MutexGuard};

use actors::guarded::Guarded;

use protocol::answer::Route;
use protocol::ids::RequestId;
use protocol::manage::{Candidate, Explanation};
use protocol::units::Nanos;

/// The most steps of one request.
const STEPS: usize = 64;

/// The last decisions.
#[derive(Debug)]
pub struct Decisions {
    most: usize,
    kept: Guarded<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    order: VecDeque<RequestId>,
    all: BTreeMap<RequestId, Explanation>,
}

impl Decisions {
    /// Keeps so many.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), kept: Guarded::default() }
    }

    /// How many are kept.
    pub fn most(&self) -> usize {
        self.most
    }

    /// A request comes.
    pub fn begin(self: &Arc<Self>, explanation: Explanation) -> Explaining {
        let request = explanation.request;
        let mut kept = self.kept();
        if kept.order.len() >= self.most
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.all.remove(&oldest);
        }
        kept.order.push_back(request);
        kept.all.insert(request, explanation);
        drop(kept);
        Explaining { decisions: Arc::clone(self), request }
    }

    /// Why a request went where it went.
    pub fn get(&self, request: RequestId) -> Option<Explanation> {
        self.kept().all.get(&request).cloned()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock()
    }
}

/// Writes down what is decided about one request.
#[derive(Clone, Debug)]
pub struct Explaining {
    decisions: Arc<Decisions>,
    request: RequestId,
}

impl Explaining {
    /// Something happened.
    pub fn step(&self, step: impl Into<String>) {
        self.change(|explanation| {
            if explanation.steps.len() < STEPS {
                explanation.steps.push(step.into());
            }
        });
    }

    /// So much was set aside; of several attempts, the most counts.
    pub fn reserved(&self, amount: Nanos) {
        self.change(|explanation| explanation.reserved = explanation.reserved.max(amount));
    }

    /// Who could answer, and how the model was chosen.
    pub fn candidates(&self, route: Option<Route>, candidates: Vec<Candidate>) {
        self.change(|explanation| (explanation.route, explanation.candidates) = (route, candidates));
    }

    /// Who answers.
    pub fn chosen(&self, model: &str) {
        self.change(|explanation| {
            explanation.candidates.iter_mut().for_each(|candidate| candidate.chosen = candidate.model == model);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Explanation)) {
        if let Some(explanation) = self.decisions.kept().all.get_mut(&self.request) {
            change(explanation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_decisions_are_kept_and_written_down_as_they_are_made() {
        let decisions = Arc::new(Decisions::new(2));
        let of = |id| Explanation { request: RequestId(id), ..Explanation::default() };
        let first = decisions.begin(of(1));
        first.step("asked node-1");
        first.reserved(Nanos(7));
        let candidate = Candidate { model: "m".into(), ..Candidate::default() };
        first.candidates(None, vec![candidate]);
        first.chosen("m");
        let told = decisions.get(RequestId(1)).unwrap();
        assert_eq!((told.steps, told.reserved), (vec!["asked node-1".to_owned()], Nanos(7)));
        assert!(told.candidates[0].chosen);
        decisions.begin(of(2));
        decisions.begin(of(3));
        assert_eq!(decisions.get(RequestId(1)), None);
        assert!(decisions.get(RequestId(2)).is_some() && decisions.get(RequestId(3)).is_some());
        // Whoever is forgotten may still be written of.
        first.step("late");
        (0..2 * STEPS).for_each(|_| decisions.begin(of(4)).step("again"));
    }
}
