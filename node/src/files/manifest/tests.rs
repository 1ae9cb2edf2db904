use std::collections::BTreeMap;

use super::*;

const NODE: Source = Source::Node;

fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = Manifest { source: "node".to_owned(), complete: true, ..Manifest::default() };
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        manifest.put(survey(&path, SafeName::new(name).unwrap()).unwrap());
    }
    (folder, manifest)
}

#[test]
fn a_manifest_comes_back_as_it_was_saved() {
    let (folder, manifest) = folder(&[("b", b"two"), ("a", b"one")]);
    manifest.save(folder.path()).unwrap();
    assert_eq!(Manifest::load(folder.path()), manifest);
    assert_eq!(manifest.files[0].name.as_str(), "a");
    fs::write(folder.path().join(MANIFEST), "{\"files\": [{\"name\": \"../x\"}]}").unwrap();
    assert_eq!(Manifest::load(folder.path()), Manifest::default(), "what cannot be trusted counts as none");
}

#[test]
fn a_changed_file_is_found_out_and_a_touched_one_is_not_fetched_again() {
    let (folder, mut manifest) = folder(&[("a", b"one"), ("b", b"two")]);
    assert!(manifest.is_whole(folder.path(), &NODE, None));
    let path = folder.path().join("a");
    fs::write(&path, "one").unwrap();
    manifest.files[0].modified -= 1;
    assert!(manifest.is_whole(folder.path(), &NODE, None));
    assert!(manifest.files[0].is(&fs::metadata(&path).unwrap()), "its time is noted");
    fs::write(&path, "eno").unwrap();
    manifest.files[0].modified -= 1;
    assert!(!manifest.is_whole(folder.path(), &NODE, None));
    fs::remove_file(&path).unwrap();
    assert!(!manifest.is_whole(folder.path(), &NODE, None));
}

#[test]
fn a_link_is_no_file_of_a_model() {
    let (folder, mut manifest) = folder(&[("a", b"one")]);
    let path = folder.path().join("a");
    fs::rename(&path, folder.path().join("c")).unwrap();
    std::os::unix::fs::symlink("c", &path).unwrap();
    assert!(!manifest.is_whole(folder.path(), &NODE, None));
}

#[test]
fn another_source_or_another_hash_is_another_model() {
    let (folder, mut manifest) = folder(&[("a", b"one")]);
    let hash = manifest.files[0].sha256;
    let mut whole =
        |source: &str, pins: Option<Hashes>| manifest.is_whole(folder.path(), &source.parse().unwrap(), pins.as_ref());
    let each = |name: &str, hash| Some(Hashes::Each(BTreeMap::from([(name.to_owned(), hash)])));
    assert!(whole("node", Some(Hashes::One(hash))) && whole("node", each("a", hash)));
    assert!(!whole("hf:org/repo", None));
    assert!(!whole("node", Some(Hashes::One(Sha256([0; 32])))));
    assert!(!whole("node", each("a", Sha256([0; 32]))) && !whole("node", each("b", hash)));
}

#[test]
fn what_is_not_all_there_is_not_whole() {
    let (folder, mut manifest) = folder(&[("a", b"one")]);
    manifest.complete = false;
    assert!(!manifest.is_whole(folder.path(), &NODE, None));
    assert!(!Manifest { complete: true, source: "node".into(), ..Manifest::default() }.is_whole(
        folder.path(),
        &NODE,
        None
    ));
}
