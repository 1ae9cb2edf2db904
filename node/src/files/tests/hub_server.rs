//! An HTTP server that answers as the hub does: listings with hashes, redirects to where large files lie, ranges; and,
//! if told so, as no hub should.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::StreamExt as _;

use super::hash;
use crate::files::hash::hex;

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Larger ones are large, for the hub.
const LARGE: usize = 1000;

/// How it misbehaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Manners {
    /// Listings have no hashes.
    pub(super) terse: bool,
    /// Files are sent from their beginning, whatever is asked.
    pub(super) no_ranges: bool,
    /// A byte of this file is another one.
    pub(super) corrupt: Option<&'static str>,
    /// This file is sent with more bytes than were announced.
    pub(super) longer: Option<&'static str>,
    /// Each answer ends after so many bytes.
    pub(super) cut: Option<usize>,
    /// Every answer has this status.
    pub(super) status: Option<u16>,
    /// Who does not say this gets 401.
    pub(super) token: Option<&'static str>,
    /// So many requests get 503 first.
    pub(super) busy: usize,
    /// What the listing has beside the files.
    pub(super) also: Option<&'static str>,
}

struct Shelf {
    files: BTreeMap<String, Vec<u8>>,
    manners: ArcSwap<Manners>,
    requests: AtomicUsize,
    /// Requests for bytes that began in the middle.
    resumed: AtomicUsize,
    /// Where large files lie: another host, as a browser counts.
    store: String,
    /// Whether the store was told the token.
    told: AtomicUsize,
}

#[derive(Clone)]
pub(super) struct HubServer {
    pub(super) address: String,
    shelf: Arc<Shelf>,
}

impl HubServer {
    pub(super) async fn start(files: &[(&str, Vec<u8>)]) -> Self {
        let hub = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let store = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shelf = Arc::new(Shelf {
            files: files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect(),
            manners: ArcSwap::default(),
            requests: AtomicUsize::new(0),
            resumed: AtomicUsize::new(0),
            store: format!("http://{}", store.local_addr().unwrap()),
            told: AtomicUsize::new(0),
        });
        let address = format!("http://{}", hub.local_addr().unwrap());
        let front = Router::new()
            .route("/api/models/{org}/{repo}/revision/{revision}", get(list))
            .route("/{org}/{repo}/resolve/{revision}/{*file}", get(resolve))
            .with_state(Arc::clone(&shelf));
        let back = Router::new().route("/lfs/{*file}", get(stored)).with_state(Arc::clone(&shelf));
        tokio::spawn(async move { axum::serve(hub, front).await });
        tokio::spawn(async move { axum::serve(store, back).await });
        Self { address, shelf }
    }

    pub(super) fn behave(&self, manners: Manners) {
        self.shelf.manners.store(Arc::new(manners));
    }

    pub(super) fn requests(&self) -> usize {
        self.shelf.requests.load(Ordering::Relaxed)
    }

    pub(super) fn resumed(&self) -> usize {
        self.shelf.resumed.load(Ordering::Relaxed)
    }

    /// Whether anybody said the token where it does not belong.
    pub(super) fn leaked(&self) -> bool {
        self.shelf.told.load(Ordering::Relaxed) > 0
    }
}

