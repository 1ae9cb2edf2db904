//! Words for a model that has none: a token for each byte, then made-up words up to the vocabulary.

use serde_json::{Map, Value, json};
use text::bundle::{TextBundle, TokenNames};

const TEMPLATE: &str = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:";

/// A tokenizer of byte-level BPE without a merge: texts become bytes, answers become words. No token
/// ends a turn.
pub(super) fn bundle(vocabulary: usize) -> TextBundle {
    let tokens = (0..=u8::MAX).map(|byte| character(byte).to_string()).chain((0..).map(made_up));
    let ids: Map<String, Value> = tokens.take(vocabulary).zip((0u64..).map(Value::from)).collect();
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": ids, "merges": [],
        },
    });
    TextBundle {
        tokenizer_json: tokenizer.to_string(),
        chat_template: Some(TEMPLATE.to_owned()),
        bos: None,
        eos: Vec::new(),
        add_bos: false,
        names: TokenNames::default(),
    }
}

/// How byte-level vocabularies write a byte: printable Latin-1 as itself, the others from 256 on.
fn character(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return byte.into();
    }
    let before = (0..byte).filter(|other| !printable(*other)).count() as u32;
    char::from_u32(256 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The word of a number: a space and at least three letters, another for each number.
fn made_up(mut number: usize) -> String {
    let mut word = character(b' ').to_string();
    let mut letters = 0;
    while letters < 3 || number > 0 {
        word.push((b'a' + (number % 26) as u8).into());
        number /= 26;
        letters += 1;
    }
    word
}
