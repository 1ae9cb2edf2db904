//! A higher class does not wait for a lower one.

use super::jobs::key;
use super::watched::Watched;
use super::{Bench, Shape};

/// When all places in the batch are taken, a job of a higher class takes one of a lower class at once. Whoever
/// lost its place goes on later and answers the same.
pub fn a_higher_class_takes_a_place(bench: &dyn Bench) {
    let shape = Shape { max_batch: 2, ..Shape::default() };
    takes(bench, shape, 20, 20);
}

/// The same when all blocks are taken.
pub fn a_higher_class_takes_blocks(bench: &dyn Bench) {
    let shape = Shape { blocks: 12, ..Shape::default() };
    takes(bench, shape, 30, 40);
}

fn takes(bench: &dyn Bench, shape: Shape, low: u32, high: u32) {
    let mut engine = Watched::new(bench, shape);
    let alone: Vec<_> = [1, 2].map(|number| engine.answer(engine.job(number, low, 16)).tokens()).into();
    let mut engine = Watched::new(bench, shape);
    for number in [1, 2] {
        engine.admit(engine.job(number, low, 16));
    }
    engine.run_until(key(1), 2);
    engine.run_until(key(2), 2);
    let mut urgent = engine.job(3, high, 2);
    urgent.priority = 2;
    engine.admit(urgent);
    engine.run_until(key(3), 1);
    assert!(engine.trace(key(1)).answer.len() < 16, "an urgent job waited for one of a lower class");
    assert!(engine.trace(key(2)).answer.len() < 16, "an urgent job waited for one of a lower class");
    engine.run();
    for (number, tokens) in [1, 2].into_iter().zip(alone) {
        assert_eq!(engine.trace(key(number)).tokens(), tokens, "giving way changed the answer of job {number}");
    }
}
