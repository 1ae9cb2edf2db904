//! Providers of a mock, and what came of a call.

use std::time::Duration;

use protocol::answer::{CallDelta, FinishReason};
use protocol::config;
use protocol::config::ProviderKind;
use protocol::request::{ChatMessage, Input, Request, ToolCall};
use protocol::units::{Tokens, UnixMillis};
use providers::mock::Mock;
use providers::{Call, Failure, Piece, Provider, ProviderUsage, Secret, Seen, Stream};

pub(crate) const KINDS: [ProviderKind; 3] = ProviderKind::ALL;
pub(crate) const MODEL: &str = "large";
pub(crate) const THERE: &str = "vendor-large-1";
pub(crate) const KEY: &str = "sk-0123456789-secret";
/// Sat, 28 Nov 2026 02:30:00 GMT.
pub(crate) const NOW: UnixMillis = UnixMillis(1_795_833_000_000);

pub(crate) fn provider(mock: &Mock, kind: ProviderKind) -> Provider {
    with(mock, kind, |_| {})
}

pub(crate) fn with(mock: &Mock, kind: ProviderKind, change: impl FnOnce(&mut config::Provider)) -> Provider {
    let mut config = mock.config(kind, MODEL, THERE);
    change(&mut config);
    Provider::new("acme", &config, Some(Secret::new(KEY, "test").unwrap())).unwrap()
}

pub(crate) fn chat(turns: &[(&str, &str)]) -> Request {
    let turns = turns.iter().map(|(role, content)| ChatMessage::new(*role, *content)).collect();
    Request { model: MODEL.to_owned(), input: Input::Chat(turns), ..Request::default() }
}

pub(crate) fn call(request: Request) -> Call {
    Call { request, max_tokens: Tokens(100), deadline: Duration::from_secs(60), idempotency: None }
}

pub(crate) fn hello() -> Call {
    call(chat(&[("system", "Be brief."), ("user", "Hello?")]))
}

/// What came of one choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Choice {
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) reason: Option<FinishReason>,
}

/// What came of a call.
#[derive(Debug, Default)]
pub(crate) struct Got {
    pub(crate) choices: Vec<Choice>,
    pub(crate) usage: Option<ProviderUsage>,
    pub(crate) failure: Option<Failure>,
    pub(crate) seen: Seen,
    pub(crate) deltas: usize,
}

impl Got {
    pub(crate) fn text(&self) -> &str {
        &self.choices[0].text
    }
}

/// Reads it to its end.
pub(crate) async fn drain(mut stream: Stream) -> Got {
    let mut got = Got { choices: vec![Choice::default(); 16], ..Got::default() };
    let mut most = 1;
    while let Some(piece) = stream.next().await {
        assert!(got.failure.is_none() && got.usage.is_none(), "nothing comes after the last");
        match piece {
            Err(failure) => got.failure = Some(failure),
            Ok(Piece::Usage(usage)) => got.usage = Some(usage),
            Ok(Piece::Finished { choice, reason }) => {
                let choice = &mut got.choices[choice as usize];
                assert_eq!(choice.reason.replace(reason), None, "a choice ends once");
            }
            Ok(Piece::Delta(delta)) => {
                got.deltas += 1;
                most = most.max(delta.choice as usize + 1);
                let choice = &mut got.choices[delta.choice as usize];
                assert_eq!(choice.reason, None, "nothing comes after the end of a choice");
                choice.text.push_str(&delta.text);
                for CallDelta { index, id, name, arguments } in delta.calls {
                    if index as usize == choice.calls.len() {
                        let (id, name) = (id.unwrap(), name.unwrap());
                        choice.calls.push(ToolCall { id, name, arguments });
                    } else {
                        assert_eq!((&id, &name), (&None, &None), "only the first piece has them");
                        choice.calls[index as usize].arguments.push_str(&arguments);
                    }
                }
            }
        }
    }
    got.seen = stream.seen();
    got.choices.truncate(most);
    got
}

/// Makes a call and reads its answer to the end.
pub(crate) async fn ask(provider: &Provider, call: Call) -> Got {
    match provider.start(call, NOW).await {
        Ok(stream) => drain(stream).await,
        Err(failure) => Got { failure: Some(failure), ..Got::default() },
    }
}

/// The failure of a call.
pub(crate) async fn fail(provider: &Provider, call: Call) -> Failure {
    let got = ask(provider, call).await;
    got.failure.unwrap_or_else(|| panic!("it went well: {:?}", got.choices))
}
