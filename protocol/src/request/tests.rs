use super::*;

fn fields(params: &Params) -> Vec<String> {
    params.faults().into_iter().map(|f| f.field).collect()
}

#[test]
fn nothing_given_is_nothing_wrong() {
    assert!(fields(&Params::default()).is_empty());
}

#[test]
fn every_fault_is_named_at_once_with_value_and_range() {
    let params = Params {
        n: Some(0),
        max_tokens: Some(0),
        temperature: Some(2.5),
        top_p: Some(0.0),
        min_p: Some(f32::NAN),
        repetition_penalty: Some(0.0),
        presence_penalty: Some(-3.0),
        frequency_penalty: Some(f32::INFINITY),
        logit_bias: vec![(TokenId(5), 101.0)],
        stop: vec![String::new(), "x".repeat(MAX_STOP_BYTES + 1)],
        logprobs: Some(21),
        ..Params::default()
    };
    let wrong = fields(&params);
    for field in [
        "n",
        "max_tokens",
        "temperature",
        "top_p",
        "min_p",
        "repetition_penalty",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias.5",
        "stop[0]",
        "stop[1]",
        "top_logprobs",
    ] {
        assert!(wrong.iter().any(|f| f == field), "{field} is missing from {wrong:?}");
    }
    assert_eq!(wrong.len(), 12);
    assert!(params.faults()[0].to_string().contains("2.5"));
}

#[test]
fn min_tokens_above_max_tokens_is_refused() {
    assert_eq!(fields(&Params { min_tokens: Some(9), max_tokens: Some(8), ..Params::default() }), ["min_tokens"]);
    assert!(fields(&Params { min_tokens: Some(8), max_tokens: Some(8), ..Params::default() }).is_empty());
}