impl Shelf {
    /// Whether the request may go on.
    fn admit(&self, headers: &HeaderMap) -> Result<Arc<Manners>, StatusCode> {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        let manners = self.manners.load_full();
        if before < manners.busy {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        if let Some(status) = manners.status {
            return Err(StatusCode::from_u16(status).unwrap());
        }
        let said = headers.get("authorization").and_then(|said| said.to_str().ok());
        match manners.token {
            Some(token) if said != Some(&format!("Bearer {token}")) => Err(StatusCode::UNAUTHORIZED),
            _ => Ok(manners),
        }
    }
}

async fn list(
    State(shelf): State<Arc<Shelf>>,
    Path((org, repo, revision)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let manners = match shelf.admit(&headers) {
        Ok(manners) => manners,
        Err(status) => return status.into_response(),
    };
    if (org.as_str(), repo.as_str()) != ("org", "repo") || !["main", "v1", COMMIT].contains(&revision.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    assert_eq!(query.as_deref(), Some("blobs=true"));
    let mut siblings: Vec<serde_json::Value> = Vec::new();
    for (name, bytes) in &shelf.files {
        let found = hash(bytes);
        siblings.push(if manners.terse {
            serde_json::json!({ "rfilename": name })
        } else if bytes.len() > LARGE {
            let lfs =
                serde_json::json!({ "sha256": found.sha256.to_string(), "size": bytes.len(), "pointerSize": 134 });
            serde_json::json!({ "rfilename": name, "size": bytes.len(), "blobId": "ff".repeat(20), "lfs": lfs })
        } else {
            serde_json::json!({ "rfilename": name, "size": bytes.len(), "blobId": hex(&found.git) })
        });
    }
    siblings.extend(
        manners.also.map(|name| serde_json::json!({ "rfilename": name, "size": 1, "blobId": "00".repeat(20) })),
    );
    axum::Json(serde_json::json!({ "id": "org/repo", "sha": COMMIT, "siblings": siblings })).into_response()
}

async fn resolve(
    State(shelf): State<Arc<Shelf>>,
    Path((_, _, revision, file)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Err(status) = shelf.admit(&headers) {
        return status.into_response();
    }
    assert_eq!(revision, COMMIT, "all files come from the commit that was listed");
    let Some(bytes) = shelf.files.get(&file) else { return StatusCode::NOT_FOUND.into_response() };
    let found = hash(bytes);
    if bytes.len() > LARGE {
        let location = format!("{}/lfs/{file}", shelf.store);
        let etag = format!("\"{}\"", found.sha256);
        let head = [("location", location), ("x-linked-etag", etag), ("x-repo-commit", COMMIT.to_owned())];
        return (StatusCode::FOUND, head, "").into_response();
    }
    let head = [("etag", format!("\"{}\"", hex(&found.git))), ("x-repo-commit", COMMIT.to_owned())];
    (head, send(&shelf, &file, bytes, &headers)).into_response()
}

async fn stored(State(shelf): State<Arc<Shelf>>, Path(file): Path<String>, headers: HeaderMap) -> Response {
    shelf.requests.fetch_add(1, Ordering::Relaxed);
    if headers.contains_key("authorization") {
        shelf.told.fetch_add(1, Ordering::Relaxed);
    }
    send(&shelf, &file, &shelf.files[&file], &headers)
}

fn send(shelf: &Shelf, file: &str, bytes: &[u8], headers: &HeaderMap) -> Response {
    let manners = shelf.manners.load();
    let mut bytes = bytes.to_vec();
    let size = bytes.len();
    if manners.corrupt == Some(file) {
        bytes[size / 2] ^= 1;
    }
    if manners.longer == Some(file) {
        bytes.extend_from_slice(b"more");
    }
    let range = headers.get("range").and_then(|range| range.to_str().ok()).filter(|_| !manners.no_ranges);
    let asked = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let first = asked.map_or(0, |(first, _)| first.parse().unwrap());
    if first > 0 {
        shelf.resumed.fetch_add(1, Ordering::Relaxed);
    }
    if first > bytes.len() {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    let last = asked.and_then(|(_, last)| last.parse().ok()).map_or(bytes.len(), |last: usize| last + 1);
    let body = Bytes::from(bytes).slice(first..last);
    let length = body.len();
    let body = match manners.cut.filter(|cut| *cut < length) {
        // What was announced does not come: the connection breaks off.
        Some(cut) => {
            let broken = async {
                // The server sends what it has before it waits for this.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("cut"))
            };
            let pieces = futures_util::stream::iter([Ok(body.slice(..cut))]);
            Body::from_stream(pieces.chain(futures_util::stream::once(broken)).boxed())
        }
        None => Body::from(body),
    };
    let response = Response::builder().header("content-length", length);
    let response = match asked {
        Some(_) => response.status(206).header("content-range", format!("bytes {first}-{}/{size}", last - 1)),
        None => response,
    };
    response.body(body).unwrap()
}
