//! The suite that every implementation of [`Engine`] passes: one function per promise of the trait.
//!
//! Rules: an engine is seen through the trait alone, so the suite knows nothing of blocks or kernels
//! but what [`Load`](super::Load) and cache events say. Every step is watched ([`watched`]): what must
//! hold always is checked there, what a promise adds is checked by its function. A broken promise is a
//! panic that says which.
//!
//! A crate with an engine enables the feature `contract` in its dev-dependencies, implements
//! [`Bench`], and calls [`all`] (or one function per test, for better names) from a test.

#![expect(clippy::panic, reason = "this module is a test suite that other crates call")]

use super::Engine;

mod caching;
mod classes;
mod endings;
mod exchange;
mod index;
mod jobs;
mod progress;
mod refusals;
mod sameness;
mod sharing;
mod trace;
mod watched;

pub use caching::{
    another_salt_has_other_names, late_listeners_hear_all, removed_blocks_are_told, stored_blocks_are_told,
    unheard_events_do_not_pile_up,
};
pub use classes::{a_higher_class_takes_a_place, a_higher_class_takes_blocks};
pub use endings::{
    cancel_frees_at_every_stage, cancel_of_a_stranger_is_refused, every_job_ends_once, min_tokens_hold_the_stop_back,
    outgrowing_the_cache_ends, stop_ids_end_the_answer,
};
pub use exchange::{exported_blocks_answer_alike, imports_take_nothing_from_jobs, strange_blocks_are_refused};
pub use progress::{
    idle_engine_stays_idle, load_is_consistent, logprobs_where_asked, long_prompts_let_others_speak,
    priority_goes_first, prompts_come_in_chunks,
};
pub use refusals::{refusals_name_the_reason, too_many_blocks_is_refused};
pub use sameness::{
    same_tokens_after_a_preemption, same_tokens_alone_and_beside_others, same_tokens_continued,
    same_tokens_with_small_chunks, seed_decides,
};
pub use sharing::{a_prefix_is_shared, another_salt_shares_nothing, the_last_prompt_token_is_computed};

/// How large an engine is wanted. Field names are those of `[models.NAME]` in `cluster.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// KV blocks in all.
    pub blocks: u32,
    /// Tokens in a block.
    pub block: u32,
    /// Jobs that may wait or run.
    pub queue: u32,
    /// Tokens computed in one step.
    pub step_tokens: u32,
    /// Tokens of one prompt computed in one step.
    pub prefill_chunk: u32,
    /// Sequences in one step.
    pub max_batch: u32,
    /// The longest prompt and answer together.
    pub context: u32,
}

impl Default for Shape {
    /// Roomy: nothing is preempted, nothing refused.
    fn default() -> Self {
        Self { blocks: 128, block: 8, queue: 16, step_tokens: 64, prefill_chunk: 32, max_batch: 8, context: 256 }
    }
}

/// Makes engines for the suite: all of the same model, with the same weights.
///
/// Its vocabulary has at least 32 tokens. Its answers should vary: a model that repeats one token
/// for ever cannot show that a seed matters.
pub trait Bench {
    /// A fresh engine with an empty cache.
    fn engine(&self, shape: Shape) -> Box<dyn Engine>;
}

/// Every promise, one after the other.
pub fn all(bench: &dyn Bench) {
    for promise in PROMISES {
        promise(bench);
    }
}

/// One function per promise.
pub const PROMISES: &[fn(&dyn Bench)] = &[
    every_job_ends_once,
    cancel_frees_at_every_stage,
    cancel_of_a_stranger_is_refused,
    stop_ids_end_the_answer,
    min_tokens_hold_the_stop_back,
    outgrowing_the_cache_ends,
    refusals_name_the_reason,
    too_many_blocks_is_refused,
    same_tokens_alone_and_beside_others,
    same_tokens_after_a_preemption,
    same_tokens_with_small_chunks,
    same_tokens_continued,
    seed_decides,
    a_prefix_is_shared,
    the_last_prompt_token_is_computed,
    another_salt_shares_nothing,
    stored_blocks_are_told,
    removed_blocks_are_told,
    another_salt_has_other_names,
    late_listeners_hear_all,
    unheard_events_do_not_pile_up,
    exported_blocks_answer_alike,
    strange_blocks_are_refused,
    imports_take_nothing_from_jobs,
    load_is_consistent,
    idle_engine_stays_idle,
    prompts_come_in_chunks,
    long_prompts_let_others_speak,
    priority_goes_first,
    a_higher_class_takes_a_place,
    a_higher_class_takes_blocks,
    logprobs_where_asked,
];
