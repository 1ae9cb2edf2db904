//! Fetching from end to end: an imitated hub over HTTP, nodes over QUIC, folders.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use protocol::config::Hashes;

use super::hash::Hasher;
use super::manifest::Manifest;
use super::*;

mod folders;
mod hub_server;
mod hubs;
mod peers;

/// Quick, so that a cut costs no time; long enough that a busy machine is not taken for a silent one.
const PACE: Pace = Pace {
    stall: Duration::from_secs(20),
    listing: Duration::from_secs(20),
    attempts: 3,
    backoff: Duration::from_millis(1),
    rounds: 1,
};

/// A model that the engine would load, as far as its names go.
fn small() -> Vec<(&'static str, Vec<u8>)> {
    let weights = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    vec![("config.json", b"{}".to_vec()), ("model.safetensors", weights), ("tokenizer.json", b"{\"a\": 1}".to_vec())]
}

fn hash(bytes: &[u8]) -> hash::Found {
    let mut hasher = Hasher::new(bytes.len() as u64);
    hasher.update(bytes);
    hasher.finish()
}

/// A node's models folder, and what it makes of a model.
struct Bench {
    folder: tempfile::TempDir,
    files: NodeFiles,
    progress: watch::Sender<Progress>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = NodeFiles {
            folder: folder.path().join("models"),
            limit: 1 << 30,
            hub: "http://127.0.0.1:1".to_owned(),
            token: None,
            peers: Vec::new(),
            network: None,
            pace: PACE,
        };
        Self { folder, files, progress: watch::Sender::default() }
    }

    async fn obtain(&self, source: &str) -> Result<PathBuf, ObtainError> {
        self.obtain_pinned(source, None).await
    }

    async fn obtain_pinned(&self, source: &str, sha256: Option<Hashes>) -> Result<PathBuf, ObtainError> {
        let model = Model { source: Some(source.parse().unwrap()), sha256, ..Model::default() };
        obtain("m", &model, &self.files, &self.progress).await
    }

    /// Where the files of the model lie.
    fn model(&self) -> PathBuf {
        self.files.folder.join("m")
    }

    /// Names of all that lies there.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.model()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn holds(&self, files: &[(&str, Vec<u8>)]) {
        let mut names: Vec<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.push(names::MANIFEST.to_owned());
        names.sort();
        assert_eq!(self.names(), names);
        for (name, bytes) in files {
            assert!(std::fs::read(self.model().join(name)).unwrap() == *bytes, "{name} has other bytes");
        }
    }
}

fn write(folder: &Path, files: &[(&str, Vec<u8>)]) {
    std::fs::create_dir_all(folder).unwrap();
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
}

fn pinned(name: &str, hash: Sha256) -> Option<Hashes> {
    Some(Hashes::Each(BTreeMap::from([(name.to_owned(), hash)])))
}

#[tokio::test]
async fn a_path_of_its_own_is_taken_as_it_is() {
    let bench = Bench::new();
    let model = Model { path: "x/y.gguf".into(), source: Some(Source::Node), ..Model::default() };
    assert_eq!(obtain("m", &model, &bench.files, &bench.progress).await.unwrap(), Path::new("x/y.gguf"));
    assert!(!bench.files.folder.exists(), "nothing is fetched");
}

#[tokio::test]
async fn two_processes_do_not_fetch_at_once() {
    let bench = Bench::new();
    let origin = bench.folder.path().join("shared");
    write(&origin, &small());
    std::fs::create_dir_all(&bench.files.folder).unwrap();
    let held = lock::hold(&bench.files.folder.join(".m.lock")).await.unwrap();
    let source = format!("folder:{}", origin.display());
    let mut waiting = Box::pin(bench.obtain(&source));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
    assert!(early.is_err() && bench.names().is_empty(), "it waits for the other");
    drop(held);
    waiting.await.unwrap();
    bench.holds(&small());
}
