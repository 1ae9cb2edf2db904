//! From another node, over real QUIC on loopback.

use std::time::SystemTime;

use actors::node::pull::Beside as _;
use protocol::files::{FileChunk, FileEnd, FileEntry, FileList, FileWanted, FilesRefused, FilesWanted};
use protocol::frame::Frame;
use protocol::ids::NodeId;
use protocol::message::Goodbye;
use tokio::task::JoinHandle;
use transport::connection::Connection as _;
use transport::frames::Duplex;
use transport::pki::{ClusterAuthority, NodeRequest};
use transport::quic::{Listener, Timing};

use super::*;

const TIMING: Timing = Timing {
    keep_alive: Duration::from_secs(1),
    idle_timeout: Duration::from_secs(20),
    handshake: Duration::from_secs(20),
    streams: 64,
};

#[expect(clippy::disallowed_methods, reason = "TLS compares certificates with the wall clock")]
fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

struct Cluster {
    authority: ClusterAuthority,
    _folder: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { authority: ClusterAuthority::load_or_create(folder.path(), now()).unwrap(), _folder: folder }
    }

    fn node(&self, id: u64) -> Credentials {
        let request = NodeRequest::new(NodeId(id)).unwrap();
        let certificate = self.authority.sign_node(&request.request, NodeId(id), now()).unwrap();
        request.signed(certificate.to_vec(), self.authority.certificate().to_vec())
    }

    /// Serves each stream of each peer with `answer`, as `node::peers` does.
    fn serve<F, A>(&self, answer: F) -> (String, JoinHandle<()>)
    where
        F: Fn(Frame, Duplex) -> A + Clone + Send + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let mut listener = Listener::bind_peers(([127, 0, 0, 1], 0).into(), &self.node(2), TIMING).unwrap();
        let address = listener.address().to_string();
        let serving = tokio::spawn(async move {
            while let Some(incoming) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    while let Ok((writer, mut reader)) = incoming.connection.accept().await {
                        let answer = answer.clone();
                        tokio::spawn(async move {
                            let first = reader.recv().await.unwrap().unwrap();
                            answer(first, (writer, reader)).await;
                        });
                    }
                });
            }
        });
        (address, serving)
    }

    /// A node that serves what lies at `place`, as the model `m`.
    fn holder(&self, place: &Path, models: &Path) -> (String, JoinHandle<()>) {
        let server = Arc::new(FileServer::new(models));
        server.add("m", place);
        self.serve(move |first, stream| {
            let server = Arc::clone(&server);
            async move { server.answer(first, stream).await }
        })
    }

    /// A node that asks there.
    fn asker(&self, peers: &[&str]) -> Bench {
        let mut bench = Bench::new();
        bench.files.peers = peers.iter().map(|&peer| peer.to_owned()).collect();
        bench.files.network = Some((Dialler::new(TIMING), Arc::new(self.node(1))));
        bench
    }
}

/// A node that says it has these, and sends what `sent` makes of each.
fn entries(files: &[(&str, Vec<u8>)]) -> Vec<FileEntry> {
    let entry = |(name, bytes): &(&str, Vec<u8>)| FileEntry {
        name: (*name).to_owned(),
        size: bytes.len() as u64,
        sha256: hash(bytes).sha256,
    };
    files.iter().map(entry).collect()
}

fn total(files: &[FileEntry]) -> u64 {
    files.iter().map(|file| file.size).fold(0, u64::wrapping_add)
}

/// What a node hears that asks one that lists this.
async fn listed(files: Vec<FileEntry>, total: u64) -> (Bench, ObtainError) {
    let cluster = Cluster::new();
    let (address, _serving) = cluster.serve(move |_, (mut writer, _)| {
        let files = files.clone();
        async move {
            writer.send(FileList { files, total }).await.unwrap();
            writer.finish();
        }
    });
    let bench = cluster.asker(&[&address]);
    let error = bench.obtain("node").await.unwrap_err();
    (bench, error)
}

#[tokio::test]
async fn a_model_goes_from_node_to_node_and_on() {
    let cluster = Cluster::new();
    let origin = tempfile::tempdir().unwrap();
    let mut all = small();
    all.push(("secret.txt", b"not of the model".to_vec()));
    write(origin.path(), &all);
    let models = tempfile::tempdir().unwrap();
    let (first, serving) = cluster.holder(origin.path(), models.path());
    let empty = Arc::new(FileServer::new(models.path()));
    let (other, _other) = cluster.serve(move |frame, stream| {
        let empty = Arc::clone(&empty);
        async move { empty.answer(frame, stream).await }
    });
    let bench = cluster.asker(&[&other, &first]);
    let place = bench.obtain("node").await.unwrap();
    assert_eq!(place, bench.model());
    bench.holds(&small());
    let kept = Manifest::read(&models.path().join(".served/m.json")).unwrap();
    assert_eq!(kept.files.len(), 3, "hashes are kept for the next start");
    serving.abort();
    // What came to this node goes on to the next, and the first is not needed.
    let (second, _serving) = cluster.holder(&bench.model(), &bench.files.folder);
    let third = cluster.asker(&[&second]);
    third.obtain("node").await.unwrap();
    third.holds(&small());
    assert!(!bench.files.folder.join(".served").exists(), "the manifest has the hashes already");
}

