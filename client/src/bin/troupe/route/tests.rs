use clap::Parser;

use super::prompts::parse;
use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

fn options(words: &[&str]) -> Result<Calibrate, clap::Error> {
    let words = ["route", "calibrate"].into_iter().chain(words.iter().copied());
    Line::try_parse_from(words).map(|line| {
        let Verb::Calibrate(options) = line.verb;
        options
    })
}

fn said(words: &[&str]) -> String {
    told(&options(words).unwrap()).unwrap()
}

#[test]
fn a_share_of_the_prompts_of_training_needs_no_file() {
    let text = said(&["--share", "30%"]);
    assert!(text.contains("to tier 1 or higher: 30.0 %"), "{text}");
    assert!(text.ends_with("\n# cluster.toml\n[routing]\nbalanced = [0.7000]\n"), "{text}");
    let text = said(&["--share", "30%", "--share", "5%", "--mode", "best"]);
    assert!(text.ends_with("best = [0.7000, 0.9500]\n"), "{text}");
}

#[test]
fn a_cost_becomes_a_share() {
    let text = said(&["--cost", "0.0006", "--small-cost", "0.0003", "--large-cost", "0.0013"]);
    assert!(text.contains("higher: 30.0 %") && text.contains("mean cost of a request: 0.000600000"), "{text}");
    let low = options(&["--cost", "0.0001", "--small-cost", "0.0003", "--large-cost", "0.0013"]).unwrap();
    assert!(told(&low).unwrap_err().to_string().contains("the lower tier alone costs"));
}

#[test]
fn prompts_of_a_file_are_scored_and_labels_tell_the_quality() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.jsonl");
    let lines: Vec<String> = (0..10)
        .map(|n| {
            let text = "Write a function that merges intervals and keeps their order. ".repeat(n);
            serde_json::json!({ "prompt": format!("{text}Which fruit is red?"), "small": 0.5, "large": 1 }).to_string()
        })
        .collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let text = said(&["--share", "50%", "--prompts", path.to_str().unwrap()]);
    assert!(text.starts_with("10 prompts of ") && text.contains("higher: 50.0 %"), "{text}");
    assert!(text.contains("mean quality: 0.750"), "{text}");
}

#[test]
fn wishes_that_contradict_or_make_no_sense_are_refused() {
    for words in [
        &[][..],
        &["--share", "30"],
        &["--share", "130%"],
        &["--share", "-1%"],
        &["--share", "NaN%"],
        &["--cost", "1"],
        &["--share", "30%", "--cost", "1", "--small-cost", "1", "--large-cost", "1"],
        &["--share", "30%", "--mode", "dear"],
    ] {
        assert!(options(words).is_err(), "{words:?}");
    }
    let rising = options(&["--share", "5%", "--share", "30%"]).unwrap();
    assert!(told(&rising).unwrap_err().to_string().contains("descending"));
    let missing = options(&["--share", "5%", "--prompts", "/no/such.jsonl"]).unwrap();
    assert!(matches!(told(&missing), Err(Failure::Usage(text)) if text.starts_with("/no/such.jsonl: ")));
}

#[test]
fn every_shape_of_a_prompt_is_read() {
    let text = concat!(
        "{\"prompt\": \"a\"}\n\n{\"question\": \"b\"}\n",
        "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"c\"}]}, ",
        "{\"role\": \"assistant\", \"content\": null}]}",
    );
    let found = parse(text.as_bytes(), Path::new("f")).unwrap();
    let turns: Vec<Vec<&str>> = found.prompts.iter().map(|prompt| prompt.view().turns().collect()).collect();
    assert_eq!(turns, [["a"], ["b"], ["c"]]);
    assert!(found.labels.is_empty());
}

#[test]
fn a_bad_line_is_named() {
    let message = |text: &str| parse(text.as_bytes(), Path::new("f")).unwrap_err().to_string();
    assert!(message("{\"prompt\": \"a\"}\n{").starts_with("f line 2: is no JSON"));
    assert!(message("{\"text\": \"a\"}").contains("f line 1: has no text: give `prompt`"));
    assert!(message("{\"messages\": []}").contains("has no text"));
    assert!(
        message("{\"prompt\": \"a\", \"small\": 2, \"large\": 1}").contains("`small` is 2: give a number from 0 to 1")
    );
    assert!(message("{\"prompt\": \"a\", \"small\": 1, \"large\": 1}\n{\"prompt\": \"b\"}").contains("1 of 2 prompts"));
    assert!(message("\n \n").contains("holds no prompt"));
    assert!(message("\u{ff}").contains("is no JSON"));
    assert!(message(&"x".repeat((8 << 20) + 2)).contains("has more than 8388608 bytes"));
}
