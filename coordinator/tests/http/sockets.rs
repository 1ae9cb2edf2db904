//! What only a real connection shows: clients that leave, and closing in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coordinator::http::{Ending, router, serve};
use protocol::units::Span;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fake::{Fake, KEY, Script, Seen, delta, done, finished, started};
use crate::support::{CHAT, body, options};

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    seen: Seen,
    task: JoinHandle<std::io::Result<()>>,
}

async fn server(plot: impl Fn() -> Script + Send + Sync + 'static, grace: Duration) -> Server {
    let (fake, seen) = Fake::new(move |_| plot());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = options();
    let ending = Ending { grace: Span(grace), cut: options.cut.clone() };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(serve(listener, router(fake, options), stopped.cancelled_owned(), ending));
    Server { address, stop, seen, task }
}

/// A connection on which the chat was asked for.
async fn ask(address: SocketAddr, extra: Value) -> TcpStream {
    let body = body(CHAT, extra).to_string();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

async fn read_until(socket: &mut TcpStream, words: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(words) {
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed after: {text}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    text
}

async fn read_all(mut socket: TcpStream) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_client_that_leaves_in_a_stream_cancels() {
    let mut server = server(|| Script::Hold(vec![started(), delta(0, "Hel")]), Duration::from_secs(60)).await;
    let mut socket = ask(server.address, json!({"stream": true})).await;
    read_until(&mut socket, "Hel").await;
    drop(socket);
    server.seen.left.recv().await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_cancels() {
    for pieces in [vec![], vec![started(), delta(0, "Hel")]] {
        let mut server = server(move || Script::Hold(pieces.clone()), Duration::from_secs(60)).await;
        let socket = ask(server.address, json!({})).await;
        server.seen.asked.recv().await.unwrap();
        drop(socket);
        server.seen.left.recv().await.unwrap();
    }
}

#[tokio::test]
async fn running_answers_end_before_the_door_closes() {
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let plot = move || {
        let rest = vec![delta(0, "lo"), finished(0), done(1)];
        Script::Gate(vec![started(), delta(0, "Hel")], Arc::clone(&gate), rest)
    };
    let server = server(plot, Duration::from_secs(60)).await;
    let mut socket = ask(server.address, json!({"stream": true})).await;
    read_until(&mut socket, "Hel").await;
    server.stop.cancel();
    // Nobody is let in any more, and this one is not sent away.
    while TcpStream::connect(server.address).await.is_ok() {}
    opened.notify_one();
    let text = read_all(socket).await;
    assert!(text.contains("\"lo\"") && text.contains("data: [DONE]"), "{text}");
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn answers_that_do_not_end_are_cut_with_an_error() {
    let mut server = server(|| Script::Hold(vec![started(), delta(0, "Hel")]), Duration::from_millis(20)).await;
    let mut stream = ask(server.address, json!({"stream": true})).await;
    read_until(&mut stream, "Hel").await;
    let whole = ask(server.address, json!({})).await;
    server.seen.asked.recv().await.unwrap();
    server.seen.asked.recv().await.unwrap();
    server.stop.cancel();
    let text = read_all(stream).await;
    assert!(text.contains("shutting_down") && !text.contains("[DONE]"), "{text}");
    let text = read_all(whole).await;
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("shutting_down"), "{text}");
    server.task.await.unwrap().unwrap();
    server.seen.left.recv().await.unwrap();
    server.seen.left.recv().await.unwrap();
}

#[tokio::test]
async fn a_client_that_first_sends_a_hundred_megabytes_still_reads_the_refusal() {
    let server = server(|| Script::Pieces(Vec::new()), Duration::from_secs(60)).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let total: usize = 100 << 20;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {total}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b' '; 1 << 20];
    for _ in 0..100 {
        socket.write_all(&piece).await.unwrap();
    }
    let text = read_until(&mut socket, "request_too_large").await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
}
