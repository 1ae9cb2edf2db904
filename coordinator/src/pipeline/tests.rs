use actors::mock;
use protocol::request::{Care, ChatMessage, Tool, ToolCall, ToolChoice, Tools};
use protocol::units::Blocks;

use super::*;

mod bent;

fn card() -> Card {
    Card {
        model: "mock".into(),
        architecture: "mock".into(),
        weights: [0; 32],
        text: mock::bundle().hash(),
        context: Tokens(100),
        vocabulary: 257,
        block: Tokens(32),
        blocks: Blocks(10),
        jobs: 10,
        dtype: "none".into(),
        device: "none".into(),
        block_bytes: 4096,
    }
}

fn origin() -> Origin {
    let caller = Caller { key: "admin".into(), salt: [3; 16], admin: true, settings: Arc::default() };
    Origin { request: RequestId(5), caller, random: 77, arrived: Instant::now() }
}

fn made(input: Input, params: Params) -> Result<Task, JobError> {
    let request = Request { model: "mock".into(), input, params, ..Request::default() };
    check(&request)?;
    prepare(request, origin(), &card(), Arc::new(Text::new(mock::bundle()).unwrap()), &Bend::none())
}

fn text(words: &str) -> Input {
    Input::Text(words.into())
}

fn chat(words: &str) -> Input {
    Input::Chat(vec![ChatMessage::new("user", words)])
}

#[test]
fn what_is_left_out_gets_openais_defaults() {
    let completion = made(text("abc"), Params::default()).unwrap();
    assert_eq!((completion.prompt.len(), completion.limits.max_tokens), (3, Tokens(16)));
    assert_eq!((completion.sampling.temperature, completion.sampling.seed, completion.choices), (1.0, 77, 1));
    assert_eq!((completion.salt, completion.limits.stop_ids.as_slice()), ([3; 16], mock::bundle().eos.as_slice()));
    // A chat may fill what its prompt leaves of the context.
    let chat = made(chat("abc"), Params::default()).unwrap();
    assert_eq!(chat.limits.max_tokens, Tokens(100 - chat.prompt.len() as u64));
}

#[test]
fn what_is_given_is_kept() {
    let params = Params {
        seed: Some(4),
        max_tokens: Some(9),
        min_tokens: Some(2),
        ignore_eos: true,
        n: Some(3),
        ..Params::default()
    };
    let task = made(text("abc"), params).unwrap();
    assert_eq!(
        (task.sampling.seed, task.limits.max_tokens, task.limits.min_tokens, task.choices),
        (4, Tokens(9), Tokens(2), 3)
    );
    assert!(task.limits.stop_ids.is_empty());
}

#[test]
fn what_does_not_fit_the_model_is_named_by_its_field() {
    let fails = |input: Input, params: Params| made(input, params).unwrap_err();
    let long = fails(text(&"x".repeat(100)), Params::default());
    assert_eq!((long.kind, long.field.as_deref()), (ErrorKind::ContextLength, Some("prompt")));
    assert!(long.message.contains("100 tokens"), "{long}");
    assert_eq!(fails(chat(&"x".repeat(100)), Params::default()).field.as_deref(), Some("messages"));
    let most = fails(text("abc"), Params { max_tokens: Some(98), ..Params::default() });
    assert_eq!((most.kind, most.field.as_deref()), (ErrorKind::ContextLength, Some("max_tokens")));
    assert!(most.message.contains("97 tokens"), "{most}");
    assert_eq!(fails(text(""), Params::default()).field.as_deref(), Some("prompt"));
    assert_eq!(fails(Input::Chat(Vec::new()), Params::default()).field.as_deref(), Some("messages"));
    assert_eq!(fails(Input::Tokens(vec![TokenId(257)]), Params::default()).field.as_deref(), Some("prompt"));
    let bias = Params { logit_bias: vec![(TokenId(300), 1.0)], ..Params::default() };
    assert_eq!(fails(text("a"), bias).field.as_deref(), Some("logit_bias"));
    let stop = Params { stop_token_ids: vec![TokenId(300)], ..Params::default() };
    assert_eq!(fails(text("a"), stop).field.as_deref(), Some("stop_token_ids"));
    assert_eq!(
        fails(text("a"), Params { temperature: Some(3.0), ..Params::default() }).field.as_deref(),
        Some("temperature")
    );
}

#[test]
fn an_unknown_model_is_told_which_there_are() {
    let error = unknown_model("gpt-9", &[card()]);
    assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::UnknownModel, Some("model")));
    assert!(error.message.contains("'gpt-9'") && error.message.contains("mock"), "{error}");
    assert!(unknown_model("m", &[]).message.contains("no node has joined"));
    assert_eq!(check(&Request::default()).unwrap_err().field.as_deref(), Some("model"));
}

#[test]
fn only_an_answer_that_is_read_as_one_and_looks_for_no_stop_text_may_be_gathered() {
    for (whole, stop, expected) in [(true, None, true), (true, Some("x"), false), (false, None, false)] {
        let params = Params { stop: stop.map(str::to_owned).into_iter().collect(), ..Params::default() };
        let care = Care { whole, ..Care::default() };
        let request = Request { model: "mock".into(), input: text("abc"), params, care, ..Request::default() };
        let words = Arc::new(Text::new(mock::bundle()).unwrap());
        let task = prepare(request, origin(), &card(), words, &Bend::none()).unwrap();
        assert_eq!(task.whole, expected, "whole {whole}, stop {stop:?}");
    }
}

#[test]
fn a_node_of_the_clusters_own_refuses_functions_and_what_came_of_them() {
    let tools = |choice| Tools { list: vec![Tool { name: "f".into(), ..Tool::default() }], choice, parallel: None };
    let call = ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into() };
    let request = |tools: Tools, turns: Vec<ChatMessage>| Request {
        model: "mock".into(),
        input: Input::Chat(turns),
        tools,
        ..Request::default()
    };
    let plain = || vec![ChatMessage::new("user", "hi")];
    let called = ChatMessage { tool_calls: vec![call], ..ChatMessage::new("assistant", "") };
    let result = ChatMessage { tool_call: Some("c".into()), ..ChatMessage::new("tool", "42") };
    for (wanted, request) in [
        (false, request(Tools::default(), plain())),
        (false, request(tools(Some(ToolChoice::None)), plain())),
        (true, request(tools(None), plain())),
        (true, request(tools(Some(ToolChoice::Auto)), plain())),
        (true, request(Tools::default(), vec![called])),
        (true, request(Tools::default(), vec![result])),
    ] {
        assert_eq!(needs_tools(&request), wanted, "{request:?}");
        let made = prepare(request, origin(), &card(), Arc::new(Text::new(mock::bundle()).unwrap()), &Bend::none());
        if wanted {
            let error = made.map(|_| ()).unwrap_err();
            assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::Invalid, Some("tools")));
            assert!(error.message.contains("'mock'") && error.message.contains("provider"), "{error}");
        } else {
            made.unwrap();
        }
    }
}
