use std::path::PathBuf;

use super::super::offers::tests::priced;
use super::super::report::{Report, window};
use super::super::{json, plot, prompts};
use super::*;

/// Says where the data lies, if not beside the checkout.
const VARIABLE: &str = "TROUPE_ROUTING_DATA";

#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
fn file() -> Option<PathBuf> {
    let folder = std::env::var_os(VARIABLE)
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/routing"), PathBuf::from);
    let file = folder.join("llmrouter_9models_train.jsonl");
    let found = file.is_file();
    if !found {
        eprintln!("skipped: there is no {}; set {VARIABLE} to the folder that holds it", file.display());
    }
    found.then_some(file)
}

fn report(pool: &Pool, workload: &Workload, priced: &[Priced], seed: u64) -> Report {
    let scorer = LinearScorer::built_in().unwrap();
    let stage = Stage::new(workload, pool, &scorer, &[1], false, seed);
    Report {
        workload: workload.clone(),
        currency: "USD".into(),
        prompts: String::new(),
        seed,
        mixes: priced.iter().map(|priced| stage.mix(priced).unwrap()).collect(),
        months: Vec::new(),
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_made_up_prompts_no_quality() {
    let scorer = LinearScorer::built_in().unwrap();
    let workload = prompts::tests::workload(500);
    let mixes = [priced("guide").0, priced("own nodes").0];
    let of = |seed| report(&Pool::made_up(seed, &scorer), &workload, &mixes, seed);
    let (one, two, other) = (of(1), of(1), of(2));
    assert_eq!(one.text(), two.text());
    assert_eq!(json::json(&one).to_string(), json::json(&two).to_string());
    assert_ne!(one.text(), other.text());
    assert!(one.mixes.iter().all(|mix| !mix.labelled && mix.curves.is_empty()));
    assert!(one.text().contains("quality is not told"));
    assert!(plot::svg(&one).unwrap_err().to_string().contains("--data FILE"));
}

#[test]
fn on_the_labelled_data_routing_saves_as_much_as_the_document_says() {
    let Some(file) = file() else { return };
    let scorer = LinearScorer::built_in().unwrap();
    let pool = Pool::labelled(&file, &scorer).unwrap();
    let learned: std::collections::BTreeSet<&str> = pool.learned.iter().map(|one| one.text.as_str()).collect();
    let seen = pool.items.iter().filter(|item| learned.contains(item.example.text.as_str())).count();
    assert!(pool.items.len() == 438 && pool.learned.len() == 1753 && seen == 0, "{seen} were learned from");
    let workload = prompts::tests::workload(438 * 4);
    let report = report(&pool, &workload, &[priced("open models").0, priced("one pair").0], 1);
    let find = |mix: usize, name: &str| report.mixes[mix].rows.iter().find(|row| row.name == name).unwrap();
    // Every prompt four times: the figures of the held-out fifth, as `xtask eval complexity` has them.
    let row = find(0, "auto:balanced");
    assert!((row.against.saved - 0.627).abs() < 0.001 && (row.against.kept - 0.939).abs() < 0.001, "{:?}", row.against);
    let row = find(1, "auto:balanced");
    assert!((0.6..=0.8).contains(&row.against.saved) && row.against.kept >= 0.95, "{:?}", row.against);
    for mix in 0..2 {
        let kept = |name: &str| find(mix, name).against.kept;
        assert!(kept("auto:balanced") > kept("by lot, balanced's share"));
        assert!(kept("auto:balanced") > kept("by length, balanced's share"));
    }
    assert_eq!(window(&report.mixes[0].curves[0].1), None, "not reached, and the document says why");
    assert!(window(&report.mixes[1].curves[0].1).is_some());
    let svg = plot::svg(&report).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg == plot::svg(&report).unwrap());
}

#[test]
fn what_is_infinite_is_left_out_of_the_plot() {
    let scorer = LinearScorer::built_in().unwrap();
    let workload = prompts::tests::workload(50);
    let mut report = report(&Pool::made_up(1, &scorer), &workload, &[priced("guide").0], 1);
    let kept = [1.0, f64::INFINITY, f64::NAN, 1e300, -1e300];
    let points = kept.map(|kept| Point { at: 0.0, up: 0.0, against: Against { saved: 0.5, kept } });
    for mix in &mut report.mixes {
        mix.labelled = true;
        mix.curves = vec![("auto", points.to_vec())];
        mix.rows.iter_mut().for_each(|row| row.against = Against { saved: f64::NEG_INFINITY, kept: f64::INFINITY });
    }
    let plot = plot::svg(&report).unwrap();
    assert!(plot.contains("auto") && !plot.contains("inf") && !plot.contains("NaN"), "{plot}");
}
