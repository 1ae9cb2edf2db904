//! Prefixes are shared within a salt, and only there.

use super::jobs::key;
use super::watched::Watched;
use super::{Bench, Shape};
use crate::units::Tokens;

/// A second job with the same prompt finds its full blocks, and answers the same.
pub fn a_prefix_is_shared(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    let first = engine.answer(engine.job(1, 45, 12));
    assert_eq!(first.cached, Some(Tokens::ZERO), "the first job found something in an empty cache");
    assert_eq!(engine.prefilled, Tokens(45), "the first job computes its whole prompt, once");

    let grant = engine.admit(engine.job(1, 45, 12));
    assert_eq!(grant.cached, Tokens(40), "the grant names the full blocks that are cached");
    engine.run();
    let second = engine.trace(key(1));
    assert_eq!(second.cached, Some(Tokens(40)), "five full blocks of 8 are cached");
    assert_eq!(second.tokens(), first.tokens(), "a cached prefix changed the answer");
    assert_eq!(engine.prefilled, Tokens(45 + 5), "what is cached is not computed");

    // The same beginning, another end.
    let mut longer = engine.job(2, 60, 6);
    let shared = engine.job(1, 45, 1).prompt;
    longer.prompt.splice(..24, shared.into_iter().take(24));
    let alone = Watched::new(bench, Shape::default()).answer(longer.clone()).tokens();
    let branch = engine.answer(longer);
    assert_eq!(branch.cached, Some(Tokens(24)), "three full blocks of the prefix are shared");
    assert_eq!(branch.tokens(), alone, "a shared prefix changed the answer");
}

/// Even a prompt that is cached to its end has its last token computed: it needs its logits.
pub fn the_last_prompt_token_is_computed(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    let first = engine.answer(engine.job(1, 32, 12));
    let before = engine.prefilled;
    let second = engine.answer(engine.job(1, 32, 12));
    assert!(second.usage().cached < Tokens(32), "all 32 tokens came from the cache, the last too");
    assert!(second.usage().cached >= Tokens(24), "three full blocks before the last token are cached");
    assert!(engine.prefilled > before, "nothing was computed");
    assert_eq!(second.tokens(), first.tokens(), "a cached prefix changed the answer");
}

/// Another tenant's salt finds nothing.
pub fn another_salt_shares_nothing(bench: &dyn Bench) {
    let mut engine = Watched::new(bench, Shape::default());
    let first = engine.answer(engine.job(1, 45, 12));
    let mut other = engine.job(1, 45, 12);
    other.salt = [7; 16];
    assert_eq!(engine.admit(other).cached, Tokens::ZERO, "the grant promises another tenant's blocks");
    engine.run();
    assert_eq!(engine.trace(key(1)).usage().cached, Tokens::ZERO, "a job found another tenant's blocks");
    assert_eq!(engine.trace(key(1)).tokens(), first.tokens(), "the salt changed the answer");
}
