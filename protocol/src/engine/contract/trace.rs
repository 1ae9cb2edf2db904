//! What is known of a job that was granted, and what must hold of its end.

use super::Shape;
use crate::ids::TokenId;
use crate::job::{Finish, Job, JobUsage, Sampled};
use crate::units::Tokens;

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Finished { finish: Finish, usage: JobUsage },
    Failed,
    Cancelled,
}

/// What is known of a job that was granted.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) job: Job,
    pub(super) cached: Option<Tokens>,
    pub(super) answer: Vec<Sampled>,
    pub(super) end: Option<End>,
}

impl Trace {
    pub(super) fn tokens(&self) -> Vec<TokenId> {
        self.answer.iter().map(|sampled| sampled.token).collect()
    }

    pub(super) fn usage(&self) -> JobUsage {
        match self.end {
            Some(End::Finished { usage, .. }) => usage,
            other => panic!("{} should have finished, but: {other:?}", self.job.key),
        }
    }

    pub(super) fn finish(&self) -> Finish {
        match self.end {
            Some(End::Finished { finish, .. }) => finish,
            other => panic!("{} should have finished, but: {other:?}", self.job.key),
        }
    }

    /// Tokens in its context if all of them were computed.
    pub(super) fn length(&self) -> u64 {
        (self.job.prompt.len() + self.job.generated.len() + self.answer.len()) as u64
    }
}

/// What must hold of an end.
pub(super) fn check_finish(shape: &Shape, trace: &Trace, finish: Finish, usage: JobUsage) {
    let Trace { job, answer, .. } = trace;
    let key = job.key;
    assert_eq!(Some(usage.cached), trace.cached, "{key}: usage.cached is not what it started with");
    assert_eq!(usage.prompt, Tokens::of(job.prompt.len()), "{key}: usage.prompt is not the prompt's length");
    assert_eq!(usage.generated, Tokens::of(answer.len()), "{key}: usage.generated is not the number of its tokens");
    let stops = |sampled: &Sampled| job.limits.stop_ids.contains(&sampled.token);
    let Some((last, before)) = answer.split_last() else { panic!("{key} finished without a token") };
    assert!(!before.iter().any(stops), "{key} went on after a stop token");
    let has = Tokens::of(job.generated.len() + answer.len());
    match finish {
        Finish::Stop => {
            assert!(stops(last), "{key} stopped, but its last token is none of its stop tokens");
            assert!(has > job.limits.min_tokens, "{key} chose a stop token within its min_tokens");
        }
        Finish::Length => {
            assert!(!stops(last), "{key} ended with a stop token, but says length");
            let cache = u64::from(shape.blocks) * u64::from(shape.block);
            let full = trace.length() >= u64::from(shape.context) || trace.length() >= cache;
            assert!(has == job.limits.max_tokens || full, "{key} says length after {has} of {}", job.limits.max_tokens);
        }
        Finish::Cancelled => panic!("{key} says that it was cancelled, and was not"),
    }
}
