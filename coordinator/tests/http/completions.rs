//! `/v1/completions`, whole and streamed.

use protocol::ids::TokenId;
use protocol::request::Input;
use serde_json::{Value, json};

use crate::fake::{Fake, MODEL, TEXT};
use crate::support::{COMPLETIONS, NOW, body, door, post_json};

const ID: &str = "cmpl-00000000000000000000000000000abc";

#[tokio::test]
async fn a_whole_answer_has_text_and_usage() {
    let (fake, mut seen) = Fake::well();
    let got = post_json(&door(&fake), COMPLETIONS, &body(COMPLETIONS, json!({"stop": "x"}))).await;
    assert_eq!(got.status, 200, "{got:?}");
    let json = got.json();
    assert_eq!(json["id"], ID);
    assert_eq!(json["object"], "text_completion");
    assert_eq!(json["created"], NOW);
    assert_eq!(json["model"], MODEL);
    assert_eq!(json["choices"], json!([{"index": 0, "text": TEXT, "logprobs": null, "finish_reason": "stop"}]));
    assert_eq!(json["usage"]["total_tokens"], 17);
    assert_eq!(got.header("x-troupe-node"), Some("node-a"));
    let request = seen.asked.try_recv().unwrap();
    assert_eq!(request.input, Input::Text("Say hello.".to_owned()));
    assert_eq!(request.params.stop, ["x"]);
}

#[tokio::test]
async fn a_stream_has_no_opening_and_ends_with_done() {
    let (fake, _seen) = Fake::well();
    let extra = json!({"stream": true, "stream_options": {"include_usage": true}});
    let chunks = post_json(&door(&fake), COMPLETIONS, &body(COMPLETIONS, extra)).await.chunks();
    let (usage, rest) = chunks.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 5);
    let texts: Vec<&str> = rest.iter().map(|chunk| chunk["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Hello", ", wörld", " €", ""]);
    assert_eq!(rest[3]["choices"][0]["finish_reason"], "stop");
    assert!(rest.iter().all(|chunk| chunk["object"] == "text_completion" && chunk["id"] == ID));
}

#[tokio::test]
async fn several_prompts_are_numbered_prompt_by_prompt() {
    let (fake, mut seen) = Fake::new(|request| {
        // Each answer repeats its prompt, so that the numbers can be checked.
        let Input::Tokens(ids) = &request.input else { return crate::fake::Script::Pieces(Vec::new()) };
        let text = ids.iter().map(TokenId::to_string).collect::<Vec<_>>().join(" ");
        let mut pieces = vec![crate::fake::started()];
        pieces.extend((0..2).map(|choice| crate::fake::delta(choice, &format!("{text}/{choice}"))));
        pieces.extend((0..2).map(crate::fake::finished));
        pieces.push(crate::fake::done(2));
        crate::fake::Script::Pieces(pieces)
    });
    let door = door(&fake);
    let extra = json!({"prompt": [[1], [2, 3], [4]], "n": 2});
    let json = post_json(&door, COMPLETIONS, &body(COMPLETIONS, extra.clone())).await.json();
    let choices = json["choices"].as_array().unwrap();
    let shown: Vec<(u64, &str)> =
        choices.iter().map(|c| (c["index"].as_u64().unwrap(), c["text"].as_str().unwrap())).collect();
    assert_eq!(shown, [(0, "1/0"), (1, "1/1"), (2, "2 3/0"), (3, "2 3/1"), (4, "4/0"), (5, "4/1")]);
    assert_eq!(json["usage"]["prompt_tokens"], 36);
    assert_eq!(json["usage"]["completion_tokens"], 30);
    assert_eq!(seen.asked.len(), 3);
    assert_eq!(seen.asked.try_recv().unwrap().input, Input::Tokens(vec![TokenId(1)]));

    let mut extra = extra;
    extra["stream"] = Value::Bool(true);
    let chunks = post_json(&door, COMPLETIONS, &body(COMPLETIONS, extra)).await.chunks();
    let mut streamed: Vec<(u64, &str)> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0])
        .filter(|choice| choice["finish_reason"].is_null())
        .map(|choice| (choice["index"].as_u64().unwrap(), choice["text"].as_str().unwrap()))
        .collect();
    streamed.sort_unstable();
    assert_eq!(streamed, shown);
}

#[tokio::test]
async fn logprobs_are_four_lists_that_go_on_in_a_stream() {
    let (fake, mut seen) = Fake::well();
    let door = door(&fake);
    let json = post_json(&door, COMPLETIONS, &body(COMPLETIONS, json!({"logprobs": 2}))).await.json();
    assert_eq!(seen.asked.try_recv().unwrap().params.logprobs, Some(2));
    let lists = &json["choices"][0]["logprobs"];
    assert_eq!(lists["tokens"], json!(["Hello", ",", " wörld", "bytes:\\x20\\xe2\\x82", "bytes:\\xac"]));
    assert_eq!(lists["token_logprobs"], json!([-0.25, -0.25, -0.25, -0.25, -0.25]));
    assert_eq!(lists["text_offset"], json!([0, 5, 6, 12, 13]));
    assert_eq!(lists["top_logprobs"][0], json!({"a": -1.0, "b": -2.0}));

    let chunks =
        post_json(&door, COMPLETIONS, &body(COMPLETIONS, json!({"logprobs": 2, "stream": true}))).await.chunks();
    let offsets: Vec<&Value> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["logprobs"]["text_offset"].as_array()).flatten().collect();
    assert_eq!(offsets, lists["text_offset"].as_array().unwrap().iter().collect::<Vec<_>>());
}
