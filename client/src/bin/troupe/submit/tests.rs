use protocol::answer::{Delta, FinishReason, Usage};
use protocol::units::{Nanos, Tokens};

use super::*;

#[test]
fn pieces_are_one_object_per_line() {
    let delta = Answer::Delta(Delta { choice: 0, text: "a\nb".into(), logprobs: Vec::new(), calls: Vec::new() });
    assert_eq!(line(&delta).to_string(), r#"{"choice":0,"text":"a\nb","type":"delta"}"#);
    let finished = Answer::Finished { choice: 1, reason: FinishReason::Length };
    assert_eq!(line(&finished), json!({ "type": "finished", "choice": 1, "reason": "length" }));
    let usage = Usage { prompt: Tokens::of(3), cached: Tokens::of(2), completion: Tokens::of(1), cost: Nanos(1) };
    let done = line(&Answer::Done { usage });
    let expected = json!({
        "type": "done", "prompt_tokens": 3, "cached_tokens": 2, "completion_tokens": 1, "cost": "0.000000001",
    });
    assert_eq!(done, expected);
}
