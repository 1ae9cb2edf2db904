use protocol::ids::TokenId;
use protocol::request::Care;
use protocol::request::Input;
use serde_json::{Value, json};

use super::plan;

fn body(extra: Value) -> Vec<u8> {
    let mut body = json!({"model": "m", "prompt": "hi"});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::to_vec(&body).unwrap()
}

fn inputs(prompt: Value) -> Vec<Input> {
    let plan = plan(&body(json!({ "prompt": prompt })), Care::default()).map_err(|e| e.to_string()).unwrap();
    plan.requests.into_iter().map(|request| request.input).collect()
}

fn text(text: &str) -> Input {
    Input::Text(text.to_owned())
}

fn ids<const N: usize>(ids: [u32; N]) -> Input {
    Input::Tokens(ids.map(TokenId).to_vec())
}

#[test]
fn all_four_shapes_of_a_prompt_are_taken() {
    assert_eq!(inputs(json!("a")), [text("a")]);
    assert_eq!(inputs(json!(["a", "b"])), [text("a"), text("b")]);
    assert_eq!(inputs(json!([1, 2])), [ids([1, 2])]);
    assert_eq!(inputs(json!([[1], [2, 3]])), [ids([1]), ids([2, 3])]);
}

#[test]
fn mixed_and_wrong_prompts_are_refused_by_path() {
    for (prompt, path) in [
        (json!(["a", 1]), "prompt"),
        (json!([1, "a"]), "prompt"),
        (json!([[1], "a"]), "prompt"),
        (json!([1, [2]]), "prompt"),
        (json!(7), "prompt"),
        (json!({"text": "a"}), "prompt"),
        (json!([]), "prompt"),
        (json!(vec!["a"; 65]), "prompt"),
        (json!([1, -2]), "prompt[1]"),
        (json!([[1, "x"]]), "prompt[0][1]"),
        (json!([4_294_967_296_u64]), "prompt[0]"),
        (json!(["a", null]), "prompt[1]"),
    ] {
        let error = plan(&body(json!({ "prompt": prompt })), Care::default()).map(|_| ()).unwrap_err();
        let shown = serde_json::to_value(error.body()).unwrap();
        assert_eq!(shown["error"]["param"], path, "{prompt}: {shown}");
    }
}

#[test]
fn parameters_go_with_every_prompt() {
    let extra = json!({"prompt": ["a", "b"], "n": 2, "logprobs": 3, "max_tokens": 4, "best_of": 2, "echo": false});
    let plan = plan(&body(extra), Care::default()).map_err(|e| e.to_string()).unwrap();
    assert_eq!((plan.requests.len(), plan.each), (2, 2));
    for request in &plan.requests {
        assert_eq!(request.model, "m");
        assert_eq!((request.params.n, request.params.logprobs), (Some(2), Some(3)));
        assert_eq!(request.params.max_tokens, Some(4));
    }
}

#[test]
fn prompts_of_one_request_have_idempotency_keys_of_their_own() {
    let care = Care { idempotency: Some("k".to_owned()), ..Care::default() };
    let keys = || {
        let plan = plan(&body(json!({"prompt": ["a", "b", "c"]})), care.clone()).map_err(|e| e.to_string()).unwrap();
        plan.requests.into_iter().map(|request| request.care.idempotency.unwrap()).collect::<Vec<_>>()
    };
    let [first, second, third] = <[String; 3]>::try_from(keys()).unwrap();
    assert_eq!(first, "k");
    assert!(first != second && second != third && first != third);
    assert!(second.len() <= protocol::request::MAX_TAG_BYTES);
    assert_eq!(keys(), [first, second, third], "the same again for a repetition");
}
