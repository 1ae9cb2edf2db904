//! From an imitated hub.

use super::hub_server::{COMMIT, HubServer, Manners};
use super::*;

const REPO: &str = "hf:org/repo";

async fn hub() -> (HubServer, Bench) {
    let mut files = small();
    files.push(("README.md", b"words".to_vec()));
    files.push(("onnx/model.onnx", vec![7; 5000]));
    let hub = HubServer::start(&files).await;
    let mut bench = Bench::new();
    bench.files.hub.clone_from(&hub.address);
    (hub, bench)
}

#[tokio::test]
async fn a_repository_comes_once_and_is_checked() {
    let (hub, bench) = hub().await;
    assert_eq!(bench.obtain(REPO).await.unwrap(), bench.model());
    bench.holds(&small());
    let manifest = Manifest::load(&bench.model());
    assert_eq!((manifest.commit.as_deref(), manifest.complete), (Some(COMMIT), true));
    let progress = bench.progress.borrow().clone();
    assert_eq!((progress.percent(), progress.done), (100, small().iter().map(|(_, bytes)| bytes.len() as u64).sum()));
    let asked = hub.requests();
    assert_eq!(bench.obtain(REPO).await.unwrap(), bench.model());
    assert_eq!(hub.requests(), asked, "the second start asks nobody");
}

#[tokio::test]
async fn one_gguf_file_is_a_model_of_its_own() {
    let files = [("sub/a-Q4_0.gguf", vec![1; 2000]), ("b.gguf", vec![2; 2000])];
    let hub = HubServer::start(&files).await;
    let mut bench = Bench::new();
    bench.files.hub.clone_from(&hub.address);
    let place = bench.obtain("hf:org/repo/sub/a-Q4_0.gguf@v1").await.unwrap();
    assert_eq!(place, bench.model().join("a-Q4_0.gguf"));
    bench.holds(&[("a-Q4_0.gguf", vec![1; 2000])]);
    // Another source takes its place, and what it had goes.
    assert_eq!(bench.obtain("hf:org/repo/b.gguf").await.unwrap(), bench.model().join("b.gguf"));
    bench.holds(&[("b.gguf", vec![2; 2000])]);
    let missing = bench.obtain("hf:org/repo/c.gguf").await.unwrap_err();
    assert!(matches!(missing, ObtainError::NotThere { .. }), "{missing}");
    assert!(missing.to_string().contains("c.gguf"), "{missing}");
}

#[tokio::test]
async fn a_mirror_without_hashes_is_asked_for_etags() {
    let (hub, bench) = hub().await;
    hub.behave(Manners { terse: true, ..Manners::default() });
    // Small files are asked with a range, which the etag's answer must honour.
    bench.obtain(REPO).await.unwrap();
    bench.holds(&small());
    hub.behave(Manners { terse: true, corrupt: Some("model.safetensors"), ..Manners::default() });
    std::fs::remove_file(bench.model().join("model.safetensors")).unwrap();
    assert!(matches!(bench.obtain(REPO).await, Err(ObtainError::Hash { .. })));
}

#[tokio::test]
async fn a_wrong_byte_is_an_error_that_names_file_and_hashes() {
    for file in ["model.safetensors", "config.json"] {
        let (hub, bench) = hub().await;
        hub.behave(Manners { corrupt: Some(file), ..Manners::default() });
        let error = bench.obtain(REPO).await.unwrap_err();
        let ObtainError::Hash { file: named, wanted, got } = &error else { panic!("{error}") };
        assert_eq!(named, file);
        assert!(wanted != got && wanted.split(' ').next() == got.split(' ').next(), "{error}");
        assert!(!bench.names().iter().any(|name| name.ends_with(".part") || name == file), "{:?}", bench.names());
        hub.behave(Manners::default());
        bench.obtain(REPO).await.unwrap();
        bench.holds(&small());
    }
}

#[tokio::test]
async fn a_cut_is_gone_on_from_where_it_happened() {
    let (hub, bench) = hub().await;
    hub.behave(Manners { cut: Some(100_000), ..Manners::default() });
    bench.obtain(REPO).await.unwrap();
    bench.holds(&small());
    assert!(hub.resumed() >= 2, "300,000 bytes come in three pieces: {}", hub.resumed());
}

#[tokio::test]
async fn a_server_without_ranges_sends_all_again() {
    let (hub, bench) = hub().await;
    write(&bench.model(), &[("model.safetensors.part", small()[1].1[..1000].to_vec())]);
    hub.behave(Manners { no_ranges: true, ..Manners::default() });
    bench.obtain(REPO).await.unwrap();
    bench.holds(&small());
}

#[tokio::test]
async fn what_an_earlier_run_left_is_used_if_it_fits_and_dropped_if_not() {
    let (hub, bench) = hub().await;
    let part = bench.model().join("model.safetensors.part");
    write(&bench.model(), &[("model.safetensors.part", small()[1].1[..250_000].to_vec())]);
    bench.obtain(REPO).await.unwrap();
    assert_eq!(hub.resumed(), 1);
    for junk in [vec![9; 250_000], vec![9; 300_000], vec![9; 300_001]] {
        std::fs::remove_file(bench.model().join("model.safetensors")).unwrap();
        std::fs::write(&part, junk).unwrap();
        bench.obtain(REPO).await.unwrap();
        bench.holds(&small());
    }
}

