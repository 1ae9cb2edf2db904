use proptest::prelude::*;

use super::*;

fn words(text: &str) -> Vec<String> {
    let folded = Folded::of(text, 1000, 1000);
    folded.tokens().iter().map(|token| folded.word(token).to_owned()).collect()
}

#[test]
fn words_numbers_and_signs_are_told_apart() {
    assert_eq!(
        words("Compute  3.14*R^2,\tplease: it’s “big”"),
        ["compute", "0", ".", "0", "*", "r", "^", "0", ",", "please", ":", "it", "'", "s", "\"", "big", "\""]
    );
}

#[test]
fn scripts_without_spaces_fall_into_characters() {
    assert_eq!(words("東京 привет"), ["東", "京", "привет"]);
}

#[test]
fn what_ends_a_sentence_is_left_out_at_the_end_only() {
    assert_eq!(words("Is it? It is?!"), ["is", "it", "?", "it", "is"]);
    assert_eq!(words("The sky is ___ ."), ["the", "sky", "is"]);
}

#[test]
fn lines_are_kept_and_spaces_are_not() {
    assert_eq!(Folded::of("a  \n\n  b\u{0} c", 100, 100).span(), "a\nb c");
}

#[test]
fn a_long_text_is_cut_in_its_middle() {
    let text = format!("{}{}{}", "a ".repeat(50), "x ".repeat(500), "b ".repeat(50));
    let folded = Folded::of(&text, 100, 100);
    assert!(!folded.span().contains('x') && folded.tokens().len() == 100);
}

#[test]
fn nothing_and_signs_alone_are_no_words() {
    assert_eq!(words(""), [""; 0]);
    assert_eq!(words(" \n "), [""; 0]);
    assert_eq!(words("?!"), [""; 0]);
    assert_eq!(Folded::of("...", 10, 10).span(), "");
}

proptest! {
    #[test]
    fn a_window_never_cuts_a_character(text in ".{0,80}", head in 0..60_usize, tail in 0..60_usize) {
        let (first, last) = window(&text, head, tail);
        prop_assert!(text.starts_with(first) && text.ends_with(last));
        prop_assert!(first.len() + last.len() <= (head + tail).max(text.len().min(head + tail)));
    }

    #[test]
    fn tokens_stand_in_order_and_cover_all_but_spaces(text in "\\PC{0,80}") {
        let mut folded = String::new();
        fold(&text, &mut folded);
        let tokens = tokens(&folded);
        prop_assert!(tokens.windows(2).all(|pair| pair[0].end <= pair[1].start));
        let covered: String = tokens.iter().map(|token| token.of(&folded)).collect();
        prop_assert_eq!(covered, folded.replace([' ', '\n'], ""));
    }
}
