//! What the program does at its edges: closed pipes, files, and options that cannot be.

#![expect(clippy::unwrap_used, reason = "a test's own steps do not fail")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn simulations(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulations"));
    command.args(words).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Runs it with standard output into a pipe that nobody reads.
fn unread(words: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    simulations(words).stdout(writer).spawn().unwrap().wait_with_output().unwrap()
}

/// A small trace as a file.
fn trace(folder: &Path) -> String {
    let path = folder.join("trace.jsonl").display().to_string();
    let made = simulations(&["generate", "shared-prefix", "--requests", "20", "--out", &path]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    path
}

#[test]
fn a_closed_pipe_is_a_quiet_end_and_files_are_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let trace = trace(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (replayed, scaled, inspected, lost) = (path("r.json"), path("s.json"), path("i.jsonl"), path("l.json"));
    let (plotted, paid) = (path("folder/s.svg"), path("folder/c.json"));
    let plots = path("plots");
    let all: [&[&str]; 10] = [
        &["replay", &trace, "--nodes", "2", "--policies", "random,prefix", "--json", &replayed, "--plots", &plots],
        &["inspect", &trace, "--out", &inspected],
        &["generate", "no-sharing", "--requests", "20"],
        &[
            "scale",
            "--nodes",
            "4",
            "--coordinators",
            "1",
            "--delays",
            "1ms",
            "--requests",
            "4",
            "--json",
            &scaled,
            "--plot",
            &plotted,
        ],
        &["scale", "--lose-coordinator", "--nodes", "4", "--requests", "4", "--redial", "600ms", "--json", &lost],
        &["chaos", "--seeds", "2"],
        &["chaos", "--seed", "1", "--verbose"],
        &["stack", "--list"],
        &["cost", "--made-up", "--mix", "guide", "--requests", "100", "--days", "1", "--json", &paid],
        &["plan", "--trace", &trace, "--ttft", "10s", "--profile", "a100-80g-llama-3.1-8b"],
    ];
    for words in all {
        let done = unread(words);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && !said.contains("panicked"), "{words:?}: {}, {said}", done.status);
    }
    for file in [replayed, scaled, plotted, inspected, lost, paid, path("plots/ttft.svg")] {
        assert!(std::fs::metadata(&file).unwrap().len() > 0, "{file} is empty");
    }
}

/// What it says of options that cannot be.
fn refused(words: &str) -> String {
    let done = simulations(&words.split(' ').collect::<Vec<_>>()).output().unwrap();
    assert!(!done.status.success() && done.stdout.is_empty(), "{words}: {done:?}");
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(!said.contains("panicked"), "{words}: {said}");
    said
}

#[test]
fn numbers_that_cannot_be_are_refused_in_a_line_that_names_them_and_what_to_give() {
    let replay = |rest: &str| format!("replay there-is-no-such-file {rest}");
    let cases = [
        ("scale --rate 1e-30".to_owned(), "--rate 0.000000000000000000000000000001: give between 0.000001 and 1000"),
        ("scale --lose-coordinator --rate 1e-30".to_owned(), "--rate 0.000000000000000000000000000001: give between"),
        ("scale --rate -1".to_owned(), "--rate -1: give between"),
        ("scale --rate NaN".to_owned(), "--rate NaN: give between"),
        ("scale --nodes 0".to_owned(), "--nodes 0: give between 1 and 20000"),
        ("scale --nodes 20000 --requests 501".to_owned(), "--requests 501: give between 1 and 500"),
        ("scale --coordinators 65".to_owned(), "--coordinators 65: give between 1 and 64"),
        ("scale --delays 100000s".to_owned(), "give between 0s and"),
        ("scale --lose-coordinator --away 0s".to_owned(), "--away 0s: give between 1ms and"),
        ("scale --lose-coordinator --redial 100000s".to_owned(), "--redial"),
        ("scale --measure --blocks 0".to_owned(), "--blocks 0: give between 1 and 2500000"),
        ("scale --measure --placements 0".to_owned(), "--placements 0: give between"),
        ("scale --measure --events 0".to_owned(), "--events 0: give between"),
        (replay("--nodes 0"), "--nodes 0: give between 1 and 20000"),
        (replay("--profile a100-80g-llama-3.1-8b=0"), "give between 1 and 20000"),
        (replay("--coordinators 0"), "--coordinators 0: give between 1 and 64"),
        (replay("--delay 100000s"), "--delay"),
        (replay("--report-every 0s"), "--report-every 0s: give between 1ms and"),
        (replay("--block 0"), "--block 0: give between 1 and 65536"),
        (replay("--speed 0"), "--speed is 0: give a factor"),
        (replay("--speed -1"), "--speed is -1: give a factor"),
        (replay("--ttft 0s"), "--ttft 0s"),
        ("generate bursts --rate 1e-30".to_owned(), "--rate is 0.000000000000000000000000000001: give"),
        ("generate bursts --rate -1".to_owned(), "--rate is -1: give"),
        ("generate agents --turns -1".to_owned(), "--turns is -1: give"),
        ("generate shared-prefix --skew -1".to_owned(), "--skew is -1: give"),
        ("chaos --from 18446744073709551615 --seeds 2".to_owned(), "--from 18446744073709551615: give between 0 and"),
        ("stack --all --seed 18446744073709551615 --seeds 2".to_owned(), "--seed 18446744073709551615: give"),
        ("cost --cached 101%".to_owned(), "--cached is 101%: give 0% to 100%"),
        ("cost --requests 0".to_owned(), "--requests is 0: give 1 to"),
    ];
    for (words, expected) in cases {
        let said = refused(&words);
        assert!(said.lines().count() == 1 && said.contains(expected), "{words}: {said}");
    }
}

#[test]
fn options_that_would_say_nothing_are_refused() {
    let cases = [
        ("scale --blocks 10", "--measure"),
        ("scale --placements 10", "--measure"),
        ("scale --events 10", "--measure"),
        ("scale --measure --rate 1", "cannot be used with"),
        ("scale --measure --delays 1ms", "cannot be used with"),
        ("scale --measure --coordinators 1", "cannot be used with"),
        ("scale --measure --requests 1", "cannot be used with"),
        ("scale --measure --profile x", "cannot be used with"),
        ("scale --measure --plot x.svg", "cannot be used with"),
        ("scale --measure --lose-coordinator", "cannot be used with"),
        ("scale --away 1s", "--lose-coordinator"),
        ("scale --redial 1s", "--lose-coordinator"),
        ("scale --lose-coordinator --coordinators 4", "cannot be used with"),
        ("scale --lose-coordinator --delays 1ms", "cannot be used with"),
        ("scale --lose-coordinator --plot x.svg", "cannot be used with"),
        ("replay x --nodes 4 --profile a100-80g-llama-3.1-8b=4", "--nodes 4"),
        ("replay x --trace-block 16 --format azure", "--trace-block"),
        ("replay x --skip-failed --format mooncake", "--skip-failed"),
        ("chaos --seed 1 --threads 2", "cannot be used with"),
        ("stack --list --journal", "cannot be used with"),
        ("stack --list --twice", "cannot be used with"),
        ("stack --list --seed 1", "cannot be used with"),
        ("stack --list --seeds 2", "cannot be used with"),
        ("cost --made-up --data x", "cannot be used with"),
    ];
    for (words, expected) in cases {
        let said = refused(words);
        assert!(said.contains(expected), "{words}: {said}");
    }
}
