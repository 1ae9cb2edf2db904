//! What cannot be taken is refused, with the right reason and without a trace.

use super::jobs::key;
use super::watched::Watched;
use super::{Bench, Shape};
use crate::engine::RefusalReason;
use crate::ids::TokenId;
use crate::units::{Blocks, Tokens};

/// Each fault of a job has its reason, and a full queue its own.
pub fn refusals_name_the_reason(bench: &dyn Bench) {
    let shape = Shape { queue: 3, context: 64, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    let vocabulary = engine.card().vocabulary;

    let mut job = engine.job(1, 8, 4);
    job.model = "no such model".to_owned();
    assert_eq!(engine.refused(job), RefusalReason::UnknownModel { model: "no such model".to_owned() });

    let job = engine.job(1, 0, 4);
    assert_eq!(engine.refused(job), RefusalReason::EmptyPrompt);

    let job = engine.job(1, 8, 0);
    assert_eq!(engine.refused(job), RefusalReason::NothingToDo);

    let bad = TokenId(vocabulary);
    let mut job = engine.job(1, 8, 4);
    job.prompt.push(bad);
    assert_eq!(engine.refused(job), RefusalReason::BadToken { token: bad, vocabulary });
    let mut job = engine.job(1, 8, 4);
    job.generated.push(bad);
    assert_eq!(engine.refused(job), RefusalReason::BadToken { token: bad, vocabulary });

    let job = engine.job(1, 64, 4);
    assert_eq!(engine.refused(job), RefusalReason::PromptTooLong { tokens: Tokens(64), limit: Tokens(63) });
    let mut job = engine.job(1, 60, 40);
    job.generated = vec![TokenId(1); 10];
    assert_eq!(engine.refused(job), RefusalReason::PromptTooLong { tokens: Tokens(70), limit: Tokens(63) });
    let longest = engine.answer(engine.job(1, 63, 4));
    assert_eq!(longest.answer.len(), 1, "a prompt of the limit leaves room for one token");

    for number in 1..=3 {
        engine.admit(engine.job(number, 8, 4));
    }
    let job = engine.job(2, 8, 4);
    assert_eq!(engine.refused(job), RefusalReason::Duplicate { key: key(2) });
    let job = engine.job(4, 8, 4);
    assert_eq!(engine.refused(job), RefusalReason::QueueFull { limit: 3 });
    engine.cancel(key(3));
    engine.admit(engine.job(4, 8, 4));
    engine.run();
}

/// A prompt that the whole cache cannot hold is refused; one that just fits is not.
pub fn too_many_blocks_is_refused(bench: &dyn Bench) {
    let shape = Shape { blocks: 4, ..Shape::default() };
    let mut engine = Watched::new(bench, shape);
    let job = engine.job(1, 32, 4);
    assert_eq!(engine.refused(job), RefusalReason::TooManyBlocks { needed: Blocks(5), limit: Blocks(4) });
    engine.admit(engine.job(1, 31, 1));
    engine.run();
}
