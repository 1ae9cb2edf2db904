use super::*;

fn small() -> GgufVocab {
    GgufVocab {
        model: "gpt2".into(),
        pre: Some("gpt-2".into()),
        tokens: ["a", "b", "ab", "<|endoftext|>"].map(str::to_owned).to_vec(),
        token_types: vec![1, 1, 1, 3],
        merges: vec!["a b".into()],
        eos: Some(3),
        ..GgufVocab::default()
    }
}

#[test]
fn an_unknown_rule_is_refused_by_name() {
    let error = GgufVocab { pre: Some("klingon".into()), ..small() }.bundle().unwrap_err();
    assert!(error.to_string().contains("'klingon'") && error.to_string().contains("smollm"), "{error}");
    assert_eq!(GgufVocab { pre: None, ..small() }.bundle(), Err(VocabError::NoPreTokenizer));
    assert_eq!(GgufVocab { model: "t5".into(), ..small() }.bundle(), Err(VocabError::Model("t5".into())));
}

#[test]
fn lists_and_ids_that_do_not_fit_are_refused_by_key() {
    assert!(matches!(
        GgufVocab { token_types: vec![1], ..small() }.bundle(),
        Err(VocabError::Length { key: "token_type", .. })
    ));
    assert!(matches!(
        GgufVocab { bos: Some(4), ..small() }.bundle(),
        Err(VocabError::Id { key: "bos_token_id", id: 4, .. })
    ));
    assert!(matches!(GgufVocab { merges: vec!["ab".into()], ..small() }.bundle(), Err(VocabError::Merge(_))));
    assert!(matches!(GgufVocab { merges: Vec::new(), ..small() }.bundle(), Err(VocabError::NoMerges)));
    assert!(matches!(GgufVocab { tokens: Vec::new(), ..small() }.bundle(), Err(VocabError::NoTokens)));
    assert!(matches!(GgufVocab { tokens: vec!["a".into(); 4], ..small() }.bundle(), Err(VocabError::Twice(_))));
    assert!(matches!(
        GgufVocab { model: "llama".into(), ..small() }.bundle(),
        Err(VocabError::Length { key: "scores", .. })
    ));
}

#[test]
fn the_names_that_end_a_turn_are_found() {
    assert_eq!(small().bundle().unwrap().eos, [TokenId(3)]);
    assert_eq!(GgufVocab { eos: Some(2), ..small() }.bundle().unwrap().eos, [TokenId(2), TokenId(3)]);
}
