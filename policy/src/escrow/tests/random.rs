//! Many operations from many seeds, with every fault that a network and a kill can bring about.

use super::world::World;

/// 60 worlds of 2,500 operations: 150,000.
#[test]
fn no_budget_is_exceeded_at_any_instant_whatever_is_lost_doubled_late_or_killed() {
    let (mut passed, mut kills) = (0, 0);
    for seed in 0..60 {
        let mut world = World::new(seed, seed % 3 == 0);
        for _ in 0..2500 {
            world.step();
            world.check();
        }
        world.heal();
        passed += world.passed;
        kills += world.kills;
    }
    assert!(passed > 5_000, "too little is let in to show anything: {passed}");
    assert!(kills > 500, "too few are killed: {kills}");
}

/// Without faults budgets are put to use: slices do not hold back what is left.
#[test]
fn a_budget_is_used_up_nearly_to_its_end_before_all_are_refused() {
    for seed in 0..5 {
        let mut world = World::new(seed, false);
        world.faults = false;
        for _ in 0..12_000 {
            world.step();
        }
        world.check();
        world.heal();
        // The scarcest of all.
        let spent = world.spent("k1");
        assert!(spent > 8_700, "{spent} of 9000");
    }
}