#[tokio::test]
async fn one_gguf_file_is_handed_out_without_its_neighbours() {
    let cluster = Cluster::new();
    let origin = tempfile::tempdir().unwrap();
    write(origin.path(), &[("a.gguf", vec![1; 700_000]), ("b.gguf", vec![2; 9])]);
    let (address, _serving) = cluster.holder(&origin.path().join("a.gguf"), origin.path());
    let bench = cluster.asker(&[&address]);
    let right = hash(&vec![1; 700_000]).sha256;
    let wrong = bench.obtain_pinned("node", Some(Hashes::One(Sha256([0; 32])))).await.unwrap_err();
    assert!(wrong.to_string().contains("nothing was fetched"), "{wrong}");
    let place = bench.obtain_pinned("node", Some(Hashes::One(right))).await.unwrap();
    assert_eq!(place, bench.model().join("a.gguf"));
    bench.holds(&[("a.gguf", vec![1; 700_000])]);
}

/// Answers as a node that has the small model, but for what `bytes` does with those of its weights.
fn weights(
    bytes: impl Fn(u64, Vec<u8>) -> Vec<u8> + Clone + Send + 'static,
) -> impl Fn(Frame, Duplex) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Clone + Send + 'static {
    move |first, (mut writer, _)| {
        let bytes = bytes.clone();
        Box::pin(async move {
            match first {
                Frame::FileWanted(wanted) => {
                    let all = small().into_iter().find(|(name, _)| *name == wanted.name).unwrap().1;
                    let mut rest = all[usize::try_from(wanted.offset).unwrap()..].to_vec();
                    let whole = rest.len();
                    if wanted.name == "model.safetensors" {
                        rest = bytes(wanted.offset, rest);
                    }
                    for part in rest.chunks(50_000) {
                        if writer.send(FileChunk { bytes: part.to_vec() }).await.is_err() {
                            return;
                        }
                    }
                    if rest.len() < whole {
                        // In the middle, without an end.
                        return writer.finish();
                    }
                    // Who has heard enough does not wait for it.
                    drop(writer.send(FileEnd {}).await);
                }
                _ => {
                    let files = entries(&small());
                    writer.send(FileList { total: total(&files), files }).await.unwrap();
                }
            }
            writer.finish();
        })
    }
}

#[tokio::test]
async fn a_wrong_byte_is_found_out_and_the_next_peer_asked() {
    let cluster = Cluster::new();
    let (bad, _bad) = cluster.serve(weights(|_, mut bytes| {
        bytes[1234] ^= 1;
        bytes
    }));
    let bench = cluster.asker(&[&bad]);
    let error = bench.obtain("node").await.unwrap_err();
    let (right, said) = (hash(&small()[1].1).sha256, error.to_string());
    assert!(said.contains("model.safetensors is not what it should be") && said.contains(&right.to_string()), "{said}");
    assert!(!bench.names().iter().any(|name| name.ends_with(".part")), "{:?}", bench.names());
    let (good, _good) = cluster.serve(weights(|_, bytes| bytes));
    let bench = cluster.asker(&[&bad, &good]);
    bench.obtain("node").await.unwrap();
    bench.holds(&small());
}

#[tokio::test]
async fn a_cut_stream_is_gone_on_from_where_it_ended() {
    let cluster = Cluster::new();
    let (offsets, mut seen) = tokio::sync::mpsc::channel(64);
    let (address, _serving) = cluster.serve(weights(move |offset, mut bytes| {
        offsets.try_send(offset).unwrap();
        bytes.truncate(120_000);
        bytes
    }));
    let bench = cluster.asker(&[&address]);
    bench.obtain("node").await.unwrap();
    bench.holds(&small());
    let begun: Vec<u64> = std::iter::from_fn(|| seen.try_recv().ok()).collect();
    assert_eq!(begun, [0, 120_000, 240_000]);
}

#[tokio::test]
async fn more_bytes_than_listed_are_not_taken() {
    let cluster = Cluster::new();
    let (address, _serving) = cluster.serve(weights(|_, mut bytes| {
        bytes.push(0);
        bytes
    }));
    let bench = cluster.asker(&[&address]);
    let error = bench.obtain("node").await.unwrap_err();
    assert!(error.to_string().contains("longer than the 300000 bytes"), "{error}");
    assert!(!bench.model().join("model.safetensors.part").exists());
}

