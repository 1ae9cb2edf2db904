use super::*;

#[test]
fn identity_stays_and_starts_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/state");
    let first = State::open(&path, NodeId(7)).unwrap();
    assert_eq!((first.id, first.incarnation), (NodeId(7), Incarnation(1)));
    drop(first);
    let second = State::open(&path, NodeId(8)).unwrap();
    assert_eq!((second.id, second.incarnation), (NodeId(7), Incarnation(2)));
}

#[test]
fn two_processes_cannot_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let _first = State::open(folder.path(), NodeId(7)).unwrap();
    let error = State::open(folder.path(), NodeId(7)).unwrap_err();
    assert!(matches!(error, StateError::InUse(_)), "{error}");
    assert!(error.to_string().contains("--state"), "{error}");
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(State::open(folder.path(), NodeId(7)).unwrap());
    fs::write(folder.path().join("incarnation"), "many").unwrap();
    let error = State::open(folder.path(), NodeId(7)).unwrap_err().to_string();
    assert!(error.contains("incarnation") && error.contains("'many'"), "{error}");
}
