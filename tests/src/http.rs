//! As much of an HTTP/1.1 client as the tests need: one request per connection, JSON, server-sent events.
//! Written out, so that a test can send what no client library would, and go away in the middle.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wait::PATIENCE;

/// Speaks to one server.
#[derive(Clone, Debug)]
pub struct Http {
    address: String,
    key: Option<String>,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status code.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is none.
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("no JSON ({error}), status {}: {}", self.status, self.text()),
        }
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Http {
    /// A server at `HOST:PORT`, with a key or without.
    pub fn new(address: &str, key: Option<&str>) -> Self {
        Self { address: address.to_owned(), key: key.map(str::to_owned) }
    }

    /// Reads a path.
    ///
    /// # Panics
    /// No response comes.
    pub async fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], &[]).await.whole().await
    }

    /// Posts JSON.
    ///
    /// # Panics
    /// No response comes.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.post_bytes(path, body.to_string().as_bytes()).await
    }

    /// Posts what need not be JSON.
    ///
    /// # Panics
    /// No response comes.
    pub async fn post_bytes(&self, path: &str, body: &[u8]) -> Response {
        self.request("POST", path, body, &[]).await.whole().await
    }

    /// Posts JSON and reads the response as it comes. To drop it closes the connection.
    ///
    /// # Panics
    /// No response comes.
    pub async fn stream(&self, path: &str, body: &Value) -> Incoming {
        self.stream_with(path, body, &[]).await
    }

    /// The same with further headers.
    ///
    /// # Panics
    /// No response comes.
    pub async fn stream_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Incoming {
        self.request("POST", path, body.to_string().as_bytes(), headers).await
    }

    async fn request(&self, method: &str, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Incoming {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if let Some(key) = &self.key {
            head.push_str(&format!("Authorization: Bearer {key}\r\n"));
        }
        if method == "POST" {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let connection = match TcpStream::connect(&self.address).await {
            Ok(connection) => connection,
            Err(error) => panic!("{} does not answer: {error}", self.address),
        };
        let mut incoming = Incoming { connection, buffer: Vec::new(), status: 0, headers: Vec::new() };
        incoming.exchange(head.as_bytes(), body).await;
        incoming
    }
}

/// A response whose head has come.
#[derive(Debug)]
pub struct Incoming {
    connection: TcpStream,
    /// Bytes of the body, as they came.
    buffer: Vec<u8>,
    /// Its status code.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Incoming {
    /// Sends the request while it reads the response's head: a server may refuse before it has read all.
    async fn exchange(&mut self, head: &[u8], body: &[u8]) {
        let (mut reader, mut writer) = self.connection.split();
        let mut received = Vec::new();
        let sending = async {
            // A server that refuses early closes its end: that is no fault, its response says why.
            let _ = async {
                writer.write_all(head).await?;
                writer.write_all(body).await
            }
            .await;
            std::future::pending::<()>().await;
        };
        let receiving = async {
            loop {
                if let Some(end) = find(&received, b"\r\n\r\n") {
                    return end;
                }
                let read = reader.read_buf(&mut received).await;
                assert!(matches!(read, Ok(1..)), "no response but {read:?}: {}", String::from_utf8_lossy(&received));
            }
        };
        let both = async {
            tokio::select! {
                () = sending => None,
                end = receiving => Some(end),
            }
        };
        let Ok(Some(end)) = timeout(PATIENCE, both).await else {
            panic!("no response within {PATIENCE:?}");
        };
        self.buffer = received.split_off(end + 4);
        let text = String::from_utf8_lossy(&received).into_owned();
        let mut lines = text.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let Some(status) = status else { panic!("no HTTP: {text}") };
        self.status = status;
        let header =
            |line: &str| Some((line.split_once(':')?.0.to_lowercase(), line.split_once(':')?.1.trim().to_owned()));
        self.headers = lines.filter_map(header).collect();
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.headers.iter().any(|(key, found)| key == name && found.to_lowercase().contains(value))
    }

    /// Reads some more; false at the end.
    async fn more(&mut self) -> bool {
        match timeout(PATIENCE, self.connection.read_buf(&mut self.buffer)).await {
            Ok(Ok(read)) => read > 0,
            Ok(Err(error)) => panic!("the response broke off ({error}): {}", String::from_utf8_lossy(&self.buffer)),
            Err(_) => panic!("the response has not gone on within {PATIENCE:?}"),
        }
    }

    /// Reads it to the end.
    ///
    /// # Panics
    /// It breaks off.
    pub async fn whole(mut self) -> Response {
        while self.more().await {}
        let chunked = self.is("transfer-encoding", "chunked");
        let body = if chunked { unchunk(&self.buffer).0 } else { self.buffer };
        Response { status: self.status, headers: self.headers, body }
    }

    /// Reads all events; the last should be `[DONE]`.
    ///
    /// # Panics
    /// It breaks off.
    pub async fn events(mut self) -> Vec<String> {
        while self.more().await {}
        let (body, _) = unchunk(&self.buffer);
        events(&body)
    }

    /// Reads until the given number of events is there.
    ///
    /// # Panics
    /// It ends before.
    pub async fn first_events(&mut self, wanted: usize) -> Vec<String> {
        loop {
            let (body, ended) = unchunk(&self.buffer);
            let found = events(&body);
            if found.len() >= wanted {
                return found;
            }
            assert!(!ended && self.more().await, "it ended after {found:#?}");
        }
    }
}

fn events(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    // What follows the last empty line is not complete yet.
    let whole = text.rfind("\n\n").map_or("", |end| text.get(..end).unwrap_or_default());
    whole.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
}

/// The body of what came in chunks so far, and whether the last chunk is there.
fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = find(bytes, b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok()) else {
            panic!("no chunk: {}", String::from_utf8_lossy(bytes));
        };
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = bytes.get(end + 2..end + 2 + size) else { return (body, false) };
        body.extend_from_slice(chunk);
        bytes = bytes.get(end + 4 + size..).unwrap_or_default();
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
