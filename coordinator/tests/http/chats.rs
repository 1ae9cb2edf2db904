//! `/v1/chat/completions`, whole and streamed.

use protocol::request::{ChatMessage, Input};
use serde_json::{Value, json};

use crate::fake::{Fake, MODEL, TEXT};
use crate::support::{CHAT, NOW, body, door, post_json};

const ID: &str = "chatcmpl-00000000000000000000000000000abc";

#[tokio::test]
async fn a_whole_answer_has_text_usage_and_headers() {
    let (fake, mut seen) = Fake::well();
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({"temperature": 0}))).await;
    assert_eq!(got.status, 200, "{got:?}");
    let json = got.json();
    assert_eq!(json["id"], ID);
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["created"], NOW);
    assert_eq!(json["model"], MODEL);
    assert_eq!(
        json["choices"],
        json!([{
            "index": 0, "logprobs": null, "finish_reason": "stop",
            "message": {"role": "assistant", "content": TEXT, "refusal": null},
        }])
    );
    assert_eq!(
        json["usage"],
        json!({
            "prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 8}, "cost": 0.0015,
        })
    );
    assert_eq!(got.header("x-request-id"), Some("00000000000000000000000000000abc"));
    assert_eq!(got.header("x-troupe-node"), Some("node-a"));
    assert_eq!(got.header("x-troupe-cached-tokens"), Some("8"));
    let request = seen.asked.try_recv().unwrap();
    assert_eq!(request.input, Input::Chat(vec![ChatMessage::new("user", "Say hello.")]));
    assert_eq!(request.params.temperature, Some(0.0));
}

#[tokio::test]
async fn a_stream_is_role_text_end_and_done() {
    let (fake, _seen) = Fake::well();
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({"stream": true}))).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.header("cache-control"), Some("no-cache"));
    assert_eq!(got.header("x-accel-buffering"), Some("no"));
    assert_eq!(got.header("x-request-id"), Some("00000000000000000000000000000abc"));
    assert_eq!(got.header("x-troupe-node"), Some("node-a"));
    assert_eq!(got.header("x-troupe-cached-tokens"), Some("8"));
    let chunks = got.chunks();
    for chunk in &chunks {
        assert_eq!(chunk["id"], ID);
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["created"], NOW);
        assert!(chunk.get("usage").is_none(), "{chunk}");
    }
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    let expected = [
        json!({"role": "assistant", "content": ""}),
        json!({"content": "Hello"}),
        json!({"content": ", wörld"}),
        json!({"content": " €"}),
        json!({}),
    ];
    assert_eq!(deltas, expected.iter().collect::<Vec<_>>());
    let ends: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["finish_reason"]).collect();
    assert_eq!(ends, [&Value::Null, &Value::Null, &Value::Null, &Value::Null, &json!("stop")]);
}

#[tokio::test]
async fn usage_comes_last_with_no_choices_when_asked_for() {
    let (fake, _seen) = Fake::well();
    let extra = json!({"stream": true, "stream_options": {"include_usage": true}});
    let chunks = post_json(&door(&fake), CHAT, &body(CHAT, extra)).await.chunks();
    let (last, rest) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["total_tokens"], 17);
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 8);
    for chunk in rest {
        assert_eq!(chunk.get("usage"), Some(&Value::Null), "{chunk}");
    }
}

#[tokio::test]
async fn several_choices_come_whole_and_mixed_in_a_stream() {
    let (fake, _seen) = Fake::well();
    let door = door(&fake);
    let json = post_json(&door, CHAT, &body(CHAT, json!({"n": 2}))).await.json();
    assert_eq!(json["choices"][0]["message"]["content"], TEXT);
    assert_eq!(json["choices"][1]["message"]["content"], TEXT);
    assert_eq!(json["choices"][1]["index"], 1);
    assert_eq!(json["choices"][1]["finish_reason"], "length");
    assert_eq!(json["usage"]["completion_tokens"], 10);

    let chunks = post_json(&door, CHAT, &body(CHAT, json!({"n": 2, "stream": true}))).await.chunks();
    let index = |chunk: &Value| chunk["choices"][0]["index"].as_u64().unwrap();
    let order: Vec<u64> = chunks.iter().map(index).collect();
    assert_eq!(order, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
    for choice in 0..2 {
        let texts = chunks.iter().filter(|chunk| index(chunk) == choice);
        let text: String = texts.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, TEXT);
    }
}

#[tokio::test]
async fn logprobs_come_with_their_text() {
    let (fake, mut seen) = Fake::well();
    let door = door(&fake);
    let extra = json!({"logprobs": true, "top_logprobs": 2});
    let json = post_json(&door, CHAT, &body(CHAT, extra)).await.json();
    assert_eq!(seen.asked.try_recv().unwrap().params.logprobs, Some(2));
    let content = json["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
    assert_eq!(content.len(), 5);
    assert_eq!(content[0]["token"], "Hello");
    assert_eq!(content[0]["logprob"], -0.25);
    assert_eq!(content[0]["top_logprobs"].as_array().unwrap().len(), 2);
    let bytes: Vec<u8> = content
        .iter()
        .flat_map(|token| token["bytes"].as_array().unwrap())
        .map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap())
        .collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), TEXT);

    let chunks = post_json(&door, CHAT, &body(CHAT, json!({"logprobs": true, "stream": true}))).await.chunks();
    let streamed: Vec<&Value> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array())
        .flatten()
        .map(|token| &token["token"])
        .collect();
    assert_eq!(streamed, content.iter().map(|token| &token["token"]).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_being_asked_for_there_are_no_logprobs() {
    let (fake, mut seen) = Fake::well();
    let json = post_json(&door(&fake), CHAT, &body(CHAT, json!({}))).await.json();
    assert_eq!(json["choices"][0]["logprobs"], Value::Null);
    assert_eq!(seen.asked.try_recv().unwrap().params.logprobs, None);
}

#[tokio::test]
async fn the_cluster_is_told_whether_the_answer_is_read_as_one() {
    let (fake, mut seen) = Fake::well();
    for stream in [false, true] {
        post_json(&door(&fake), CHAT, &body(CHAT, json!({"stream": stream}))).await;
        assert_eq!(seen.asked.try_recv().unwrap().care.whole, !stream);
    }
}
