use protocol::ids::RequestId;
use protocol::units::Blocks;

use super::*;

fn key(number: u128) -> JobKey {
    JobKey { request: RequestId(number), choice: 0, attempt: 0 }
}

fn step(tokens: &[u128], ended: &[u128]) -> Step {
    let keys = |numbers: &[u128]| numbers.iter().copied().map(key).collect();
    Step { tokens: keys(tokens), ended: keys(ended), ..Step::default() }
}

fn load(running: u32, waiting: u32, blocks: u64) -> Load {
    Load { running, waiting, blocks_used: Blocks(blocks), ..Load::default() }
}

#[test]
fn lengths_keep_their_bounds_and_short_ones_are_common() {
    let all = requests(&mut Prompts::new(3, 1000), 400, (16, 256), (8, 512));
    assert!(all.iter().all(|one| (16..=256).contains(&one.prompt) && (8..=512).contains(&one.answer)));
    let short = all.iter().filter(|one| one.answer <= 64).count();
    assert!((160..240).contains(&short), "half of a log-uniform load lies below the geometric mean: {short}");
}

#[test]
fn waste_counts_only_steps_in_which_every_running_request_answers() {
    let mut book = Book { prompts: [(key(1), 40), (key(2), 10)].into(), ..Book::default() };
    // The second is still in its prompt: nothing can be said.
    book.note(&step(&[1], &[]), &load(2, 1, 3), 32);
    assert_eq!(book.carried(0, Duration::ZERO).waste, None);
    // 40 + 2 - 1 and 10 + 1 - 1 computed tokens in three blocks of 32.
    book.note(&step(&[1, 2], &[]), &load(2, 0, 3), 32);
    assert_eq!(book.carried(0, Duration::ZERO).waste, Some(1.0 - 51.0 / 96.0));
    // The first has ended and holds nothing: 10 + 2 - 1 in one block.
    book.note(&step(&[1, 2], &[1]), &load(1, 0, 1), 32);
    assert_eq!(book.carried(0, Duration::ZERO).waste, Some(1.0 - 62.0 / 128.0));
}

#[test]
fn a_crowd_is_what_runs_while_others_wait() {
    let mut book = Book::default();
    for (running, waiting) in [(4, 9), (6, 1), (7, 0), (1, 0)] {
        book.note(&step(&[], &[]), &load(running, waiting, 0), 32);
    }
    let carried = book.carried(5, Duration::from_secs(1));
    assert_eq!((carried.most, carried.mean, carried.tokens), (7, 5.0, 5));
}
