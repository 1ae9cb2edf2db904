//! Which files of a repository or folder make a model that the engine can load.
//!
//! Rules: files right in the folder only; a whole safetensors model, or its one GGUF file. What other programs need
//! (weights in other formats, pictures, licences) is left where it is. A listing with one path that leads elsewhere
//! is refused as a whole.

use std::collections::BTreeSet;

use super::names::{BadName, path_fault};

/// Read by the engine, or needed to convert what it cannot read; each may be missing, but for the first two.
const COMPANIONS: [&str; 11] = [
    CONFIG,
    TOKENIZER,
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
];
const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// GGUF files that a message names.
const NAMED: usize = 8;

/// No model among the files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoChoice {
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("it has no {0}, which a safetensors model needs")]
    Missing(&'static str),
    #[error("it has neither {WHOLE} nor {INDEX}, and no GGUF file")]
    NoWeights,
    #[error("it has no {WHOLE} and several GGUF files: name one of them, as {}", .0.join(", "))]
    Several(Vec<String>),
}

/// The files of the model, in the order of their names.
pub(crate) fn choose<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<Vec<&'a str>, NoChoice> {
    let mut root = BTreeSet::new();
    for path in paths {
        if let Some(problem) = path_fault(path) {
            return Err(BadName { name: path.chars().take(200).collect(), problem }.into());
        }
        if !path.contains('/') {
            root.insert(path);
        }
    }
    let weights = weights(&root);
    if weights.is_empty() {
        return one_gguf(&root);
    }
    if let Some(missing) = [CONFIG, TOKENIZER].into_iter().find(|name| !root.contains(name)) {
        return Err(NoChoice::Missing(missing));
    }
    let companions = COMPANIONS.into_iter().filter_map(|name| root.get(name).copied());
    let all: BTreeSet<&str> = companions.chain(weights).collect();
    Ok(all.into_iter().collect())
}

/// As the engine looks for them: the shards of an index, or the one file.
fn weights<'a>(root: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let Some(index) = root.get(INDEX) else { return root.get(WHOLE).copied().into_iter().collect() };
    let tensors = || root.iter().copied().filter(|name| name.ends_with(".safetensors"));
    let mut chosen: Vec<&str> = tensors().filter(|name| name.starts_with("model-") && name.contains("-of-")).collect();
    if chosen.is_empty() {
        chosen = tensors().collect();
    }
    if !chosen.is_empty() {
        chosen.push(index);
    }
    chosen
}

fn one_gguf<'a>(root: &BTreeSet<&'a str>) -> Result<Vec<&'a str>, NoChoice> {
    let found: Vec<&str> = root.iter().copied().filter(|name| is_gguf(name)).collect();
    match found[..] {
        [] => Err(NoChoice::NoWeights),
        [one] => Ok(vec![one]),
        _ => Err(NoChoice::Several(found.iter().take(NAMED).map(|name| (*name).to_owned()).collect())),
    }
}

pub(crate) fn is_gguf(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".gguf")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: [&str; 4] = ["README.md", ".gitattributes", "config.json", "tokenizer.json"];

    fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
        BASE.into_iter().chain(more.iter().copied()).collect()
    }

    #[test]
    fn a_model_is_its_weights_and_their_companions() {
        let all =
            with(&["model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "merges.txt", "other.safetensors"]);
        assert_eq!(choose(all).unwrap(), ["config.json", "merges.txt", "model.safetensors", "tokenizer.json"]);
    }

    #[test]
    fn shards_come_with_their_index_and_without_doubles() {
        let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
        let all = with(&[one, two, "model.safetensors.index.json", "consolidated.safetensors"]);
        let chosen = ["config.json", one, two, "model.safetensors.index.json", "tokenizer.json"];
        assert_eq!(choose(all).unwrap(), chosen);
        let odd = with(&["weights-a.safetensors", "model.safetensors.index.json"]);
        assert!(choose(odd).unwrap().contains(&"weights-a.safetensors"));
    }

    #[test]
    fn a_gguf_file_is_a_model_if_it_is_the_only_one() {
        assert_eq!(choose(["README.md", "a.gguf"]).unwrap(), ["a.gguf"]);
        let several = choose(["a.gguf", "b.GGUF"]).unwrap_err();
        assert!(several.to_string().contains("a.gguf, b.GGUF"), "{several}");
        assert_eq!(choose(with(&[])), Err(NoChoice::NoWeights));
        assert_eq!(choose(["model.safetensors", "config.json"]), Err(NoChoice::Missing("tokenizer.json")));
    }

    #[test]
    fn one_path_that_leads_elsewhere_spoils_the_listing() {
        for bad in ["../model.safetensors", "/etc/passwd", "a\\..\\b", "x/../../y"] {
            assert!(matches!(choose(with(&["model.safetensors", bad])), Err(NoChoice::Name(_))), "{bad}");
        }
    }
}
