use super::*;
use proptest::prelude::*;
use protocol::units::Tokens;

const END: u32 = 256;

/// Token `n` is the byte `n`; 256 ends a turn.
fn words() -> Arc<Text> {
    Arc::new(Text::new(crate::mock::bundle()).unwrap())
}

fn limits(min: u64) -> Limits {
    Limits { max_tokens: Tokens(999), min_tokens: Tokens(min), stop_ids: vec![TokenId(END)] }
}

fn tokens(text: &Text, words: &str) -> Vec<Sampled> {
    let ids = text.encode(words, text::Special::Plain).unwrap();
    ids.into_iter().map(|token| Sampled { token, logprobs: Some(Logprobs { chosen: -1.0, top: Vec::new() }) }).collect()
}

fn speech(min: u64, stops: &[&str]) -> (Speech, Arc<Text>) {
    let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
    let text = words();
    (Speech::new(Arc::clone(&text), limits(min), &stops), text)
}

#[test]
fn a_stop_text_cuts_the_answer_and_its_logprobs() {
    let (mut speech, text) = speech(0, &["END"]);
    let first = speech.push(&tokens(&text, "abE"));
    assert_eq!((first.text.as_str(), first.stopped), ("ab", false));
    assert_eq!(
        first.logprobs.iter().map(|token| token.bytes.clone()).collect::<Vec<_>>(),
        [b"a".to_vec(), b"b".to_vec()]
    );
    let last = speech.push(&tokens(&text, "NDxyz"));
    assert_eq!((last.text.as_str(), last.stopped, last.logprobs.len()), ("", true, 0));
    // Up to the stop: what came after it is not billed.
    assert_eq!(speech.tokens(), 5);
}

#[test]
fn what_was_held_in_vain_comes_with_its_logprobs() {
    let (mut speech, text) = speech(0, &["END"]);
    assert_eq!(speech.push(&tokens(&text, "EN")).text, "");
    let rest = speech.flush();
    assert_eq!((rest.text.as_str(), rest.logprobs.len()), ("EN", 2));
}

#[test]
fn a_stop_text_before_min_tokens_is_text() {
    let (mut speech, text) = speech(4, &["ab"]);
    assert_eq!(speech.push(&tokens(&text, "abc")).text, "abc");
    let last = speech.push(&tokens(&text, "dab"));
    assert_eq!((last.text.as_str(), last.stopped), ("d", true));
}

#[test]
fn the_token_that_ends_a_turn_is_counted_and_not_shown() {
    let (mut speech, text) = speech(0, &[]);
    let mut all = tokens(&text, "ab");
    let end = text.eos()[0];
    assert_eq!(speech.limits.stop_ids, [TokenId(END)]);
    speech.limits.stop_ids = vec![end];
    all.push(Sampled { token: end, logprobs: Some(Logprobs { chosen: -1.0, top: Vec::new() }) });
    let spoken = speech.push(&all);
    assert_eq!((spoken.text.as_str(), spoken.logprobs.len(), speech.tokens()), ("ab", 2, 3));
}

proptest! {
    #[test]
    fn all_text_and_every_logprob_comes_once_however_tokens_are_batched(
        words in "[abc é日]{0,30}", cuts in proptest::collection::vec(1usize..5, 0..30), stop in "[abc]{2,3}",
    ) {
        let (mut speech, text) = speech(0, &[&stop]);
        let all = tokens(&text, &words);
        let (mut rest, mut out, mut logprobs, mut stopped) = (all.as_slice(), String::new(), 0, false);
        let mut cuts = cuts.into_iter().chain(std::iter::repeat(7));
        while !rest.is_empty() && !stopped {
            let (batch, after) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
            rest = after;
            let spoken = speech.push(batch);
            out.push_str(&spoken.text);
            logprobs += spoken.logprobs.len();
            stopped = spoken.stopped;
        }
        if !stopped {
            let last = speech.flush();
            out.push_str(&last.text);
            logprobs += last.logprobs.len();
        }
        let expected = words.split(stop.as_str()).next().unwrap_or_default();
        prop_assert_eq!(&out, expected);
        prop_assert_eq!(stopped, words.contains(stop.as_str()));
        if !stopped {
            prop_assert_eq!(logprobs, all.len());
        }
    }
}
