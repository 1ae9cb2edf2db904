//! From a folder that is there already.

use super::*;

fn shared(files: &[(&str, Vec<u8>)]) -> (Bench, PathBuf, String) {
    let bench = Bench::new();
    let folder = bench.folder.path().join("shared");
    write(&folder, files);
    let source = format!("folder:{}", folder.display());
    (bench, folder, source)
}

#[tokio::test]
async fn a_folder_is_copied_and_only_once() {
    let mut all = small();
    all.push(("notes.txt", b"words".to_vec()));
    let (bench, folder, source) = shared(&all);
    assert_eq!(bench.obtain(&source).await.unwrap(), bench.model());
    bench.holds(&small());
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(bench.obtain(&source).await.unwrap(), bench.model(), "it is here now");
}

#[tokio::test]
async fn one_file_is_copied_under_its_name() {
    let (bench, folder, _) = shared(&[("a.gguf", vec![1; 9]), ("b.gguf", vec![2; 9])]);
    let place = bench.obtain(&format!("folder:{}/b.gguf", folder.display())).await.unwrap();
    assert_eq!(
        (place, std::fs::read(bench.model().join("b.gguf")).unwrap()),
        (bench.model().join("b.gguf"), vec![2; 9])
    );
    let error = bench.obtain(&format!("folder:{}", folder.display())).await.unwrap_err();
    assert!(error.to_string().contains("a.gguf, b.gguf"), "{error}");
}

#[tokio::test]
async fn what_lies_beside_the_files_as_their_hashes_must_hold() {
    let (bench, folder, source) = shared(&small());
    let sums = |hash: Sha256| format!("{hash}  model.safetensors\n{hash}  of-no-interest\n");
    std::fs::write(folder.join("SHA256SUMS"), sums(Sha256([1; 32]))).unwrap();
    let error = bench.obtain(&source).await.unwrap_err();
    assert!(matches!(&error, ObtainError::Hash { file, .. } if file == "model.safetensors"), "{error}");
    std::fs::write(folder.join("SHA256SUMS"), "no sums").unwrap();
    assert!(bench.obtain(&source).await.unwrap_err().to_string().contains("line 1"));
    std::fs::write(folder.join("SHA256SUMS"), sums(hash(&small()[1].1).sha256)).unwrap();
    bench.obtain(&source).await.unwrap();
    bench.holds(&small());
}

#[tokio::test]
async fn a_models_folder_of_ours_is_checked_by_its_manifest() {
    let (first, _, source) = shared(&small());
    first.obtain(&source).await.unwrap();
    let second = Bench::new();
    let source = format!("folder:{}", first.model().display());
    let weights = first.model().join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    bytes[7] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    assert!(matches!(second.obtain(&source).await, Err(ObtainError::Hash { .. })));
    bytes[7] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    second.obtain(&source).await.unwrap();
    second.holds(&small());
}

#[tokio::test]
async fn a_folder_without_a_model_is_named() {
    let (bench, folder, source) = shared(&[("readme", vec![1])]);
    let error = bench.obtain(&source).await.unwrap_err();
    assert!(matches!(error, ObtainError::NoModel { .. }) && error.to_string().contains(&source), "{error}");
    let error = bench.obtain(&format!("folder:{}/none", folder.display())).await.unwrap_err();
    assert!(matches!(error, ObtainError::Files { .. }), "{error}");
    let error = bench.obtain(&format!("{source}/readme")).await.unwrap_err();
    assert!(matches!(error, ObtainError::NoModel { .. }), "{error}");
}

#[tokio::test]
async fn a_link_in_the_place_of_a_part_is_not_followed() {
    let (bench, folder, source) = shared(&small());
    std::fs::create_dir_all(bench.model()).unwrap();
    let target = folder.join("precious");
    std::fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, bench.model().join("config.json.part")).unwrap();
    assert!(matches!(bench.obtain(&source).await, Err(ObtainError::Files { .. })));
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
}
