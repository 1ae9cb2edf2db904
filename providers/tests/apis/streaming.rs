//! Answers that go well.

use std::time::Duration;

use policy::upstream::fallback::Streamed;
use protocol::answer::FinishReason;
use protocol::config::ProviderKind;
use protocol::request::{ChatMessage, Input, Tool, ToolChoice, Tools};
use protocol::units::Tokens;
use providers::mock::{Beat, Mock, Reply, Say};
use providers::{Call, ProviderUsage};
use serde_json::json;

use crate::support::*;

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
