//! Many operations from many seeds, with every fault that a network and a kill can bring about.
//!
//! Each of these mistakes was made on purpose, and found: an answer is taken that another message or an earlier
//! incarnation had asked for; a slice is not given up before it is told; a settled rest is free before the journal
//! has its record; an overtaken message is taken; records that are booked are booked again; a silent grantee loses
//! its slice; a holder forgets its grants when it restarts; an incomplete journal releases the rest; a slice is
//! larger than what is left.

use super::total;
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
        world.replay();
        passed += world.passed;
        kills += world.kills;
    }
    assert!(passed > 5_000, "too little is let in to show anything: {passed}");
    assert!(kills > 500, "too few are killed: {kills}");
}

/// $5.00, and 1,000 requests of up to $0.012 to each of three coordinators besides those to the holder.
#[test]
fn a_thousand_requests_to_each_of_three_coordinators_never_exceed_five_dollars() {
    for seed in 200..204 {
        let mut world = World::with(seed, false, vec![total("all", 5_000_000_000)], 100_000);
        while world.asked < 3000 {
            world.step();
            world.check();
        }
        world.heal();
        let spent = world.spent("all");
        assert!((4_000_000_000..=5_000_000_000).contains(&spent), "{spent}");
    }
}

/// Those that come, change and go meanwhile do no harm to another.
#[test]
fn a_budget_holds_while_others_come_change_and_go() {
    for seed in 100..115 {
        let mut world = World::new(seed, false);
        world.changes = true;
        for _ in 0..2000 {
            world.step();
            world.check();
        }
        world.heal();
        world.replay();
    }
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
