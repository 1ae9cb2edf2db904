use store::contract::FaultyStore;

use super::*;

fn write(name: &str) -> Write {
    Write::PutBlob { name: name.into(), bytes: vec![1] }
}

fn bed() -> (Arc<FaultyStore>, Steady) {
    let disk = Arc::new(FaultyStore::default());
    (Arc::clone(&disk), Steady::new(disk))
}

fn batch(first: bool, last: bool, name: &str) -> Vec<Write> {
    let mut batch = brings(first, last);
    batch.push(write(name));
    batch
}

#[test]
fn after_a_failure_nothing_passes_until_what_is_missing_has_come() {
    let (disk, steady) = bed();
    steady.commit(&[write("a")]).unwrap();
    disk.fail(true);
    steady.commit(&[write("b")]).unwrap_err();
    disk.fail(false);
    steady.commit(&[write("c")]).unwrap_err();
    assert!(steady.failed());
    steady.commit(&batch(true, false, "b")).unwrap();
    steady.commit(&[write("d")]).unwrap_err();
    assert!(steady.failed(), "a part is not all");
    steady.commit(&batch(false, true, "c")).unwrap();
    assert!(!steady.failed());
    steady.commit(&[write("e")]).unwrap();
    let names: Vec<String> = steady.load().unwrap().blobs.into_keys().collect();
    assert_eq!(names, ["a", "b", "c", "e"]);
}

#[test]
fn the_last_part_is_of_no_use_without_the_others() {
    let (disk, steady) = bed();
    disk.fail(true);
    steady.commit(&[write("a")]).unwrap_err();
    steady.commit(&batch(true, false, "a")).unwrap_err();
    disk.fail(false);
    steady.commit(&batch(false, true, "b")).unwrap_err();
    assert!(steady.failed());
    steady.commit(&batch(true, true, "a")).unwrap();
    assert!(!steady.failed());
}

#[test]
fn a_batch_that_never_came_to_the_store_is_missing_too_and_a_refused_one_is_not() {
    let (_disk, steady) = bed();
    steady.commit(&[write("")]).unwrap_err();
    assert!(!steady.failed());
    steady.missed(&WriterError::Full { queued: 1 });
    steady.commit(&[write("a")]).unwrap_err();
}
