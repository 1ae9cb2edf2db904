//! Answers that go well.

use policy::upstream::fallback::Streamed;
use protocol::answer::FinishReason;
use protocol::config::ProviderKind;
use protocol::request::Input;
use protocol::units::Tokens;
use providers::mock::{Beat, Mock, Reply, Say};
use providers::{FailureKind, ProviderUsage};

use crate::support::*;

fn text(words: &str) -> Beat {
    Beat::Text(words.to_owned())
}

#[tokio::test]
async fn text_streams_and_is_counted_as_it_was_written() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        mock.push(Reply::text(&["Hel", "lo ", "wörld"]));
        let got = ask(&provider(&mock, kind), hello()).await;
        assert_eq!(got.failure, None, "{kind:?}");
        assert_eq!((got.text(), got.deltas), ("Hello wörld", 3), "{kind:?}");
        assert_eq!(got.choices[0].reason, Some(FinishReason::Stop), "{kind:?}");
        let totals = mock.totals();
        let usage = got.usage.unwrap();
        assert_eq!((usage.prompt, usage.completion), (totals.prompt, totals.completion), "{kind:?}");
        assert_eq!(usage.completion, Tokens(3));
        assert_eq!((got.seen.bytes, got.seen.pieces, got.seen.streamed), (12, 3, Streamed::Text), "{kind:?}");
    }
}

#[tokio::test]
async fn the_first_piece_comes_before_the_last_is_written() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        mock.push(Reply::words(3).then(1, Beat::Silence));
        let mut stream = provider(&mock, kind).start(hello(), NOW).await.unwrap();
        let first = stream.next().await.unwrap().unwrap();
        assert!(matches!(&first, providers::Piece::Delta(delta) if delta.text == "word0 "), "{kind:?}: {first:?}");
    }
}

#[tokio::test]
async fn the_longest_answer_is_what_was_reserved() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        mock.push(Reply::words(30));
        let mut call = hello();
        call.request.params.max_tokens = Some(1000);
        call.max_tokens = Tokens(7);
        let got = ask(&provider(&mock, kind), call).await;
        assert_eq!(got.choices[0].reason, Some(FinishReason::Length), "{kind:?}");
        assert_eq!(got.usage.unwrap().completion, Tokens(7), "{kind:?}");
    }
}

#[tokio::test]
async fn reasoning_is_counted_and_not_handed_on() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        let think = |words: &str| Beat::Think(words.to_owned());
        let beats = vec![think("hmm "), think("well "), text("Yes."), Beat::Finish(FinishReason::Stop)];
        mock.push(Reply::beats(beats).say(Say::These(50, 20, 3, 2)));
        let got = ask(&provider(&mock, kind), hello()).await;
        assert_eq!((got.text(), got.seen.hidden, got.seen.bytes), ("Yes.", 9, 4), "{kind:?}");
        let usage = got.usage.unwrap();
        // Anthropic does not tell reasoning apart.
        let reasoning = if kind == ProviderKind::Anthropic { Tokens(0) } else { Tokens(2) };
        let (prompt, cached, completion) = (Tokens(50), Tokens(20), Tokens(3));
        assert_eq!(usage, ProviderUsage { prompt, cached, completion, reasoning }, "{kind:?}");
    }
}

#[tokio::test]
async fn several_choices_come_together_where_the_api_has_them() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        mock.push(Reply::text(&["a", "b"]));
        let mut call = hello();
        call.request.params.n = Some(3);
        let got = ask(&provider(&mock, kind), call).await;
        if kind == ProviderKind::Anthropic {
            let failure = got.failure.unwrap();
            assert_eq!((failure.kind, failure.field.as_deref()), (FailureKind::Invalid, Some("n")));
            assert!(mock.asked().is_empty() && !failure.asked);
            continue;
        }
        assert_eq!(got.choices.len(), 3, "{kind:?}");
        assert!(got.choices.iter().all(|choice| choice.text == "ab" && choice.reason == Some(FinishReason::Stop)));
        assert_eq!(got.usage.unwrap().completion, mock.totals().completion, "{kind:?}");
        assert_eq!(got.seen.streamed, Streamed::More, "{kind:?}");
    }
}

#[tokio::test]
async fn pings_and_comments_are_nothing() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        let beats = vec![Beat::Ping, text("a"), Beat::Ping, text("b"), Beat::Ping, Beat::Finish(FinishReason::Stop)];
        mock.push(Reply::beats(beats));
        let got = ask(&provider(&mock, kind), hello()).await;
        assert_eq!((got.text(), got.deltas, got.failure.as_ref()), ("ab", 2, None), "{kind:?}");
    }
}

