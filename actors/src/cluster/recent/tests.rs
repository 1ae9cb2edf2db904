use proptest::prelude::*;
use protocol::ids::TokenId;

use super::*;

/// A prompt of so many tokens that begins like all others and goes its own way after `common`.
fn note(arrived: Instant, tokens: u32, common: u32, own: u32) -> Note {
    let words: Vec<TokenId> = (0..tokens).map(|at| TokenId(if at < common { at } else { at + 1000 * own })).collect();
    let chain = BlockHash::chain([1; 16], &words, 32).collect();
    let prompt = Tokens::of(words.len());
    Note { arrived, prompt, choices: 1, chain, block: Tokens(32), session: None }
}

fn done(tokens: u64) -> End {
    End { answer: Some(Tokens(tokens)), first: Some(Duration::from_millis(tokens)) }
}

#[tokio::test(start_paused = true)]
async fn what_prompts_share_is_seen_in_their_names() {
    let (recent, begun) = (Recent::default(), Instant::now());
    let later = begun + Duration::from_secs(3);
    recent.record("m", &note(later, 300, 300, 1), done(7));
    // It came first and ended last.
    recent.record("m", &note(begun, 290, 256, 2), done(9));
    tokio::time::advance(Duration::from_secs(5)).await;
    let told = recent.of("m").unwrap();
    assert_eq!((told.block, told.forgotten, told.over), (Tokens(128), 0, Duration::from_secs(5)));
    let [first, second] = told.asked.as_slice() else { panic!("{told:?}") };
    assert_eq!((first.at, second.at), (Duration::ZERO, Duration::from_secs(3)));
    assert_eq!((first.answer, second.answer), (Some(Tokens(9)), Some(Tokens(7))));
    assert_eq!(second.blocks.len(), 3, "two of 128 tokens, and one of the 32 that are full after them");
    assert_eq!((&first.blocks[..2], first.blocks.len()), (&second.blocks[..2], 3));
    assert_ne!(first.blocks[2], second.blocks[2]);
    assert_eq!((recent.of("other"), recent.models()), (None, vec!["m".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn each_answer_counts_and_so_does_what_nobody_took() {
    let (recent, now) = (Recent::default(), Instant::now());
    recent.record("m", &Note { choices: 3, ..note(now, 64, 64, 1) }, done(30));
    recent.record("m", &note(now, 64, 64, 1), End::default());
    let told = recent.of("m").unwrap();
    let answers: Vec<_> = told.asked.iter().map(|asked| asked.answer).collect();
    assert_eq!(answers, [Some(Tokens(10)), Some(Tokens(10)), Some(Tokens(10)), None]);
}

#[tokio::test(start_paused = true)]
async fn the_model_that_was_asked_least_recently_is_forgotten() {
    let recent = Recent::default();
    for number in 0..MODELS {
        recent.record(&format!("m{number}"), &note(Instant::now(), 32, 32, 0), done(1));
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    recent.record("m0", &note(Instant::now(), 32, 32, 0), done(1));
    recent.record("one-more", &note(Instant::now(), 32, 32, 0), done(1));
    let models = recent.models();
    assert_eq!(models.len(), MODELS);
    assert!(models.contains(&"m0".to_owned()) && !models.contains(&"m1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_memory_is_bounded_whatever_is_asked() {
    let (recent, now) = (Recent::default(), Instant::now());
    let short = note(now, 32, 32, 0);
    (0..REQUESTS + 10).for_each(|_| recent.record("m", &short, done(1)));
    let told = recent.of("m").unwrap();
    assert_eq!((told.asked.len(), told.forgotten), (REQUESTS, 10));
    let long = note(now, 128_000, 64, 1);
    let each = 1000;
    (0..400).for_each(|_| recent.record("m", &long, done(1)));
    let told = recent.of("m").unwrap();
    assert_eq!(told.asked.len(), NAMES / each, "the short ones made room");
    let models = recent.models.lock();
    let ring = &models["m"];
    assert_eq!(ring.names.len(), NAMES / each * each);
    // Rings grow by doubling, so they may hold twice what they need.
    let bytes = ring.names.capacity() * size_of::<u64>() + ring.entries.capacity() * size_of::<Entry>();
    assert!(bytes <= 2 * (NAMES * 8) + 2 * (REQUESTS * 128), "{bytes} bytes");
    assert!(size_of::<Entry>() <= 128, "{}", size_of::<Entry>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn names_stay_with_their_requests(lengths in prop::collection::vec((1_u32..2000, 0_u32..4), 1..40)) {
        let recent = Recent::default();
        let now = Instant::now();
        for (tokens, own) in &lengths {
            recent.record("m", &note(now, *tokens, 128, *own), done(1));
        }
        let told = recent.of("m").unwrap();
        prop_assert_eq!(told.asked.len(), lengths.len());
        for (asked, (tokens, own)) in told.asked.iter().zip(&lengths) {
            let expected: Vec<u64> =
                note(now, *tokens, 128, *own).chain.chunks(4).map(|some| some[some.len() - 1].head()).collect();
            prop_assert_eq!((&asked.blocks, asked.prompt), (&expected, Tokens(u64::from(*tokens))));
        }
    }
}
