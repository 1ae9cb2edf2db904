//! What is asked of a simulated cluster: jobs that come at random times, with random lengths.

use std::time::Duration;

use policy::restart::Jitter;
use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Job, Limits, Sampling};
use protocol::units::Tokens;

/// A job and when it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// Since the beginning.
    pub at: Duration,
    /// What is asked.
    pub job: Job,
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Jobs in all.
    pub jobs: u32,
    /// The mean time between two.
    pub gap: Duration,
    /// The longest prompt, or of what a prompt has for itself; lengths are uniform.
    pub prompt: u32,
    /// Groups of prompts that begin alike; 0 for none.
    pub groups: u32,
    /// With how many tokens they do.
    pub shared: u32,
    /// The longest answer.
    pub answer: u32,
}

/// Jobs in the order in which they come: gaps are exponential, so arrivals are a Poisson process.
pub fn arrivals(demand: &Demand, model: &str, vocabulary: u32, seed: u64) -> Vec<Arrival> {
    let mut random = Jitter::new(seed);
    let mut at = Duration::ZERO;
    let mut upto = move |most: u32| 1 + (random.draw() * f64::from(most)) as u32;
    let mut gaps = Jitter::new(seed ^ 0x5eed);
    let mut members = Jitter::new(seed ^ 0x6a09);
    let mut beginning = move || {
        let group = (members.draw() * f64::from(demand.groups)) as u64;
        let mut tokens = Jitter::new(seed.rotate_left(17) ^ group);
        let shared = if demand.groups == 0 { 0 } else { demand.shared };
        let token = move |_| TokenId((tokens.draw() * f64::from(vocabulary.saturating_sub(2))) as u32);
        (0..shared).map(token).collect::<Vec<TokenId>>()
    };
    let job = |number: u32| {
        at += demand.gap.mul_f64(-(1.0 - gaps.draw()).ln());
        let length = upto(demand.prompt).min(demand.prompt);
        let mut prompt = beginning();
        prompt.extend((0..length).map(|_| TokenId((upto(vocabulary) - 1).min(vocabulary.saturating_sub(2)))));
        let limits = Limits {
            max_tokens: Tokens(upto(demand.answer).min(demand.answer).into()),
            min_tokens: Tokens(0),
            stop_ids: Vec::new(),
        };
        let job = Job {
            key: JobKey { request: RequestId(number.into()), choice: 0, attempt: 0 },
            model: model.to_owned(),
            prompt,
            generated: Vec::new(),
            sampling: Sampling { seed, ..Sampling::default() },
            limits,
            salt: [0; 16],
            priority: 0,
        };
        Arrival { at, job }
    };
    (0..demand.jobs).map(job).collect()
}
