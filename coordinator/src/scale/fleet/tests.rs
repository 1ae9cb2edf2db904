use protocol::engine::Engine as _;

use super::*;

fn micros(number: u64) -> Duration {
    Duration::from_micros(number)
}

/// A node by its prompt tokens a second, microseconds of a step and of a sequence, and blocks.
fn machine((prefill, step, sequence, blocks): (u32, u64, u64, u64)) -> Machine {
    let engine = actors::mock::MockEngine::new(actors::mock::MockOptions::default());
    let mut card = engine.card().clone();
    (card.blocks, card.jobs) = (Blocks(blocks), 64);
    Machine { card, rates: Rates { prefill, step: micros(step), sequence: micros(sequence) } }
}

fn fleet(machines: &[(u32, u64, u64, u64)]) -> Option<Fleet> {
    let machines: Vec<Machine> = machines.iter().copied().map(machine).collect();
    of("m", &machines, &Model { max_batch: 32, ..Model::default() }, None)
}

#[test]
fn nodes_that_differ_in_what_matters_are_noted() {
    let alike = fleet(&[(1000, 10_000, 100, 500), (1100, 9_000, 150, 500), (1200, 11_000, 90, 500)]).unwrap();
    assert_eq!(alike.notes, Vec::<String>::new());
    let notes = |machines: &[(u32, u64, u64, u64)]| fleet(machines).unwrap().notes.join("; ");
    assert!(notes(&[(1000, 10_000, 100, 500), (1300, 10_000, 100, 500)]).contains("1000 to 1300 prompt tokens/s"));
    // Prompts go as fast, and answers half as fast.
    let decode = notes(&[(1000, 10_000, 0, 500), (1000, 20_000, 0, 500)]);
    assert!(decode.contains("a step of 16 sequences takes them 10.0 ms to 20.0 ms"), "{decode}");
    assert!(notes(&[(1000, 10_000, 100, 500), (1000, 10_000, 100, 900)]).contains("room for 500 to 900 blocks"));
    assert!(notes(&[(1000, 10_000, 100, 500), (0, 0, 0, 500)]).contains("1 of 2 nodes have not measured"));
}

#[test]
fn the_parts_of_a_step_are_those_of_one_node() {
    // Whole steps are alike; the parts of each node make up for one another.
    let fleet = fleet(&[(1000, 4_000, 1_000, 500), (1000, 20_000, 0, 500), (1000, 12_000, 500, 500)]).unwrap();
    let Rates { step, sequence, .. } = fleet.speed;
    assert_eq!(step + sequence * 16, micros(20_000));
    assert_eq!(fleet.notes, Vec::<String>::new());
}

#[test]
fn nothing_is_known_before_a_node_has_measured() {
    assert!(fleet(&[]).is_none() && fleet(&[(0, 0, 0, 500)]).is_none());
    assert!(fleet(&[(1000, 0, 0, 500)]).is_none(), "nobody knows how long a step takes");
}
