//! Blocks that one engine computed are as good in another.

use super::watched::Watched;
use super::{Bench, Shape};
use crate::engine::{BlockData, BlockHash, ImportRefusal};
use crate::job::Job;
use crate::units::{Blocks, Tokens};

fn chain(job: &Job) -> Vec<BlockHash> {
    BlockHash::chain(job.salt, &job.prompt, Shape::default().block as usize).collect()
}

/// An engine that has answered job 1, of 45 tokens, and the blocks of its prompt.
fn exported(bench: &dyn Bench) -> (Watched, Vec<BlockData>) {
    let mut engine = Watched::new(bench, Shape::default());
    engine.answer(engine.job(1, 45, 12));
    let job = engine.job(1, 45, 12);
    let mut blocks = Vec::new();
    engine.export(&chain(&job), &mut blocks);
    assert_eq!(blocks.len(), 5, "45 tokens fill five blocks of 8");
    let bytes = engine.layout().bytes;
    assert!(blocks.iter().all(|block| block.bytes.len() as u64 == bytes), "blocks are not as long as the layout says");
    (engine, blocks)
}

/// A second engine with the first one's blocks finds them cached and answers the same.
pub fn exported_blocks_answer_alike(bench: &dyn Bench) {
    let (mut first, blocks) = exported(bench);
    let mut second = Watched::new(bench, Shape::default());
    let outcome = second.import(&first.layout(), blocks.clone());
    assert_eq!((outcome.taken, outcome.refused), (Blocks(5), None));
    assert_eq!(second.cached(&chain(&second.job(1, 45, 12))), Blocks(5));
    assert_eq!(second.listen().len(), 5, "what was taken in is told");
    assert_eq!(second.import(&first.layout(), blocks).taken, Blocks::ZERO, "what is there is taken in again");
    let answer = second.answer(second.job(1, 45, 12));
    assert_eq!(answer.cached, Some(Tokens(40)), "five blocks were taken in");
    let alone = first.answer(first.job(1, 45, 12));
    assert_eq!(answer.tokens(), alone.tokens(), "blocks of another engine changed the answer");
    // A longer prompt goes on behind them, and a part of a chain is taken behind what is there.
    let mut longer = second.job(2, 70, 8);
    longer.prompt.splice(..45, second.job(1, 45, 1).prompt);
    let undisturbed = Watched::new(bench, Shape::default()).answer(longer.clone()).tokens();
    assert_eq!(first.answer(longer.clone()).tokens(), undisturbed);
    let mut rest = Vec::new();
    first.export(&chain(&longer), &mut rest);
    rest.drain(..5);
    assert_eq!(second.import(&first.layout(), rest).taken, Blocks(3), "70 tokens fill eight blocks");
    let answer = second.answer(longer);
    assert_eq!((answer.cached, answer.tokens()), (Some(Tokens(64)), undisturbed));
}

/// What cannot be used is refused, and leaves no trace.
pub fn strange_blocks_are_refused(bench: &dyn Bench) {
    let (first, blocks) = exported(bench);
    let layout = first.layout();
    let mut engine = Watched::new(bench, Shape::default());
    let mut other = layout.clone();
    other.weights = [0xee; 32];
    let refused = engine.import(&other, blocks.clone());
    assert!(matches!(refused.refused, Some(ImportRefusal::Layout { .. })), "another model: {refused:?}");
    let mut short = blocks.clone();
    if let Some(last) = short.last_mut() {
        last.bytes.pop();
    }
    let refused = engine.import(&layout, short);
    assert!(matches!(refused.refused, Some(ImportRefusal::Size { .. })), "a byte is missing: {refused:?}");
    for stray in [blocks.iter().skip(1).cloned().collect(), blocks.iter().step_by(2).cloned().collect::<Vec<_>>()] {
        let refused = engine.import(&layout, stray);
        assert!(matches!(refused.refused, Some(ImportRefusal::UnknownParent { .. })), "a gap: {refused:?}");
    }
    let many = (0..=Shape::default().blocks as usize).filter_map(|at| blocks.get(at % 5).cloned()).collect();
    let refused = engine.import(&layout, many);
    assert!(matches!(refused.refused, Some(ImportRefusal::TooMany { .. })), "more than all: {refused:?}");
    assert_eq!(engine.listen(), [], "refused blocks were published");
    assert_eq!(engine.import(&layout, Vec::new()), Default::default(), "nothing is nothing");
    let mut none = Vec::new();
    engine.export(&chain(&engine.job(1, 45, 1)), &mut none);
    assert!(none.is_empty(), "an empty cache gives {none:?}");
    let cached = engine.answer(engine.job(1, 45, 12)).cached;
    assert_eq!(cached, Some(Tokens::ZERO), "refused blocks were used");
}

/// Running jobs keep what they have; older prefixes make room.
pub fn imports_take_nothing_from_jobs(bench: &dyn Bench) {
    let (first, blocks) = exported(bench);
    let shape = Shape { blocks: 10, ..Shape::default() };
    let undisturbed = Watched::new(bench, shape).answer(Watched::new(bench, shape).job(2, 60, 6)).tokens();
    let mut engine = Watched::new(bench, shape);
    let running = engine.job(2, 60, 6);
    let key = running.key;
    engine.admit(running);
    engine.run_until(key, 1);
    let used = engine.load().blocks_used;
    let outcome = engine.import(&first.layout(), blocks.clone());
    assert!(outcome.taken <= Blocks(10) - used, "{} were taken, {used} of 10 are in use", outcome.taken);
    assert!(matches!(outcome.refused, Some(ImportRefusal::NoRoom { .. })), "{outcome:?}");
    assert_eq!(engine.load().blocks_used, used, "an import counts as used");
    engine.run();
    assert_eq!(engine.trace(key).tokens(), undisturbed, "an import changed a running answer");
    // Now that nobody runs, older prefixes give way, and never those of the same chain.
    let outcome = engine.import(&first.layout(), blocks);
    assert_eq!(outcome.refused, None);
    assert_eq!(engine.answer(engine.job(1, 45, 12)).cached, Some(Tokens(40)));
}