#[tokio::test]
async fn a_cut_that_lasts_is_an_error_and_the_next_start_goes_on() {
    let (hub, bench) = hub().await;
    hub.behave(Manners { cut: Some(0), ..Manners::default() });
    let error = bench.obtain(REPO).await.unwrap_err();
    assert!(matches!(error, ObtainError::Cut { .. }), "{error}");
    hub.behave(Manners::default());
    bench.obtain(REPO).await.unwrap();
    bench.holds(&small());
}

#[tokio::test]
async fn more_bytes_than_announced_are_not_taken() {
    let (hub, bench) = hub().await;
    hub.behave(Manners { longer: Some("model.safetensors"), ..Manners::default() });
    let error = bench.obtain(REPO).await.unwrap_err();
    assert!(matches!(error, ObtainError::TooLong { size: 300_000, .. }), "{error}");
    assert!(!bench.model().join("model.safetensors.part").exists());
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let (hub, mut bench) = hub().await;
    hub.behave(Manners { token: Some("secret"), ..Manners::default() });
    let error = bench.obtain(REPO).await.unwrap_err();
    assert!(matches!(error, ObtainError::Token(_)) && error.to_string().contains("set HF_TOKEN"), "{error}");
    bench.files.token = Some("secret".to_owned());
    bench.obtain(REPO).await.unwrap();
    assert!(!hub.leaked(), "the token goes to the hub, not to where it redirects");
    bench.files.token = Some("sec\nret".to_owned());
    assert!(matches!(bench.obtain("hf:org/repo@v1").await, Err(ObtainError::Token(_))));
    bench.files.token = None;
    hub.behave(Manners::default());
    for source in ["hf:org/other", "hf:org/repo@v2"] {
        let error = bench.obtain(source).await.unwrap_err();
        assert!(matches!(error, ObtainError::NotThere { .. }), "{source}: {error}");
    }
    hub.behave(Manners { status: Some(418), ..Manners::default() });
    let error = bench.obtain("hf:org/repo@v1").await.unwrap_err();
    assert!(matches!(&error, ObtainError::Hub { problem, .. } if problem.contains("418")), "{error}");
}

#[tokio::test]
async fn a_busy_hub_is_asked_again_and_one_that_is_away_is_named() {
    let (hub, mut bench) = hub().await;
    hub.behave(Manners { busy: 2, ..Manners::default() });
    bench.obtain(REPO).await.unwrap();
    bench.files.hub = "http://127.0.0.1:1".to_owned();
    let error = bench.obtain("hf:org/repo@v1").await.unwrap_err();
    assert!(matches!(error, ObtainError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    for name in ["../model.safetensors", "/etc/passwd", "a\\..\\b", "x/../../y"] {
        let (hub, bench) = hub().await;
        hub.behave(Manners { also: Some(name), ..Manners::default() });
        let error = bench.obtain(REPO).await.unwrap_err();
        assert!(error.to_string().contains(&format!("{name:?} is refused")), "{error}");
        let error = bench.obtain("hf:org/repo/a.gguf").await.unwrap_err();
        assert!(matches!(error, ObtainError::Name(_)), "{error}");
        assert!(bench.names().is_empty(), "nothing was written");
    }
}

#[tokio::test]
async fn what_has_no_room_is_not_begun() {
    let (_hub, mut bench) = hub().await;
    bench.files.limit = 200_000;
    let error = bench.obtain(REPO).await.unwrap_err();
    assert!(matches!(&error, ObtainError::NoRoom(room::NoRoom::Limit { limit: 200_000, .. })), "{error}");
    assert!(bench.names().is_empty());
    // Other models count, and what is there of this one is not counted twice.
    bench.files.limit = 310_000;
    write(&bench.files.folder.join("other"), &[("a", vec![0; 20_000])]);
    assert!(bench.obtain(REPO).await.unwrap_err().to_string().contains("node.models_limit"));
    write(&bench.files.folder.join("other"), &[("a", vec![0; 9_000])]);
    write(&bench.model(), &[("model.safetensors.part", small()[1].1[..100_000].to_vec())]);
    bench.obtain(REPO).await.unwrap();
}

#[tokio::test]
async fn hashes_of_the_settings_must_hold() {
    let (_hub, bench) = hub().await;
    let right = hash(&small()[1].1).sha256;
    let error = bench.obtain_pinned(REPO, pinned("model.safetensors", Sha256([0; 32]))).await.unwrap_err();
    assert!(matches!(error, ObtainError::Listed { .. }), "known before anything is fetched: {error}");
    // Of a small file the hub says no SHA-256: it is compared once it is here.
    let error = bench.obtain_pinned(REPO, pinned("config.json", Sha256([0; 32]))).await.unwrap_err();
    assert!(matches!(error, ObtainError::Hash { .. }), "{error}");
    let error = bench.obtain_pinned(REPO, pinned("model.gguf", right)).await.unwrap_err();
    assert!(matches!(error, ObtainError::NoSuchFile(_)), "{error}");
    let error = bench.obtain_pinned(REPO, Some(Hashes::One(right))).await.unwrap_err();
    assert!(matches!(error, ObtainError::OneHash(3)), "{error}");
    bench.obtain_pinned(REPO, pinned("model.safetensors", right)).await.unwrap();
    bench.holds(&small());
}

#[tokio::test]
async fn a_file_that_was_damaged_here_is_fetched_again_and_no_other() {
    let (hub, bench) = hub().await;
    bench.obtain(REPO).await.unwrap();
    let asked = hub.requests();
    std::fs::write(bench.model().join("config.json"), "[]").unwrap();
    bench.obtain(REPO).await.unwrap();
    bench.holds(&small());
    assert_eq!(hub.requests() - asked, 2, "the listing and the one file");
}
