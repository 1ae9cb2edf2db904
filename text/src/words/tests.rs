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

/// A vocabulary of pieces by score, with all bytes and a user-defined piece.
fn pieces() -> Text {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    tokens.extend((0..=255u8).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(["▁", "a", "b", "é", "▁a", "ab", "▁ab", "▁▁", "user▁made"].map(str::to_owned));
    let mut token_types = vec![1; tokens.len()];
    token_types[..3].copy_from_slice(&[2, 3, 3]);
    token_types[3..259].fill(6);
    *token_types.last_mut().unwrap() = 4;
    let scores = (0..tokens.len()).map(|id| -(id as f32)).collect();
    let (bos, eos, unk) = (Some(1), Some(2), Some(0));
    let model = "llama".to_owned();
    let vocab = GgufVocab { model, tokens, token_types, scores, bos, eos, unk, ..GgufVocab::default() };
    Text::new(vocab.bundle().unwrap()).unwrap()
}

/// The text of tokens, one by one.
fn streamed(words: &Text, ids: &[TokenId]) -> String {
    let mut detokenizer = Detokenizer::new();
    let out: String = ids.iter().map(|id| detokenizer.push(words, *id)).collect();
    out + &detokenizer.flush()
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

#[test]
fn an_id_beyond_all_vocabularies_is_refused_before_memory_is_taken() {
    let bundle = byte_level().bundle().clone();
    let mut json: serde_json::Value = serde_json::from_str(&bundle.tokenizer_json).unwrap();
    json["model"]["vocab"]["far"] = u32::MAX.into();
    let error = Text::new(TextBundle { tokenizer_json: json.to_string(), ..bundle }).unwrap_err();
    assert!(error.to_string().contains("4294967295"), "{error}");
}

#[test]
fn a_user_defined_piece_is_text_with_its_spaces() {
    let words = pieces();
    let id = TokenId(words.vocabulary() - 1);
    assert!(!words.is_special(id));
    assert_eq!(words.piece(id), Some(b"user made".as_slice()));
}

proptest! {
    #[test]
    fn text_survives_the_way_to_tokens_and_back(text in any::<String>()) {
        let words = byte_level();
        let ids = words.encode(&text, Special::Plain).unwrap();
        prop_assert_eq!(streamed(&words, &ids), text);
    }

    #[test]
    fn token_by_token_gives_what_the_whole_decoder_gives(places in proptest::collection::vec(any::<prop::sample::Index>(), 0..24)) {
        for words in [byte_level(), pieces()] {
            let ids: Vec<u32> = places.iter().map(|place| place.index(words.pieces.len()) as u32).collect();
            let whole = words.parsing.decode(&ids, true).unwrap();
            let out = streamed(&words, &ids.into_iter().map(TokenId).collect::<Vec<_>>());
            // Bytes that are no text may be replaced in another number of places.
            if whole.contains(char::REPLACEMENT_CHARACTER) {
                prop_assert!(out.contains(char::REPLACEMENT_CHARACTER));
            } else {
                prop_assert_eq!(out, whole);
            }
        }
    }

    #[test]
    fn pieces_survive_the_way_to_tokens_and_back(text in "[ abé日\\n]{0,16}") {
        let words = pieces();
        let ids = words.encode(&text, Special::Plain).unwrap();
        prop_assert_eq!(ids.first().map(|id| id.0), words.bundle.bos.map(|id| id.0));
        prop_assert_eq!(streamed(&words, &ids), text);
    }
}
