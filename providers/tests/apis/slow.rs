//! Silence. Once the server is silent, time is paused: it then runs on by itself to whatever is waited for, so that
//! limits of minutes pass at once and none of the machine's own time counts.

use std::time::Duration;

use protocol::units::Span;
use providers::mock::{Beat, Mock, Reply};
use providers::{Failure, FailureKind, Piece};
use tokio::time::Instant;

use crate::support::*;

/// The failure that silence ends in, within so much of paused time.
async fn within(most: Duration, silence: impl Future<Output = Failure>) -> Failure {
    tokio::time::pause();
    let before = Instant::now();
    let failure = silence.await;
    assert!(before.elapsed() <= most + Duration::from_secs(1), "{:?}: {failure:?}", before.elapsed());
    tokio::time::resume();
    failure
}

fn secs(seconds: u64) -> Span {
    Span(Duration::from_secs(seconds))
}

#[tokio::test]
async fn no_response_in_time() {
    for api in KINDS {
        let mock = Mock::start().await.unwrap();
        mock.push(Reply::default().delay(Duration::from_secs(3600)));
        let provider = provider(&mock, api);
        let mut starting = Box::pin(provider.start(hello(), NOW));
        tokio::select! {
            _ = &mut starting => panic!("it has not answered"),
            () = mock.until(|state| state.totals.running == 1) => {}
        }
        let failure = within(Duration::from_secs(60), async { starting.await.unwrap_err() }).await;
        assert_eq!((failure.kind, failure.began), (FailureKind::Timeout, false), "{failure:?}");
        mock.until(|state| state.totals.cancelled == 1).await;
    }
}

/// Pings say that it lives, not that it answers.
#[tokio::test]
async fn no_first_token_in_time() {
    for api in KINDS {
        let mock = Mock::start().await.unwrap();
        mock.push(Reply::beats(vec![Beat::Ping, Beat::Ping, Beat::Silence]));
        let provider = with(&mock, api, |config| (config.first_token, config.stall) = (secs(40), secs(1)));
        let mut starting = Box::pin(provider.start(hello(), NOW));
        tokio::select! {
            _ = &mut starting => panic!("it has not answered"),
            () = mock.until(|state| state.totals.running == 1) => {}
        }
        let failure = within(Duration::from_secs(40), async { starting.await.unwrap_err() }).await;
        assert_eq!((failure.kind, failure.began), (FailureKind::Timeout, false), "{failure:?}");
    }
}

#[tokio::test]
async fn silence_in_the_middle() {
    for api in KINDS {
        let mock = Mock::start().await.unwrap();
        mock.push(Reply::words(9).then(2, Beat::Silence));
        let provider = with(&mock, api, |config| config.stall = secs(20));
        let mut stream = provider.start(hello(), NOW).await.unwrap();
        for _ in 0..2 {
            assert!(matches!(stream.next().await, Some(Ok(Piece::Delta(_)))));
        }
        let failure = within(Duration::from_secs(20), async { stream.next().await.unwrap().unwrap_err() }).await;
        assert_eq!((failure.kind, failure.began), (FailureKind::Timeout, true), "{api:?}");
        assert!(failure.message.contains("nothing of the answer came for 20s"), "{}", failure.message);
        assert!(stream.next().await.is_none());
        mock.until(|state| state.totals.cancelled == 1).await;
    }
}

/// Somebody who waits in a `select!` gives up each wait and begins another: the silence goes on.
#[tokio::test]
async fn regression_silence_is_counted_over_waits_that_were_given_up() {
    let mock = Mock::start().await.unwrap();
    mock.push(Reply::words(9).then(1, Beat::Silence));
    let provider = with(&mock, KINDS[0], |config| config.stall = secs(20));
    let mut stream = provider.start(hello(), NOW).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(Piece::Delta(_)))));
    tokio::time::pause();
    let mut waits = 0;
    let failure = loop {
        waits += 1;
        match tokio::time::timeout(Duration::from_secs(3), stream.next()).await {
            Err(_) => assert!(waits < 20, "it goes on for ever"),
            Ok(next) => break next.unwrap().unwrap_err(),
        }
    };
    assert_eq!((failure.kind, waits), (FailureKind::Timeout, 7));
}

#[tokio::test]
async fn the_whole_takes_no_longer_than_the_request_has_left() {
    for api in KINDS {
        let mock = Mock::start().await.unwrap();
        mock.push(Reply::words(9).then(1, Beat::Silence));
        let provider = with(&mock, api, |config| config.stall = secs(500));
        let mut call = hello();
        call.deadline = Duration::from_secs(30);
        let mut stream = provider.start(call, NOW).await.unwrap();
        stream.next().await.unwrap().unwrap();
        let failure = within(Duration::from_secs(30), async { stream.next().await.unwrap().unwrap_err() }).await;
        assert_eq!(failure.kind, FailureKind::Timeout, "{api:?}");
        assert!(failure.message.contains("not complete in time"), "{}", failure.message);
    }
}

/// A client that reads slowly does not make the provider silent.
#[tokio::test]
async fn the_readers_own_pauses_are_no_silence() {
    let mock = Mock::start().await.unwrap();
    let wait = Beat::Wait(Duration::from_millis(20));
    let token = |i: usize| Beat::Text(format!("{i} "));
    let end = Beat::Finish(protocol::answer::FinishReason::Stop);
    mock.push(Reply::beats(vec![token(0), wait, token(1), end]));
    let provider = with(&mock, KINDS[0], |config| config.stall = secs(20));
    let mut stream = provider.start(hello(), NOW).await.unwrap();
    stream.next().await.unwrap().unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::time::resume();
    let rest = drain(stream).await;
    assert_eq!((rest.text(), rest.failure.as_ref()), ("1 ", None));
}
