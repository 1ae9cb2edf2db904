use actors::cluster::recent::Asked;

use super::*;

fn asked(at: u64, prompt: u64, answer: Option<u64>, blocks: &[u64]) -> Asked {
    let first = answer.map(|_| Duration::from_millis(at + 1));
    let (prompt, answer) = (Tokens(prompt), answer.map(Tokens));
    Asked {
        at: Duration::from_millis(at),
        prompt,
        answer,
        first,
        blocks: blocks.to_vec(),
        session: Some(u64::MAX - at),
    }
}

fn remembered(asked: Vec<Asked>) -> Remembered {
    Remembered { block: Tokens(128), asked, forgotten: 0, over: Duration::from_secs(1) }
}

#[test]
fn names_become_numbers_and_what_is_shared_stays_so() {
    let hash = 0xdead_beef_dead_beef;
    let all = remembered(vec![
        asked(0, 300, Some(10), &[hash, 77]),
        asked(5, 256, None, &[hash, 78]),
        asked(9, 300, Some(20), &[hash, 77, 79]),
    ]);
    let trace = of("m", &all);
    let blocks: Vec<_> = trace.requests.iter().map(|request| request.blocks.as_slice()).collect();
    assert_eq!(blocks, [&[0, 1, 2][..], &[0, 3], &[0, 1, 4]], "the first prompt's last block is not full");
    assert_eq!((trace.block, unserved(&all.asked)), (Tokens(128), 1));
    assert_eq!(trace.requests[1].output, Tokens(15), "as long as the others on average");
    let sessions: Vec<_> = trace.requests.iter().map(|request| request.session).collect();
    assert_eq!(sessions, [Some(0), Some(1), Some(2)]);
    let text = lines(&trace);
    assert_eq!(text.lines().count(), 3);
    assert!(!text.contains(&hash.to_string()), "{text}");
}

#[test]
fn what_was_written_is_read_back() {
    let asked = (0..50).map(|at| asked(at, 1 + at * 13, Some(1 + at), &(0..(1 + at * 13) / 128).collect::<Vec<_>>()));
    let trace = of("m", &remembered(asked.collect()));
    let options = replay::trace::ReadOptions { block: Tokens(128), ..Default::default() };
    let text = lines(&trace);
    let read = replay::trace::read_from(std::path::Path::new("t.jsonl"), text.as_bytes(), &options).unwrap();
    assert_eq!(read.requests, trace.requests);
}

#[test]
fn the_oldest_are_left_out_of_what_is_too_much() {
    let mut trace = of("m", &remembered((0..10).map(|at| asked(at * 100, 10, Some(5), &[])).collect()));
    assert_eq!(shorten(&mut trace, Tokens(15)), LeftOut { requests: 7, since: Duration::from_millis(700) });
    assert_eq!((trace.requests.len(), trace.requests[0].at), (3, Duration::ZERO));
    assert_eq!(shorten(&mut trace, Tokens(1)).requests, 2, "one stays");
    let mut all = of("m", &remembered(vec![asked(0, 10, Some(5), &[])]));
    assert_eq!(shorten(&mut all, Tokens(100)), LeftOut::default());
}

#[test]
fn whoever_no_node_took_waits_for_ever() {
    let all = remembered(vec![asked(3, 10, Some(5), &[]), asked(9, 10, None, &[])]);
    assert_eq!(measured(&all.asked, Percentile::P50), Some(Duration::from_millis(4)));
    assert_eq!(measured(&all.asked, Percentile::P99), None);
}
