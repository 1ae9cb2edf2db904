//! Responses and chunks against OpenAI's published schemas, where they are at hand.

use jsonschema::Validator;
use protocol::answer::{ErrorKind, JobError};
use providers::mock::Specification;
use serde_json::{Value, json};

use crate::fake::{Fake, Script};
use crate::support::{CHAT, COMPLETIONS, body, door, get, post_json};
use crate::tools::calling;

fn validator(specification: &Specification, name: &str) -> Validator {
    jsonschema::validator_for(&specification.schema(name)).unwrap()
}

fn check(validator: &Validator, value: &Value) {
    let faults: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(faults.is_empty(), "{value:#}\n{faults:#?}");
}

/// OpenAI has no schema for a completion's chunks but that of the whole, which knows nothing of the nulls
/// that its own servers send in chunks: they are filled in.
fn complete(chunk: &mut Value) {
    let fields = chunk.as_object_mut().unwrap();
    if fields.get("usage") == Some(&Value::Null) {
        fields.remove("usage");
    }
    for choice in chunk["choices"].as_array_mut().unwrap() {
        if choice["finish_reason"].is_null() {
            choice["finish_reason"] = json!("stop");
        }
    }
}

#[tokio::test]
async fn responses_and_chunks_are_openais() {
    let Some(specification) = Specification::openai() else { return };
    let (fake, _seen) = Fake::well();
    let door = door(&fake);
    let chat = validator(&specification, "CreateChatCompletionResponse");
    let chunk = validator(&specification, "CreateChatCompletionStreamResponse");
    let completion = validator(&specification, "CreateCompletionResponse");
    let usage = json!({"include_usage": true});
    for (path, whole, part, logprobs) in [
        (CHAT, &chat, &chunk, json!({"logprobs": true, "top_logprobs": 3})),
        (COMPLETIONS, &completion, &completion, json!({"logprobs": 3})),
    ] {
        for mut extra in [json!({}), json!({"n": 3}), logprobs] {
            check(whole, &post_json(&door, path, &body(path, extra.clone())).await.json());
            extra["stream"] = Value::Bool(true);
            let mut chunks = post_json(&door, path, &body(path, extra.clone())).await.chunks();
            extra["stream_options"] = usage.clone();
            chunks.extend(post_json(&door, path, &body(path, extra)).await.chunks());
            if path == COMPLETIONS {
                chunks.iter_mut().for_each(complete);
            }
            chunks.iter().for_each(|chunk| check(part, chunk));
        }
    }
}

#[tokio::test]
async fn calls_are_openais() {
    let Some(specification) = Specification::openai() else { return };
    let chat = validator(&specification, "CreateChatCompletionResponse");
    let chunk = validator(&specification, "CreateChatCompletionStreamResponse");
    for text in [None, Some("Let me see.")] {
        let (fake, _seen) = calling(text);
        let door = door(&fake);
        check(&chat, &post_json(&door, CHAT, &body(CHAT, json!({}))).await.json());
        let extra = json!({"stream": true, "stream_options": {"include_usage": true}});
        let chunks = post_json(&door, CHAT, &body(CHAT, extra)).await.chunks();
        chunks.iter().for_each(|part| check(&chunk, part));
    }
}

#[tokio::test]
async fn models_and_errors_are_openais() {
    let Some(specification) = Specification::openai() else { return };
    let (fake, _seen) = Fake::well();
    let well = door(&fake);
    check(&validator(&specification, "ListModelsResponse"), &get(&well, "/v1/models").await.json());
    check(&validator(&specification, "Model"), &get(&well, "/v1/models/lab/small").await.json());
    let error = validator(&specification, "ErrorResponse");
    check(&error, &get(&well, "/v1/models/none").await.json());
    check(&error, &get(&well, "/nowhere").await.json());
    check(&error, &post_json(&well, CHAT, &json!({})).await.json());
    let (fake, _seen) = Fake::new(|_| Script::Refuse(JobError::new(ErrorKind::Internal, "m")));
    check(&error, &post_json(&door(&fake), CHAT, &body(CHAT, json!({}))).await.json());
}

/// Without this, a schema that takes everything would go unnoticed.
#[tokio::test]
async fn the_schemas_do_refuse_something() {
    let Some(specification) = Specification::openai() else { return };
    let chat = validator(&specification, "CreateChatCompletionResponse");
    assert!(!chat.is_valid(&json!({"id": "x"})));
    let chunk = validator(&specification, "CreateChatCompletionStreamResponse");
    assert!(!chunk.is_valid(&json!({"id": "x", "object": "chat.completion.chunk", "created": "now", "model": "m"})));
}
