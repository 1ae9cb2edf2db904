use super::*;
use crate::detok::Detokenizer;
use crate::gguf_vocab::GgufVocab;
use proptest::prelude::*;

/// A byte-level vocabulary of all single bytes and a few merges.
pub(crate) fn byte_level() -> Text {
    let mut tokens: Vec<String> = (0..=255u8).map(|byte| character(byte).to_string()).collect();
    let merges = ["h e", "l l", "he ll", "Ġ w", "Ã ©"];
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    tokens.extend(["<|im_start|>".to_owned(), "<|im_end|>".to_owned()]);
    let mut token_types = vec![1; tokens.len()];
    let count = tokens.len();
    token_types[count - 2..].fill(3);
    let vocab = GgufVocab {
        model: "gpt2".into(),
        pre: Some("smollm".into()),
        tokens,
        token_types,
        merges: merges.map(str::to_owned).to_vec(),
        eos: Some(u32::try_from(count - 1).unwrap()),
        ..GgufVocab::default()
    };
    Text::new(vocab.bundle().unwrap()).unwrap()
}

fn character(byte: u8) -> char {
    (0u32..0x144).filter_map(char::from_u32).find(|c| byte_of(*c) == Some(byte)).unwrap()
}

#[test]
fn every_byte_has_one_character() {
    let all: std::collections::BTreeSet<char> = (0..=255u8).map(character).collect();
    assert_eq!(all.len(), 256);
    assert_eq!(character(b' '), 'Ġ');
    assert_eq!(character(b'\n'), 'Ċ');
    assert_eq!(byte_of('日'), None);
}

#[test]
fn merges_make_longer_tokens_and_specials_are_parsed_only_when_asked() {
    let text = byte_level();
    let hell = text.encode("hell", Special::Plain).unwrap();
    assert_eq!(hell.len(), 1);
    assert_eq!(text.piece(hell[0]), Some(b"hell".as_slice()));
    let parsed = text.encode("<|im_end|>", Special::Parse).unwrap();
    assert_eq!(parsed, text.eos());
    assert!(text.is_special(parsed[0]));
    assert!(text.encode("<|im_end|>", Special::Plain).unwrap().len() > 1);
}

#[test]
fn a_bundle_that_changes_in_any_field_has_another_hash() {
    let bundle = byte_level().bundle().clone();
    let mut other = bundle.clone();
    other.add_bos = true;
    assert_ne!(bundle.hash(), other.hash());
    let mut other = bundle.clone();
    other.names.pad = Some(String::new());
    assert_ne!(bundle.hash(), other.hash());
    assert_eq!(bundle.hash(), bundle.clone().hash());
}

#[test]
fn a_broken_tokenizer_is_an_error() {
    let bundle = TextBundle { tokenizer_json: "{".into(), ..byte_level().bundle().clone() };
    assert!(matches!(Text::new(bundle), Err(TextError::Tokenizer(_))));
}

proptest! {
    #[test]
    fn text_survives_the_way_to_tokens_and_back(text in any::<String>()) {
        let words = byte_level();
        let ids = words.encode(&text, Special::Plain).unwrap();
        let mut detokenizer = Detokenizer::new();
        let mut out: String = ids.iter().map(|id| detokenizer.push(&words, *id)).collect();
        out.push_str(&detokenizer.flush());
        prop_assert_eq!(out, text);
    }
}
