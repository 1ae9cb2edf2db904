//! Tokenizers against reference vectors: files of a vocabulary alone, with texts and the ids they must
//! give. They lie outside of the repository; where they are absent the test says so and passes.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};

use engine::gguf::Gguf;
use engine::gguf::model::vocabulary;
use protocol::ids::TokenId;
use text::detok::Detokenizer;
use text::{Special, Text};

fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("TROUPE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let folder = shared.join("tokenizer");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: the reference vocabularies are not at {}", folder.display());
    None
}

fn check(name: &str) {
    let Some(folder) = folder() else { return };
    let path = folder.join(format!("ggml-vocab-{name}.gguf"));
    let file = Gguf::open(&path).unwrap().unwrap();
    let mut bundle = vocabulary(&file).bundle().unwrap();
    // The vectors are of the text alone.
    bundle.add_bos = false;
    let text = Text::new(bundle).unwrap();
    let read = |end: &str| std::fs::read_to_string(format!("{}.{end}", path.display())).unwrap();
    let (inputs, outputs) = (read("inp"), read("out"));
    let inputs: Vec<&str> = inputs.split("\n__ggml_vocab_test__\n").collect();
    let outputs: Vec<&str> = outputs.lines().collect();
    assert!(outputs.len() > 30 && inputs.len() >= outputs.len());
    for (input, output) in inputs.iter().zip(outputs) {
        let expected: Vec<u32> = output.split_whitespace().map(|id| id.parse().unwrap()).collect();
        let found: Vec<u32> = text.encode(input, Special::Plain).unwrap().iter().map(|id| id.0).collect();
        assert_eq!(found, expected, "{input:?}");
        let mut detokenizer = Detokenizer::new();
        let back: String = found.iter().map(|id| detokenizer.push(&text, TokenId(*id))).collect();
        assert_eq!(back + &detokenizer.flush(), *input);
    }
}

#[test]
fn gpt_2_gives_the_reference_ids() {
    check("gpt-2");
}

#[test]
fn llama_spm_gives_the_reference_ids() {
    check("llama-spm");
}
