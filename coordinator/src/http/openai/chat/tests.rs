use protocol::ids::TokenId;
use protocol::request::Care;
use protocol::request::{ChatMessage, Input, Params};
use serde_json::{Value, json};

use super::plan;
use crate::http::openai::params::Delivery;

fn body(extra: Value) -> Vec<u8> {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::to_vec(&body).unwrap()
}

fn params(extra: Value) -> Params {
    plan(&body(extra), Care::default()).map_err(|e| e.to_string()).unwrap().requests.remove(0).params
}

fn messages(messages: Value) -> Vec<ChatMessage> {
    let plan = plan(&body(json!({ "messages": messages })), Care::default()).map_err(|e| e.to_string()).unwrap();
    match plan.requests.into_iter().next().unwrap().input {
        Input::Chat(messages) => messages,
        other => vec![ChatMessage::new("not a chat", format!("{other:?}"))],
    }
}

#[test]
fn what_is_left_out_stays_open() {
    assert_eq!(params(json!({})), Params::default());
    let nulls = json!({
        "n": null, "stop": null, "logprobs": null, "seed": null, "logit_bias": null, "stream": null,
        "tools": null, "stream_options": null, "temperature": null, "max_completion_tokens": null,
    });
    assert_eq!(params(nulls), Params::default());
}

#[test]
fn every_parameter_arrives() {
    let all = params(json!({
        "n": 2, "max_completion_tokens": 7, "min_tokens": 3, "temperature": 0.5, "top_p": 0.9, "top_k": 40,
        "min_p": 0.25, "repetition_penalty": 1.5, "presence_penalty": -1, "frequency_penalty": 2,
        "logit_bias": {"42": -100, "7": 1.5}, "stop": ["a", "b"], "stop_token_ids": [1, 2], "ignore_eos": true,
        "seed": 99, "logprobs": true, "top_logprobs": 5,
    }));
    let expected = Params {
        n: Some(2),
        max_tokens: Some(7),
        min_tokens: Some(3),
        temperature: Some(0.5),
        top_p: Some(0.9),
        top_k: Some(40),
        min_p: Some(0.25),
        repetition_penalty: Some(1.5),
        presence_penalty: Some(-1.0),
        frequency_penalty: Some(2.0),
        logit_bias: vec![(TokenId(7), 1.5), (TokenId(42), -100.0)],
        stop: vec!["a".to_owned(), "b".to_owned()],
        stop_token_ids: vec![TokenId(1), TokenId(2)],
        ignore_eos: true,
        seed: Some(99),
        logprobs: Some(5),
    };
    assert_eq!(all, expected);
}

#[test]
fn the_other_spellings_mean_the_same() {
    assert_eq!(params(json!({"max_tokens": 5})).max_tokens, Some(5));
    assert_eq!(params(json!({"max_tokens": 5, "max_completion_tokens": 5})).max_tokens, Some(5));
    assert_eq!(params(json!({"stop": "end"})).stop, ["end"]);
    assert_eq!(params(json!({"top_k": -1})).top_k, Some(0));
    assert_eq!(params(json!({"logprobs": true})).logprobs, Some(0));
    assert_eq!(params(json!({"logprobs": false, "top_logprobs": 0})).logprobs, None);
    assert_eq!(params(json!({"seed": -1})).seed, Some(u64::MAX));
    assert_eq!(params(json!({"seed": u64::MAX})).seed, Some(u64::MAX));
}

#[test]
fn what_changes_nothing_is_let_through() {
    let harmless = json!({
        "user": "me", "metadata": {"a": "b"}, "store": false, "service_tier": "auto", "parallel_tool_calls": true,
        "response_format": {"type": "text"}, "tool_choice": "none", "tools": [], "functions": [],
        "modalities": ["text"], "prediction": {"type": "content", "content": "x"}, "safety_identifier": "s",
        "prompt_cache_key": "k", "reasoning_effort": "none", "verbosity": "medium",
    });
    assert_eq!(params(harmless), Params::default());
}

#[test]
fn messages_arrive_as_text() {
    let given = json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": null, "refusal": null, "tool_calls": null, "annotations": []},
    ]);
    let named = ChatMessage { name: Some("ann".to_owned()), ..ChatMessage::new("user", "a\nb") };
    assert_eq!(messages(given), [ChatMessage::new("system", "Be brief."), named, ChatMessage::new("assistant", "")]);
}

#[test]
fn delivery_follows_stream() {
    let delivery = |extra| plan(&body(extra), Care::default()).map_err(|e| e.to_string()).unwrap().delivery;
    assert_eq!(delivery(json!({})), Delivery::Whole);
    assert_eq!(delivery(json!({"stream": true})), Delivery::Stream { include_usage: false });
    let options = json!({"stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false}});
    assert_eq!(delivery(options), Delivery::Stream { include_usage: true });
}
