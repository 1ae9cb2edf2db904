//! Usage: pages, exports, wrong questions.

use axum::body::Body;
use axum::http::Request;
use protocol::account::{Subject, UsageRecord};
use protocol::answer::{ErrorKind, JobError};
use protocol::ids::RequestId;
use protocol::manage::{Manage, Managed, UsagePlace, UsageQuery};
use protocol::units::{Nanos, UnixMillis};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Mutex;
use tower::ServiceExt;

use super::{keeping, refused};
use crate::fake::ADMIN;
use crate::support::{Got, door, operate};

fn record(at: u64) -> UsageRecord {
    UsageRecord {
        request: RequestId(at.into()),
        at: UnixMillis(at),
        subject: Subject { key: "key-1".into(), model: "=m".into(), ..Subject::default() },
        cost: Nanos(at),
        ..UsageRecord::default()
    }
}

type Queries = Arc<Mutex<Vec<UsageQuery>>>;

/// Records of 2,500 moments, in pages as they are asked for; the last page that is given begins before `last`.
fn bed(last: u64) -> (axum::Router, Queries) {
    let queries = Queries::default();
    let seen = Arc::clone(&queries);
    let (fake, _seen) = keeping(move |wish| {
        let Manage::Usage(query) = wish else { panic!("not usage: {wish:?}") };
        seen.try_lock().unwrap().push(query.clone());
        let first = query.after.map_or(1, |place| place.at.0 + 1);
        if first > last {
            return Err(JobError::new(ErrorKind::NoNode, "the store's holder is gone"));
        }
        let records: Vec<_> = (first..=2500).take(query.limit as usize).map(record).collect();
        let place = records.last().map(|record| UsagePlace { at: record.at, request: record.request });
        Ok(Managed::Usage { next: place.filter(|place| place.at.0 < 2500), records })
    });
    (door(&fake), queries)
}

async fn get(door: &axum::Router, query: &str) -> Got {
    operate(door, "GET", &format!("/v1/admin/usage{query}"), None).await
}

#[tokio::test]
async fn a_page_says_where_the_next_begins() {
    let (door, queries) = bed(3000);
    let page = get(&door, "?limit=2").await.json();
    assert_eq!((page["object"].as_str(), page["has_more"].as_bool()), (Some("list"), Some(true)));
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert_eq!(page["data"][1]["cost"], "0.000000002");
    let next = page["next"].as_str().unwrap();
    let page = get(&door, &format!("?limit=1000&after={next}")).await.json();
    assert_eq!(page["data"][0]["at"], "1970-01-01T00:00:00.003Z");
    let last = get(&door, "?after=2400-00000000000000000000000000000960").await.json();
    assert_eq!((last["data"].as_array().unwrap().len(), last["has_more"].as_bool()), (100, Some(false)));
    assert_eq!(last["next"], Value::Null);
    let limits: Vec<u32> = queries.try_lock().unwrap().iter().map(|query| query.limit).collect();
    assert_eq!(limits, [2, 1000, 100]);
}

#[tokio::test]
async fn every_filter_arrives() {
    let (door, queries) = bed(3000);
    let query = "?since=2026-01-31&until=2026-01-31T09:30:00%2B01:00&key=key-1&model=p%2Fm&tag=a%20b";
    assert_eq!(get(&door, query).await.status, 200);
    let expected = UsageQuery {
        since: Some(UnixMillis(1_769_817_600_000)),
        until: Some(UnixMillis(1_769_848_200_000)),
        key: Some("key-1".into()),
        model: Some("p/m".into()),
        tag: Some("a b".into()),
        after: None,
        limit: 100,
    };
    assert_eq!(*queries.try_lock().unwrap(), [expected]);
}

#[tokio::test]
async fn an_export_has_every_record_once_whatever_the_pages() {
    let (door, queries) = bed(3000);
    let got = get(&door, "?format=csv").await;
    assert!(got.header("content-type").unwrap().starts_with("text/csv"), "{got:?}");
    let lines: Vec<&str> = got.text.lines().collect();
    assert_eq!(lines.len(), 2501);
    assert!(lines[0].starts_with("at,request,key,"), "{}", lines[0]);
    assert!(lines[1..].iter().enumerate().all(|(at, line)| line.contains(&format!(",{:032x},key-1,", at + 1))));
    assert!(lines[1].contains(",'=m,"), "a spreadsheet would compute {}", lines[1]);
    assert_eq!(queries.try_lock().unwrap().len(), 3, "pages of a thousand");
    let got = get(&door, "?format=jsonl").await;
    let costs: Vec<Value> =
        got.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["request"].clone()).collect();
    assert_eq!(costs, (1..=2500).map(|at| json!(format!("{at:032x}"))).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_of_csv_names_the_next_in_a_header() {
    let (door, _queries) = bed(3000);
    let got = get(&door, "?format=csv&limit=10").await;
    assert_eq!(got.text.lines().count(), 11);
    assert_eq!(got.header("x-troupe-next"), Some("10-0000000000000000000000000000000a"));
    let got = get(&door, "?format=csv&limit=1000&after=2000-000000000000000000000000000007d0").await;
    assert_eq!(got.header("x-troupe-next"), None);
}

#[tokio::test]
async fn an_export_that_cannot_go_on_breaks_off_instead_of_ending() {
    let (door, _queries) = bed(1500);
    let request = Request::get("/v1/admin/usage?format=csv").header("authorization", format!("Bearer {ADMIN}"));
    let response = door.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let read = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    assert!(read.unwrap_err().to_string().contains("holder is gone"));
    let (door, _queries) = bed(0);
    get(&door, "?format=csv").await.error(503);
}

#[tokio::test]
async fn a_service_that_turns_in_a_circle_is_left() {
    let (fake, _seen) = keeping(|_| {
        let next = Some(UsagePlace { at: UnixMillis(1), request: RequestId(1) });
        Ok(Managed::Usage { records: vec![record(1)], next })
    });
    let request = Request::get("/v1/admin/usage?format=jsonl").header("authorization", format!("Bearer {ADMIN}"));
    let response = door(&fake).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert!(axum::body::to_bytes(response.into_body(), 1 << 20).await.is_err());
}

#[tokio::test]
async fn wrong_questions_are_refused_by_name() {
    for (query, param, words) in [
        ("?since=yesterday", "since", "write it as 2026-01-31T09:30:00Z"),
        ("?until=1700000000", "until", "is no time"),
        ("?since=2026-02-01&until=2026-01-01", "until", "not after since"),
        ("?limit=0", "limit", "from 1 to 1000"),
        ("?limit=1001", "limit", "from 1 to 1000"),
        ("?limit=all", "limit", "'all'"),
        ("?format=xml", "format", "choose json, jsonl or csv"),
        ("?after=here", "after", "named as next"),
        ("?key=", "key", "is empty"),
        ("?key=sk-troupe-0123456789abcdef", "key", "looks like a secret"),
        ("?tag=a&tag=b", "tag", "twice"),
        ("?tags=a", "tags", "did you mean 'tag'"),
        ("?team=a", "team", "there are since, until"),
    ] {
        refused("GET", &format!("/v1/admin/usage{query}"), None, 400, &json!(param), words).await;
    }
}
