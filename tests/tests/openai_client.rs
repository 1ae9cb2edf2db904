//! The official `openai` Python client against a cluster, unchanged but for base URL and key.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::build;
use tests::cluster::{Cluster, Engine, MODEL, run};

/// What the script must have found to work.
const CHECKS: [&str; 14] = [
    "models",
    "chat_whole",
    "chat_streamed",
    "usage_in_the_stream",
    "max_completion_tokens",
    "completions",
    "n_is_2",
    "stop",
    "seed",
    "logprobs",
    "logit_bias",
    "bad_key",
    "unknown_model",
    "bad_parameter",
];

fn scripts() -> PathBuf {
    build::checkout().join("tests/openai")
}

/// The folder for what is downloaded.
fn cache() -> PathBuf {
    match (std::env::var_os("TROUPE_CACHE"), std::env::var_os("HOME")) {
        (Some(cache), _) => cache.into(),
        (None, Some(home)) => Path::new(&home).join(".cache/troupe"),
        _ => panic!("neither TROUPE_CACHE nor HOME is set: there is no place for the openai client"),
    }
}

fn succeeds(command: &mut Command, remedy: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {remedy}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed; {remedy}\n{said}");
}

/// Python with the openai client, made once per version of the requirements.
fn python() -> PathBuf {
    let requirements = scripts().join("requirements.txt");
    let text = fs::read_to_string(&requirements).unwrap();
    let wanted = text.lines().find_map(|line| line.trim().strip_prefix("openai=="));
    let version = wanted.unwrap_or_else(|| panic!("{} pins no openai==VERSION", requirements.display()));
    let version: String = version.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
    fs::create_dir_all(cache()).unwrap();
    // Two test runs at once make it one after the other.
    let lock = File::create(cache().join("openai.lock")).unwrap();
    lock.lock().unwrap();
    let folder = cache().join(format!("openai-{version}"));
    let (python, done) = (folder.join("bin/python"), folder.join("installed.txt"));
    if fs::read_to_string(&done).is_ok_and(|installed| installed == text) {
        return python;
    }
    let remedy =
        "the openai client is installed once, from the package index: check the network, and that python3 has venv";
    succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), remedy);
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
    succeeds(&mut pip, remedy);
    fs::write(done, text).unwrap();
    python
}

#[tokio::test]
async fn the_official_client_is_content() {
    let python = tokio::task::spawn_blocking(python).await.unwrap();
    let cluster = Cluster::start(2, Engine::Torch).await;
    let mut command = Command::new(python);
    command.arg(scripts().join("check.py")).current_dir(cluster.folder());
    command.env("OPENAI_BASE_URL", format!("http://{}/v1", cluster.reach.http));
    command.env("OPENAI_API_KEY", &cluster.reach.key).env("TROUPE_MODEL", MODEL);
    let output = run(command).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for check in CHECKS {
        assert!(said.lines().any(|line| line == format!("ok {check}")), "no {check} in\n{said}");
    }
}
