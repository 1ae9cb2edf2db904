//! Models that come and go while the node runs.

use std::sync::Arc;
use std::time::Duration;

use actors::mock::{Faults, MockEngine, MockOptions, bundle};
use actors::node::Wish;
use actors::worker::{Drive, Loaded, WorkerHandle, WorkerMetrics, worker};
use protocol::cache::CacheChange;
use protocol::engine::{JobFault, RefusalReason};
use protocol::frame::Frame;
use protocol::message::{Failed, Order, OrderAction};
use protocol::serving::{LoadState, ModelPlace, Serving};
use tokio::sync::mpsc;
use transport::connection::Connection;

use crate::bed::{Peering, bed, is_free, job, long_answer, next, read, supervise};

async fn other(name: &str) -> WorkerHandle {
    let options = MockOptions { model: name.to_owned(), ..MockOptions::default() };
    let make = move || Ok(Loaded { engine: Box::new(MockEngine::new(options.clone())), bundle: bundle() });
    let (worker, child) = worker(name, Arc::new(make), Drive::Task, WorkerMetrics::none());
    supervise(child).await;
    worker
}

fn places(all: &[(&str, LoadState)]) -> Vec<ModelPlace> {
    let place = |(model, state): &(&str, LoadState)| ModelPlace { model: (*model).to_owned(), state: state.clone() };
    all.iter().map(place).collect()
}

async fn serving(peering: &mut Peering) -> Serving {
    loop {
        match next(&mut peering.reader).await {
            Frame::Serving(serving) => return serving,
            Frame::Report(_) => {}
            other => panic!("expected what is served: {other:?}"),
        }
    }
}

fn names(serving: &Serving) -> Vec<&str> {
    serving.cards.iter().map(|card| card.model.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_model_that_comes_is_told_reported_served_and_heard_of() {
    let mut bed = bed(Faults::default()).await;
    let mut peering = bed.welcome().await;
    let (_events, mut events) = peering.connection.accept().await.unwrap();
    assert_eq!(peering.report().await.workers.len(), 1);
    bed.node.tell_models(places(&[("mock", LoadState::Loaded), ("other", LoadState::Loading { fetched: None })]));
    assert_eq!(names(&serving(&mut peering).await), ["mock"], "not before its engine is there");
    bed.node.take_up(other("other").await).await.unwrap();
    let told = serving(&mut peering).await;
    assert_eq!(names(&told), ["mock", "other"]);
    assert_eq!(told.models, places(&[("mock", LoadState::Loaded), ("other", LoadState::Loaded)]));
    assert_eq!(peering.report().await.workers.len(), 2, "a report has an entry for each card that was told");

    let mut wanted = job(1, 5);
    wanted.model = "other".to_owned();
    let (_writer, mut reader) = peering.submit(wanted).await;
    assert_eq!(read(&mut reader).await.0.len(), 5);
    let stored = loop {
        let Frame::CacheBatch(batch) = next(&mut events).await else { panic!("no events") };
        let stores = batch.changes.iter().any(|change| matches!(change, CacheChange::Stored(keys) if !keys.is_empty()));
        if stores {
            break batch;
        }
    };
    assert_eq!(stored.model, "other", "what it caches is told on the stream that was there");
    let again = bed.node.take_up(other("other").await).await.unwrap_err();
    assert!(again.to_string().contains("served already"), "{again}");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_goes_takes_nothing_new_and_hands_back_what_runs() {
    let mut bed = bed(Faults::default()).await;
    bed.node.take_up(other("other").await).await.unwrap();
    bed.node.tell_models(places(&[("mock", LoadState::Loaded), ("other", LoadState::Loaded)]));
    let mut peering = bed.welcome().await;
    assert_eq!(names(&serving(&mut peering).await), ["mock", "other"]);
    let (_writer, mut reader) = long_answer(&peering).await;
    let node = bed.node.clone();
    let going = tokio::spawn(async move { node.give_up("mock", Duration::from_secs(2)).await });
    let told = serving(&mut peering).await;
    assert_eq!(names(&told), ["other"]);
    assert_eq!(told.models, places(&[("mock", LoadState::Unloading), ("other", LoadState::Loaded)]));
    assert_eq!(peering.report().await.workers.len(), 1);
    let (_late, mut late) = peering.submit(job(2, 5)).await;
    let (_, last) = read(&mut late).await;
    assert!(matches!(last, Frame::Refused(refused) if refused.reason == RefusalReason::Draining));
    let mut tokens = 0;
    let last = loop {
        match next(&mut reader).await {
            Frame::Tokens(batch) => tokens += batch.tokens.len(),
            last => break last,
        }
    };
    assert_eq!(last, Frame::Failed(Failed { error: JobFault::Drained }));
    assert!((150..=210).contains(&tokens), "it had two seconds at 10 ms a token: {tokens}");
    assert!(!going.await.unwrap(), "not all came to their end");
    assert!(is_free(&bed.worker).await);
    assert!(!bed.node.connected().borrow().eq(&0), "the link has seen nothing of it");
}

#[tokio::test(start_paused = true)]
async fn a_model_without_work_goes_at_once() {
    let bed = bed(Faults::default()).await;
    assert!(bed.node.give_up("mock", Duration::from_secs(60)).await);
    assert!(bed.node.give_up("mock", Duration::ZERO).await, "and once more is nothing");
    assert!(bed.node.workers()("mock").is_none());
}

#[tokio::test(start_paused = true)]
async fn wishes_are_passed_on_and_too_many_are_dropped() {
    let mut bed = bed(Faults::default()).await;
    let (wish, mut wishes) = mpsc::channel(1);
    bed.node.heed(wish);
    let mut peering = bed.welcome().await;
    let (model, limit) = ("m".to_owned(), Duration::from_secs(1));
    for action in [OrderAction::Load { model: model.clone() }, OrderAction::Unload { model: model.clone(), limit }] {
        peering.writer.send(Order { action }).await.unwrap();
    }
    peering.report().await;
    assert_eq!(wishes.recv().await, Some(Wish::Load { model: model.clone() }));
    assert!(wishes.try_recv().is_err(), "there was room for one");
    peering.writer.send(Order { action: OrderAction::Unload { model: model.clone(), limit } }).await.unwrap();
    assert_eq!(wishes.recv().await, Some(Wish::Unload { model, limit }));
}
