use super::*;
use proptest::prelude::*;

/// What a search over the whole text finds: the stop that ends first.
fn naive(text: &str, stops: &[String]) -> (String, bool) {
    let cut = stops
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop.as_str()).map(|at| (at + stop.len(), at)))
        .min();
    match cut {
        Some((_, at)) => (text[..at].to_owned(), true),
        None => (text.to_owned(), false),
    }
}

fn streamed(pieces: &[&str], stops: &[String]) -> (String, bool) {
    let mut matcher = StopMatcher::new(stops);
    let mut out = String::new();
    for piece in pieces {
        let outcome = matcher.push(piece);
        out.push_str(&outcome.emit);
        if outcome.stopped.is_some() {
            return (out, true);
        }
    }
    out.push_str(&matcher.flush());
    (out, false)
}

#[test]
fn the_beginning_of_a_stop_is_held_back_until_it_is_decided() {
    let mut matcher = StopMatcher::new(&["\n\nQ:".to_owned()]);
    assert_eq!(matcher.push("yes\n").emit, "yes");
    assert_eq!(matcher.push("\n").emit, "");
    assert_eq!(matcher.push("no").emit, "\n\nno");
    let end = matcher.push("\n\nQ: more");
    assert_eq!(end, StopOutcome { emit: String::new(), stopped: Some(0) });
    assert_eq!(matcher.push("nothing"), StopOutcome::default());
}

#[test]
fn a_stop_may_be_any_text_and_cuts_at_characters() {
    assert_eq!(streamed(&["日本", "の首", "都"], &["の首都".to_owned()]), ("日本".to_owned(), true));
    assert_eq!(streamed(&["日本", "の"], &["の首都".to_owned()]), ("日本の".to_owned(), false));
}

#[test]
fn text_that_may_not_be_stopped_is_passed_with_what_was_held() {
    let mut matcher = StopMatcher::new(&["ab".to_owned()]);
    assert_eq!(matcher.push("a").emit, "");
    assert_eq!(matcher.pass("b"), "ab");
}

proptest! {
    #[test]
    fn pieces_give_what_the_whole_text_gives(
        pieces in proptest::collection::vec("[abé]{0,4}", 0..12),
        stops in proptest::collection::vec("[abé]{0,4}", 0..4),
    ) {
        let list: Vec<&str> = pieces.iter().map(String::as_str).collect();
        prop_assert_eq!(streamed(&list, &stops), naive(&pieces.concat(), &stops));
    }
}
