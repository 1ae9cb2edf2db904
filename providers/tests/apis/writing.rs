//! What is sent: parameters, roles, headers, and what is refused before.

use protocol::config::ProviderKind;
use protocol::ids::TokenId;
use protocol::request::{ChatMessage, Input, Params, Request};
use providers::mock::{Mock, Reply};
use providers::{FailureKind, Provider};
use serde_json::{Value, json};

use crate::support::*;

fn common() -> Params {
    let stop = vec!["END".to_owned()];
    Params { temperature: Some(0.7), top_p: Some(0.9), stop, ..Params::default() }
}

async fn sent(kind: ProviderKind, params: Params, change: impl FnOnce(&mut protocol::config::Provider)) -> Value {
    let mock = Mock::start().await.unwrap();
    let provider = with(&mock, kind, change);
    let failure = ask(&provider, call(Request { params, ..hello().request })).await.failure;
    assert_eq!(failure, None);
    mock.asked().remove(0).body
}

#[tokio::test]
async fn parameters_by_their_names_there() {
    let params =
        Params { seed: Some(u64::MAX), presence_penalty: Some(0.5), frequency_penalty: Some(-0.5), ..common() };
    let body =
        sent(ProviderKind::OpenAi, Params { logit_bias: vec![(TokenId(7), -1.5)], ..params.clone() }, |_| {}).await;
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]);
    let expected = json!({
        "model": THERE, "messages": messages, "stream": true, "stream_options": {"include_usage": true},
        "max_tokens": 100, "temperature": 0.7, "top_p": 0.9, "stop": ["END"], "seed": i64::MAX,
        "presence_penalty": 0.5, "frequency_penalty": -0.5, "logit_bias": {"7": -1.5},
    });
    assert_eq!(body, expected);

    let body = sent(ProviderKind::Anthropic, Params { top_k: Some(40), ..common() }, |_| {}).await;
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}]);
    let expected = json!({
        "model": THERE, "system": "Be brief.", "messages": messages, "stream": true, "max_tokens": 100,
        "temperature": 0.7, "top_p": 0.9, "top_k": 40, "stop_sequences": ["END"],
    });
    assert_eq!(body, expected);

    let body = sent(ProviderKind::Gemini, Params { top_k: Some(40), ..params }, |_| {}).await;
    let expected = json!({
        "contents": [{"role": "user", "parts": [{"text": "Hello?"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "maxOutputTokens": 100, "temperature": 0.7, "topP": 0.9, "topK": 40, "stopSequences": ["END"],
            "presencePenalty": 0.5, "frequencyPenalty": -0.5, "seed": 0x7fff_ffff,
        },
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn vllm_takes_more_and_goes_on_with_a_text() {
    let params = Params {
        top_k: Some(40),
        min_p: Some(0.1),
        repetition_penalty: Some(1.1),
        min_tokens: Some(2),
        stop_token_ids: vec![TokenId(3)],
        ignore_eos: true,
        stop: (0..6).map(|i| i.to_string()).collect(),
        ..Params::default()
    };
    let body = sent(ProviderKind::OpenAi, params, |config| config.vllm = true).await;
    for (key, value) in [
        ("top_k", json!(40)),
        ("min_p", json!(0.1)),
        ("repetition_penalty", json!(1.1)),
        ("min_tokens", json!(2)),
        ("stop_token_ids", json!([3])),
        ("ignore_eos", json!(true)),
    ] {
        assert_eq!(body[key], value, "{key}");
    }
    assert_eq!(body["stop"].as_array().map(Vec::len), Some(6));
    assert_eq!(body.get("continue_final_message"), None);

    let mock = Mock::start().await.unwrap();
    let provider = with(&mock, ProviderKind::OpenAi, |config| (config.vllm, config.prefill) = (true, true));
    ask(&provider, call(chat(&[("user", "Count."), ("assistant", "One, two,")]))).await;
    let body = &mock.asked()[0].body;
    assert_eq!((&body["continue_final_message"], &body["add_generation_prompt"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn anthropic_goes_on_without_the_blanks_at_the_end_and_does_not_repeat_them() {
    for (tokens, expected) in [(["\n", " three"], "three"), ([" three", "."], "three."), (["three", "."], "three.")] {
        let mock = Mock::start().await.unwrap();
        mock.push(Reply::text(&tokens));
        let provider = provider(&mock, ProviderKind::Anthropic);
        let cut = if tokens[0] == "\n" { "One, two,\n " } else { "One, two, " };
        let got = ask(&provider, call(chat(&[("user", "Count."), ("assistant", cut)]))).await;
        assert_eq!(mock.asked()[0].body["messages"][1]["content"], json!([{"type": "text", "text": "One, two,"}]));
        assert_eq!(got.text(), expected);
    }
}

#[tokio::test]
async fn what_would_change_the_answer_is_refused_by_name_or_left_out_where_that_is_said() {
    let with = |change: fn(&mut Params)| {
        let mut params = Params::default();
        change(&mut params);
        params
    };
    let cases: [(&str, Params, &[ProviderKind]); 13] = [
        ("top_k", with(|p| p.top_k = Some(5)), &[ProviderKind::OpenAi]),
        ("min_p", with(|p| p.min_p = Some(0.1)), &KINDS),
        ("repetition_penalty", with(|p| p.repetition_penalty = Some(1.2)), &KINDS),
        ("min_tokens", with(|p| p.min_tokens = Some(3)), &KINDS),
        ("stop_token_ids", with(|p| p.stop_token_ids = vec![TokenId(1)]), &KINDS),
        ("ignore_eos", with(|p| p.ignore_eos = true), &KINDS),
        ("presence_penalty", with(|p| p.presence_penalty = Some(1.0)), &[ProviderKind::Anthropic]),
        ("frequency_penalty", with(|p| p.frequency_penalty = Some(1.0)), &[ProviderKind::Anthropic]),
        ("seed", with(|p| p.seed = Some(1)), &[ProviderKind::Anthropic]),
        (
            "logit_bias",
            with(|p| p.logit_bias = vec![(TokenId(1), 1.0)]),
            &[ProviderKind::Anthropic, ProviderKind::Gemini],
        ),
        ("logprobs", with(|p| p.logprobs = Some(0)), &[ProviderKind::Anthropic, ProviderKind::Gemini]),
        ("temperature", with(|p| p.temperature = Some(1.5)), &[ProviderKind::Anthropic]),
        ("stop", with(|p| p.stop = vec!["x".into(); 6]), &[ProviderKind::OpenAi, ProviderKind::Gemini]),
    ];
    let mock = Mock::start().await.unwrap();
    for (field, params, lacking) in cases {
        for kind in KINDS {
            let request = Request { params: params.clone(), ..hello().request };
            let got = ask(&provider(&mock, kind), call(request.clone())).await;
            let failure = got.failure.map(|failure| (failure.kind, failure.field.unwrap()));
            let expected = lacking.contains(&kind).then(|| (FailureKind::Invalid, field.to_owned()));
            assert_eq!(failure, expected, "{field} {kind:?}");
            let dropping = crate::support::with(&mock, kind, |config| config.drop = vec![field.to_owned()]);
            assert_eq!(ask(&dropping, call(request)).await.failure, None, "{field} {kind:?}");
            let sent = mock.asked().pop().unwrap().body.to_string();
            assert!(!sent.contains(&format!("\"{field}")), "{field} {kind:?}: {sent}");
        }
    }
}

#[tokio::test]
async fn values_that_change_nothing_are_no_reason_to_refuse() {
    let params = Params {
        top_k: Some(0),
        min_p: Some(0.0),
        repetition_penalty: Some(1.0),
        presence_penalty: Some(0.0),
        frequency_penalty: Some(0.0),
        min_tokens: Some(0),
        n: Some(1),
        ..Params::default()
    };
    for kind in KINDS {
        sent(kind, params.clone(), |_| {}).await;
    }
}

#[tokio::test]
async fn names_and_roles() {
    let named = |role: &str| ChatMessage { name: Some("ann".into()), ..ChatMessage::new(role, "Hi") };
    let turns = vec![named("user"), named("assistant"), ChatMessage::new("developer", "Short."), named("user")];
    let request = Request { input: Input::Chat(turns), ..hello().request };
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        ask(&provider(&mock, kind), call(request.clone())).await;
        let body = mock.asked().remove(0).body;
        match kind {
            ProviderKind::OpenAi => {
                assert_eq!(body["messages"][0], json!({"role": "user", "content": "Hi", "name": "ann"}));
                assert_eq!(body["messages"][2]["role"], "developer");
            }
            ProviderKind::Anthropic => {
                assert_eq!(body["system"], "Short.");
                assert_eq!(body["messages"][0]["content"][0]["text"], "ann: Hi");
                assert_eq!(body["messages"][1]["content"][0]["text"], "Hi");
            }
            ProviderKind::Gemini => {
                assert_eq!(body["systemInstruction"]["parts"][0]["text"], "Short.");
                assert_eq!(body["contents"][2]["parts"][0]["text"], "ann: Hi");
            }
        }
        let failure = fail(&provider(&mock, kind), call(chat(&[("user", "a"), ("narrator", "b")]))).await;
        assert_eq!(failure.field.as_deref(), Some("messages[1].role"), "{kind:?}");
        if kind != ProviderKind::OpenAi {
            let failure = fail(&provider(&mock, kind), call(chat(&[("system", "a")]))).await;
            assert_eq!(failure.field.as_deref(), Some("messages"), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn each_api_has_its_headers_and_paths() {
    for (kind, path, header, value) in [
        (ProviderKind::OpenAi, "/v1/chat/completions".to_owned(), "authorization", format!("Bearer {KEY}")),
        (ProviderKind::Anthropic, "/v1/messages".to_owned(), "x-api-key", KEY.to_owned()),
        (
            ProviderKind::Gemini,
            format!("/v1beta/models/{THERE}:streamGenerateContent?alt=sse"),
            "x-goog-api-key",
            KEY.to_owned(),
        ),
    ] {
        let mock = Mock::start().await.unwrap();
        let provider = with(&mock, kind, |config| {
            config.headers = [("X-Title".to_owned(), "troupe".to_owned())].into();
        });
        let mut call = hello();
        call.idempotency = Some("once".to_owned());
        ask(&provider, call).await;
        let asked = mock.asked().remove(0);
        assert_eq!((asked.kind, &asked.path), (kind, &path));
        for (name, expected) in [(header, value.as_str()), ("x-title", "troupe"), ("idempotency-key", "once")] {
            assert_eq!(asked.headers.get(name).and_then(|value| value.to_str().ok()), Some(expected), "{kind:?}");
        }
        let version = asked.headers.get("anthropic-version");
        assert_eq!(version.is_some(), kind == ProviderKind::Anthropic);
        assert!(!format!("{provider:?}").contains("0123456789"), "the key is shown");
    }
}

#[tokio::test]
async fn a_model_that_it_has_not_is_named() {
    let mock = Mock::start().await.unwrap();
    let provider: Provider = provider(&mock, ProviderKind::OpenAi);
    let mut call = hello();
    call.request.model = "other".to_owned();
    let failure = fail(&provider, call).await;
    assert_eq!((failure.kind, failure.field.as_deref()), (FailureKind::Invalid, Some("model")));
}
