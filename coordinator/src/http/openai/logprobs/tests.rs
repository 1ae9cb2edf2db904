use protocol::answer::TokenText;
use protocol::ids::TokenId;
use serde_json::{Value, json};

use super::{chat, completion};

fn token(bytes: &[u8], logprob: f32, top: &[(&[u8], f32)]) -> TokenText {
    let top = top.iter().zip(10..).map(|((bytes, p), id)| (TokenId(id), bytes.to_vec(), *p)).collect();
    TokenText { token: TokenId(1), bytes: bytes.to_vec(), logprob, top }
}

#[test]
fn chats_list_tokens_with_their_bytes() {
    let value = serde_json::to_value(chat(vec![token(b"a", -0.5, &[(b"a", -0.5), (b"\xe2", -2.0)])])).unwrap();
    assert_eq!(
        value,
        json!({
            "content": [{
                "token": "a", "logprob": -0.5, "bytes": [97],
                "top_logprobs": [
                    {"token": "a", "logprob": -0.5, "bytes": [97]},
                    {"token": "bytes:\\xe2", "logprob": -2.0, "bytes": [226]},
                ],
            }],
            "refusal": null,
        })
    );
}

#[test]
fn infinities_become_numbers() {
    let value = serde_json::to_value(chat(vec![token(b"a", f32::NEG_INFINITY, &[(b"b", f32::NAN)])])).unwrap();
    assert_eq!(value["content"][0]["logprob"], json!(-9999.0));
    assert_eq!(value["content"][0]["top_logprobs"][0]["logprob"], json!(-9999.0));
}

fn offsets(value: &Value) -> Vec<u64> {
    value["text_offset"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect()
}

#[test]
fn completions_count_characters_not_bytes() {
    // "né€!" with the euro sign in two tokens.
    let tokens = [&b"n"[..], "é".as_bytes(), b"\xe2\x82", b"\xac", b"!"].map(|bytes| token(bytes, -1.0, &[]));
    let mut offset = 0;
    let value = serde_json::to_value(completion(tokens.to_vec(), &mut offset)).unwrap();
    assert_eq!(offsets(&value), [0, 1, 2, 2, 3]);
    assert_eq!(offset, 4);
    assert_eq!(value["tokens"][2], "bytes:\\xe2\\x82");
    // The next chunk goes on where this one ended.
    let value = serde_json::to_value(completion(vec![token(b"x", -1.0, &[])], &mut offset)).unwrap();
    assert_eq!(offsets(&value), [4]);
}

#[test]
fn alternatives_of_the_same_text_keep_the_more_probable() {
    let value = serde_json::to_value(completion(vec![token(b"a", -1.0, &[(b"b", -3.0), (b"b", -2.0)])], &mut 0));
    assert_eq!(value.unwrap()["top_logprobs"][0], json!({"b": -2.0}));
}