#[tokio::test]
async fn plain_text_goes_to_completions_where_there_are_some() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        let mut call = hello();
        call.request.input = Input::Text("Once upon".to_owned());
        let got = ask(&provider(&mock, kind), call).await;
        if kind == ProviderKind::OpenAi {
            assert_eq!((got.text(), got.failure.as_ref()), ("Hello there", None));
            assert_eq!(mock.asked()[0].path, "/v1/completions");
            assert_eq!(mock.asked()[0].body["prompt"], "Once upon");
            assert_eq!(got.usage.unwrap().completion, Tokens(2));
        } else {
            let failure = got.failure.unwrap();
            assert_eq!((failure.kind, failure.field.as_deref()), (FailureKind::Invalid, Some("prompt")), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_read_all_the_same() {
    let mock = Mock::start().await.unwrap();
    let whole = r#"{"choices": [{"index": 0, "message": {"role": "assistant", "content": "All at once."},
        "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}"#;
    mock.push(Reply::status(200, whole));
    let got = ask(&provider(&mock, ProviderKind::OpenAi), hello()).await;
    assert_eq!((got.text(), got.usage.unwrap().completion), ("All at once.", Tokens(4)));
}

#[tokio::test]
async fn an_end_without_its_mark_is_an_end() {
    let mock = Mock::start().await.unwrap();
    let raw = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"eos\"}]}\n\n";
    mock.push(Reply::beats(vec![Beat::Raw(raw.to_owned())]));
    let got = ask(&provider(&mock, ProviderKind::OpenAi), hello()).await;
    assert_eq!((got.text(), got.choices[0].reason, got.failure.as_ref()), ("x", Some(FinishReason::Stop), None));
}

#[tokio::test]
async fn logprobs_of_openai_are_handed_on_by_their_bytes() {
    let mock = Mock::start().await.unwrap();
    let raw = r#"data: {"choices":[{"index":0,"delta":{"content":"Hé"},"logprobs":{"content":[{"token":"H","logprob":-0.5,
"bytes":[72],"top_logprobs":[{"token":"h","logprob":-1.5,"bytes":[104]}]},{"token":"é","logprob":-9999.0}]}}]}"#;
    let raw = format!("{}\n\n", raw.replace('\n', ""));
    mock.push(Reply::beats(vec![Beat::Raw(raw), Beat::Finish(FinishReason::Stop)]));
    let mut call = hello();
    call.request.params.logprobs = Some(1);
    let mut stream = provider(&mock, ProviderKind::OpenAi).start(call, NOW).await.unwrap();
    let Some(Ok(providers::Piece::Delta(delta))) = stream.next().await else { panic!("no delta") };
    let [first, second] = delta.logprobs.as_slice() else { panic!("{delta:?}") };
    assert_eq!((first.bytes.as_slice(), first.logprob, first.top[0].1.as_slice()), (&b"H"[..], -0.5, &b"h"[..]));
    assert_eq!((second.bytes.as_slice(), second.top.len()), ("é".as_bytes(), 0));
    assert_eq!(mock.asked()[0].body["top_logprobs"], 1);
}

/// What a client has paid for ends when it leaves: litellm #17364, vllm #54947.
#[tokio::test]
async fn regression_to_drop_an_answer_is_to_cancel_it_at_the_provider() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        let provider = provider(&mock, kind);
        mock.push(Reply::words(3).then(2, Beat::Silence));
        let mut stream = provider.start(hello(), NOW).await.unwrap();
        stream.next().await.unwrap().unwrap();
        drop(stream);
        mock.until(|state| state.totals.cancelled == 1 && state.totals.running == 0).await;
        assert!(mock.totals().completion <= Tokens(2), "{kind:?}");
        // Before the first token too.
        mock.push(Reply::beats(vec![Beat::Silence]));
        let mut starting = Box::pin(provider.start(hello(), NOW));
        tokio::select! {
            _ = &mut starting => panic!("nothing came"),
            () = mock.until(|state| state.totals.running == 1) => {}
        }
        drop(starting);
        mock.until(|state| state.totals.cancelled == 2 && state.totals.running == 0).await;
        assert_eq!(provider.room(), 64, "{kind:?}");
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let mock = Mock::start().await.unwrap();
    let provider = provider(&mock, ProviderKind::OpenAi);
    for _ in 0..3 {
        assert_eq!(ask(&provider, hello()).await.text(), "Hello there");
    }
    let ports: std::collections::BTreeSet<_> = mock.asked().iter().map(|asked| asked.from).collect();
    assert_eq!(ports.len(), 1, "{ports:?}");
}