#[tokio::test]
async fn a_list_is_not_taken_on_trust() {
    let with = |name: &str| {
        let mut files = entries(&small());
        files.push(FileEntry { name: name.to_owned(), size: 1, sha256: Sha256([0; 32]) });
        files
    };
    for name in ["../evil", "/etc/cron.d/x", "a\\b", "model.safetensors"] {
        let files = with(name);
        let sum = total(&files);
        let (bench, error) = listed(files, sum).await;
        assert!(matches!(error, ObtainError::NoPeer { .. }), "{name}: {error}");
        assert!(bench.names().is_empty(), "{name}: {:?}", bench.names());
    }
    let files = entries(&small());
    let (_, error) = listed(files.clone(), total(&files) + 1).await;
    assert!(error.to_string().contains("bytes and says"), "{error}");
    let (_, error) = listed(Vec::new(), 0).await;
    assert!(error.to_string().contains("lists 0 files"), "{error}");
    let many = (0..1025).map(|number| FileEntry { name: format!("{number}"), size: 0, sha256: Sha256([0; 32]) });
    let (_, error) = listed(many.collect(), 0).await;
    assert!(error.to_string().contains("lists 1025 files"), "{error}");
    let mut vast = files;
    vast[1].size = u64::MAX / 2;
    let sum = total(&vast);
    let (bench, error) = listed(vast, sum).await;
    assert!(matches!(error, ObtainError::NoRoom(_)), "{error}");
    assert!(bench.names().is_empty());
}

#[tokio::test]
async fn who_does_not_have_it_or_is_no_node_of_the_cluster_is_named() {
    let cluster = Cluster::new();
    let origin = tempfile::tempdir().unwrap();
    write(origin.path(), &small());
    let (address, _serving) = cluster.holder(origin.path(), origin.path());
    let bench = cluster.asker(&[&address]);
    let model = Model { source: Some(Source::Node), ..Model::default() };
    let error = obtain("other", &model, &bench.files, &bench.progress).await.unwrap_err();
    assert!(error.to_string().contains("the model 'other' is not served there"), "{error}");
    // The other side's certificate is of another authority; ours is not accepted there either.
    let foreign = Cluster::new().asker(&[&address]);
    let error = foreign.obtain("node").await.unwrap_err();
    assert!(error.to_string().contains("not of the trusted cluster"), "{error}");
    let mut alone = Bench::new();
    alone.files.peers = vec![address];
    assert!(alone.obtain("node").await.unwrap_err().to_string().contains("has not joined"));
}

/// What a node answers to this frame.
async fn answer(
    cluster: &Cluster,
    address: &str,
    frame: impl Into<Frame>,
) -> Result<Frame, transport::frames::RecvError> {
    let own = cluster.node(3);
    let connection = Dialler::new(TIMING).any_peer(address, &own).await.unwrap();
    let (mut writer, mut reader) = connection.open().await.unwrap();
    writer.send(frame).await.unwrap();
    writer.finish();
    reader.recv_within(Duration::from_secs(20), "an answer").await
}

#[tokio::test]
async fn nothing_but_the_models_own_files_is_handed_out() {
    let cluster = Cluster::new();
    let outside = tempfile::tempdir().unwrap();
    let origin = outside.path().join("m");
    write(&origin, &small());
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    std::fs::write(origin.join("id_rsa"), "secret").unwrap();
    // What leads out of the folder is no file of the model.
    std::os::unix::fs::symlink(outside.path().join("secret"), origin.join("merges.txt")).unwrap();
    let (address, _serving) = cluster.holder(&origin, outside.path());
    let wanted = |name: &str, offset| FileWanted { model: "m".to_owned(), name: name.to_owned(), offset };
    for name in ["../secret", "/etc/passwd", "id_rsa", "merges.txt", "", ".", "config.json/../../secret"] {
        let said = answer(&cluster, &address, wanted(name, 0)).await.unwrap();
        assert_eq!(said, FilesRefused::UnknownFile { name: name.to_owned() }.into());
    }
    let said = answer(&cluster, &address, wanted("config.json", 3)).await.unwrap();
    assert_eq!(said, FilesRefused::Offset { offset: 3, size: 2 }.into());
    let said = answer(&cluster, &address, wanted("config.json", 1)).await.unwrap();
    assert_eq!(said, FileChunk { bytes: b"}".to_vec() }.into());
    let Frame::FileList(list) = answer(&cluster, &address, FilesWanted { model: "m".into() }).await.unwrap() else {
        panic!("no list")
    };
    let names: Vec<&str> = list.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"]);
    assert!(answer(&cluster, &address, Goodbye { reason: "odd".into() }).await.is_err());
}

#[tokio::test]
async fn a_file_that_has_changed_has_another_hash_in_the_list() {
    let cluster = Cluster::new();
    let origin = tempfile::tempdir().unwrap();
    write(origin.path(), &small());
    let (address, _serving) = cluster.holder(origin.path(), origin.path());
    cluster.asker(&[&address]).obtain("node").await.unwrap();
    let mut changed = small();
    changed[1].1.push(1);
    write(origin.path(), &changed);
    let bench = cluster.asker(&[&address]);
    bench.obtain("node").await.unwrap();
    bench.holds(&changed);
}
