use super::*;

fn shell_process(script: &str, logs: &Path) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::start("it", command, logs).unwrap()
}

fn wait_for_line(process: &Process, line: &str) {
    while !process.tail().contains(line) {
        pause(LOOK_AGAIN);
    }
}

#[test]
fn an_orderly_process_ends_when_asked() {
    let logs = tempfile::tempdir().unwrap();
    let mut it = shell_process("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done", logs.path());
    wait_for_line(&it, "up");
    it.check().unwrap();
    assert!(it.stop(Duration::from_secs(60)));
    assert!(it.tail().contains("bye"));
}

#[test]
fn a_deaf_process_is_killed_and_does_not_count_as_orderly() {
    let logs = tempfile::tempdir().unwrap();
    let mut it = shell_process("trap '' TERM; echo up; while :; do sleep 0.01; done", logs.path());
    wait_for_line(&it, "up");
    assert!(!it.stop(Duration::ZERO));
    assert!(it.check().is_err(), "it is gone");
}

#[test]
fn an_early_end_shows_the_log_and_is_news_once() {
    let logs = tempfile::tempdir().unwrap();
    let mut it = shell_process("echo cannot bind; exit 3", logs.path());
    let error = loop {
        if let Err(error) = it.check() {
            break error.to_string();
        }
        pause(LOOK_AGAIN);
    };
    assert!(error.contains("exit status: 3") && error.contains("cannot bind"), "{error}");
    assert!(it.news().is_some_and(|how| how.contains('3')));
    assert_eq!(it.news(), None);
}

#[test]
fn dropping_kills() {
    let logs = tempfile::tempdir().unwrap();
    let it = shell_process("echo up; exec sleep 1000", logs.path());
    wait_for_line(&it, "up");
    let id = Pid::from_raw(i32::try_from(it.id()).unwrap());
    kill(id, None).unwrap();
    drop(it);
    assert!(kill(id, None).is_err(), "it is gone, and we have waited for it");
}
