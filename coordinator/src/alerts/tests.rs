use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use protocol::units::{Nanos, UnixMillis};
use tokio::net::TcpListener;

use super::*;

fn alert(share: u8) -> AlertRaised {
    AlertRaised {
        budget: "team \"red\"".into(),
        share,
        settled: Nanos(2_500_000_000),
        reserved: Nanos(1),
        limit: Nanos(5_000_000_000),
        at: UnixMillis(7),
    }
}

/// A webhook that refuses the first ones; what it took comes out.
async fn hook(refusals: u32) -> (String, mpsc::Receiver<serde_json::Value>, Arc<AtomicU32>) {
    let (taken, out) = mpsc::channel(8);
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let take = move |body: Bytes| {
        let (taken, count) = (taken.clone(), Arc::clone(&count));
        async move {
            if count.fetch_add(1, Ordering::Relaxed) < refusals {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            taken.send(serde_json::from_slice(&body).unwrap()).await.unwrap();
            StatusCode::NO_CONTENT
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/alerts", listener.local_addr().unwrap());
    let router = Router::new().route("/alerts", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, out, asked)
}

#[tokio::test]
async fn an_alert_is_posted_until_it_is_taken() {
    let (url, mut taken, asked) = hook(2).await;
    let (raise, alerts) = mpsc::channel(4);
    tokio::spawn(tell_after(alerts, "c".into(), Some(url), Duration::from_millis(1)));
    raise.send(alert(50)).await.unwrap();
    let body = taken.recv().await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    let wanted = [("event", "budget_alert"), ("cluster", "c"), ("budget", "team \"red\""), ("settled", "2.50")];
    for (field, value) in wanted {
        assert_eq!(body[field], value, "{body}");
    }
    assert_eq!((&body["share"], &body["limit"], &body["at"]), (&50.into(), &"5.00".into(), &7.into()));
    raise.send(alert(80)).await.unwrap();
    assert_eq!(taken.recv().await.unwrap()["share"], 80);
}

#[tokio::test]
async fn one_that_nobody_takes_does_not_hold_up_the_next() {
    let (url, mut taken, asked) = hook(TRIES).await;
    let (raise, alerts) = mpsc::channel(4);
    let telling = tokio::spawn(tell_after(alerts, "c".into(), Some(url), Duration::from_millis(1)));
    raise.send(alert(50)).await.unwrap();
    raise.send(alert(80)).await.unwrap();
    assert_eq!(taken.recv().await.unwrap()["share"], 80);
    assert_eq!(asked.load(Ordering::Relaxed), TRIES + 1);
    drop(raise);
    telling.await.unwrap();
}
