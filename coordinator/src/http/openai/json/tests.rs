use serde::Deserialize;
use serde_json::{Value, json};

use super::{parse, read};
use crate::http::openai::error::ApiError;

fn shown(error: &ApiError) -> Value {
    serde_json::to_value(error.body()).unwrap()["error"].clone()
}

fn refused(body: &[u8]) -> Value {
    shown(&parse(body).unwrap_err())
}

fn message(error: &Value) -> &str {
    error["message"].as_str().unwrap()
}

#[test]
fn broken_json_is_told_by_line_column_and_field() {
    let error = refused(b"{\n  \"messages\": [{\"content\": tru}]\n}");
    assert!(message(&error).contains("line 2 column"), "{error}");
    assert_eq!(error["param"], "messages[0].content");
    assert_eq!(error["code"], "invalid_json");
}

#[test]
fn bytes_that_are_no_text_are_told_by_offset_and_field() {
    let error = refused(b"{\"model\": \"m\", \"prompt\": \"ab\xffcd\"}");
    assert!(message(&error).contains("byte 0xff at offset 28"), "{error}");
    assert_eq!(error["param"], "prompt");
    assert_eq!(error["code"], "invalid_utf8");
}

#[test]
fn bytes_that_are_no_text_outside_of_strings_are_told_too() {
    let error = refused(b"\xfe\xff\x00{");
    assert!(message(&error).contains("byte 0xfe at offset 0"), "{error}");
}

#[test]
fn only_one_object_is_taken() {
    for body in ["", " \n", "[]", "null", "7", "\"x\"", "{} {}", "{}x"] {
        let error = refused(body.as_bytes());
        assert!(!message(&error).is_empty());
    }
    assert!(message(&refused(b"[1]")).contains("a list"));
    assert_eq!(parse(b" {\"a\": 1} ").unwrap().get("a"), Some(&json!(1)));
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let body = "{\"a\":".to_owned() + &"[".repeat(100_000);
    assert!(message(&refused(body.as_bytes())).contains("recursion"));
}

#[derive(Debug, Deserialize)]
struct Sample {
    number: Option<f32>,
    count: Option<u32>,
    list: Option<Vec<bool>>,
}

fn wrong(value: Value) -> Value {
    let error = read::<Sample>(value.as_object().unwrap()).map(|s| (s.number, s.count, s.list)).unwrap_err();
    shown(&error)
}

#[test]
fn wrong_types_are_told_by_path_in_words_of_json() {
    let error = wrong(json!({"number": "hot"}));
    assert_eq!(message(&error), "number: invalid type: string \"hot\", expected a number");
    assert_eq!(error["param"], "number");
    assert_eq!(error["code"], "invalid_type");
    let error = wrong(json!({"count": -1}));
    assert!(message(&error).ends_with("expected a whole number from 0 to 4294967295"), "{error}");
    let error = wrong(json!({"list": [true, 1]}));
    assert_eq!(error["param"], "list[1]");
    assert!(message(&error).ends_with("expected true or false"), "{error}");
    let error = wrong(json!({"list": {}}));
    assert!(message(&error).ends_with("expected a list"), "{error}");
}

#[test]
fn what_the_client_sent_is_quoted_within_bounds() {
    let error = wrong(json!({"number": "x".repeat(1_000_000)}));
    assert!(message(&error).len() < 2_000);
}
