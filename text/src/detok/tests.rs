use super::*;
use proptest::prelude::*;

fn pieces(bytes: &[&[u8]]) -> (Vec<String>, String) {
    let mut state = Detokenizer::new();
    let out = bytes
        .iter()
        .map(|piece| {
            state.pending.extend_from_slice(piece);
            state.complete()
        })
        .collect();
    (out, state.flush())
}

#[test]
fn a_character_waits_until_it_is_whole() {
    let (out, rest) = pieces(&[b"a\xf0", b"\x9f\x98", b"\x80b"]);
    assert_eq!(out, ["a", "", "😀b"]);
    assert_eq!(rest, "");
}

#[test]
fn bytes_that_cannot_become_a_character_are_replaced_at_once() {
    let (out, rest) = pieces(&[b"\xff", b"\xe6a", b"\xe6"]);
    assert_eq!(out, ["\u{fffd}", "\u{fffd}a", ""]);
    assert_eq!(rest, "\u{fffd}");
}

proptest! {
    #[test]
    fn pieces_add_up_to_the_whole_however_they_are_cut(bytes in any::<Vec<u8>>(), cuts in proptest::collection::vec(0usize..8, 0..64)) {
        let mut rest = bytes.as_slice();
        let mut list = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            list.push(piece);
            rest = after;
        }
        list.push(rest);
        let (out, last) = pieces(&list);
        prop_assert_eq!(out.concat() + &last, String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn text_in_any_script_never_shows_a_replacement(text in "[\\u{80}-\\u{10ffff}]{0,20}") {
        prop_assume!(!text.contains(char::REPLACEMENT_CHARACTER));
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        let (out, rest) = pieces(&bytes);
        prop_assert!(out.iter().all(|piece| !piece.contains(char::REPLACEMENT_CHARACTER)));
        prop_assert_eq!(out.concat() + &rest, text);
    }
}
