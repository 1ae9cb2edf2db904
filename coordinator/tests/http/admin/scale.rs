//! How many nodes are needed, and traces.

use std::time::Duration;

use protocol::answer::{ErrorKind, JobError};
use protocol::manage::{Manage, Managed, ScaleAdvice, ScaleRow};
use protocol::units::{Nanos, Percent, Tokens};

use super::keeping;
use crate::support::{door, get, operate};

fn advised(wish: Manage) -> Result<Managed, JobError> {
    match wish {
        Manage::Scale(target) => {
            let row = ScaleRow { nodes: 3, meets: true, ttft: Some(Duration::from_millis(400)), ..ScaleRow::default() };
            Ok(Managed::Scale(Box::new(ScaleAdvice {
                model: "m".into(),
                target,
                nodes: 2,
                rows: vec![row],
                advised: Some(3),
                hour: Some(Nanos(1_500_000_000)),
                currency: "USD".into(),
                ..ScaleAdvice::default()
            })))
        }
        Manage::ScaleTrace { model } => Ok(Managed::ScaleTrace {
            model: model.unwrap_or_default(),
            block: Tokens(128),
            lines: "{\"timestamp\": 0}\n".into(),
        }),
        other => panic!("nobody was to ask for this: {other:?}"),
    }
}

#[tokio::test]
async fn the_target_is_read_from_the_query_and_the_advice_is_json() {
    let (fake, _seen) = keeping(|wish| {
        if let Manage::Scale(query) = &wish {
            assert_eq!((query.model.as_deref(), query.ttft), (Some("m"), Some(Duration::from_millis(500))));
            assert_eq!((query.percentile.to_string().as_str(), query.headroom, query.most), ("p95", Percent(20), 8));
        }
        advised(wish)
    });
    let path =
        "/v1/admin/scale?model=m&ttft=500ms&latency=9s&inter_token=50ms&percentile=0.95&headroom=20%25&max_nodes=8";
    let got = operate(&door(&fake), "GET", path, None).await.json();
    assert_eq!(
        (got["object"].as_str(), got["advised"].as_u64(), got["change"].as_i64()),
        (Some("scale"), Some(3), Some(1))
    );
    assert_eq!(got["replayed"][0]["hour"], "4.50");
    assert!(got["advice"].as_str().unwrap().starts_with("add 1 node (1.50 USD an hour)"), "{got}");
}

#[tokio::test]
async fn a_trace_is_downloaded_line_by_line() {
    let (fake, _seen) = keeping(advised);
    let got = operate(&door(&fake), "GET", "/v1/admin/scale/trace?model=m", None).await;
    assert_eq!(
        (got.header("content-type"), got.header("x-troupe-trace-block")),
        (Some("application/jsonl; charset=utf-8"), Some("128"))
    );
    assert_eq!(got.text, "{\"timestamp\": 0}\n");
}

#[tokio::test]
async fn what_is_wrong_names_its_field_and_a_remedy() {
    let (fake, _seen) =
        keeping(|wish| match wish {
            Manage::Scale(query) if query.model.as_deref() == Some("nobody") => {
                Err(JobError::new(ErrorKind::UnknownModel, "the model 'nobody' is not in the cluster").field("model"))
            }
            Manage::Scale(_) => Err(JobError::new(ErrorKind::Busy, "another advice is being worked out")
                .retry_after(Duration::from_secs(5))),
            other => panic!("nobody was to ask for this: {other:?}"),
        });
    let door = door(&fake);
    for (query, param, words) in [
        ("", "ttft", "give one, as ttft=500ms"),
        ("ttft=0s", "ttft", "is 0"),
        ("ttft=5", "ttft", "250ms"),
        ("ttft=1s&percentile=1.5", "percentile", "'1.5' is no percentile"),
        ("ttft=1s&percentile=100", "percentile", "such as 0.99"),
        ("ttft=1s&latency=500ms", "latency", "below ttft"),
        ("ttft=1s&headroom=20", "headroom", "10%"),
        ("ttft=1s&max_nodes=0", "max_nodes", "give 1 to 512"),
        ("ttft=1s&max_nodes=many", "max_nodes", "whole number"),
        ("ttft=1s&ttft=2s", "ttft", "given twice"),
        ("tftt=1s", "tftt", "did you mean 'ttft'?"),
    ] {
        let error = operate(&door, "GET", &format!("/v1/admin/scale?{query}"), None).await.error(400);
        assert_eq!(error["param"], param, "{query}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{query}: {error}");
    }
    operate(&door, "GET", "/v1/admin/scale?ttft=1s&model=nobody", None).await.error(404);
    let busy = operate(&door, "GET", "/v1/admin/scale?ttft=1s", None).await;
    assert_eq!((busy.status.as_u16(), busy.header("retry-after")), (429, Some("5")));
    operate(&door, "GET", "/v1/admin/scale/trace?limit=3", None).await.error(400);
    for path in ["/v1/admin/scale?ttft=1s", "/v1/admin/scale/trace"] {
        get(&door, path).await.error(403);
    }
}
