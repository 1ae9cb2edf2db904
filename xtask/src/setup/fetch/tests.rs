use super::super::wheels::{LIBTORCH_CPU, SMOLLM2};
use super::*;

fn torch() -> &'static Wheel {
    LIBTORCH_CPU.parts[0].0
}

#[test]
fn pip_failures_become_one_line_with_the_remedy() {
    let cases = [
        ("/usr/bin/python3: No module named pip\n", "apt install python3-pip"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n", "TROUPE_CACHE"),
        (
            "WARNING: Retrying ... NewConnectionError: Connection refused\nERROR: No matching distribution",
            "was refused",
        ),
        ("WARNING: x\nERROR: HTTP error 403 while getting https://x\nnote\n", "HTTP error 403"),
        ("", "without a word"),
    ];
    for (log, remedy) in cases {
        let error = explain(log, torch(), Path::new("/cache/downloads/.pip-1")).to_string();
        assert!(error.contains(remedy), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_file_with_another_hash_is_refused_by_both_hashes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.whl");
    fs::write(&path, "abc").unwrap();
    let error = verify(torch(), &path).unwrap_err().to_string();
    assert!(error.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), "{error}");
    assert!(error.contains(torch().sha256), "{error}");
}

#[test]
fn the_torch_wheel_does_not_depend_on_the_interpreter() {
    let command = download_command(torch(), Path::new("/w"), Path::new("/w/wheels"));
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    let line = arguments.join(" ");
    assert!(line.contains("--python-version 3.11") && line.contains("--abi cp311"), "{line}");
    assert!(line.ends_with("torch==2.13.0"), "{line}");
    let plain = download_command(SMOLLM2.parts[0].0, Path::new("/w"), Path::new("/w/wheels"));
    assert!(plain.get_args().all(|argument| argument != "--abi"));
}
