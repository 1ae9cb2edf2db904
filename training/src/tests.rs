//! The gate: the weights in the repository against the data, where it is.

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use policy::complexity::LinearScorer;
use policy::complexity::tiers::Mode;
use training::{bill, data, eval};

use crate::{Cli, Command, Eval};

/// Says where the data lies, if not beside the checkout.
const VARIABLE: &str = "TROUPE_ROUTING_DATA";

#[expect(clippy::print_stderr, reason = "a gate that is skipped must say so")]
fn file() -> Option<PathBuf> {
    let folder = std::env::var_os(VARIABLE)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/routing"), PathBuf::from);
    let file = folder.join("llmrouter_9models_train.jsonl");
    let found = file.is_file();
    if !found {
        eprintln!("skipped: there is no {}; set {VARIABLE} to the folder that holds it", file.display());
    }
    found.then_some(file)
}

fn workload() -> bill::Workload {
    let cli = Cli::try_parse_from(["x", "eval", "complexity", "data.jsonl"]).unwrap();
    let Command::Eval { what: Eval::Complexity { workload, .. } } = cli.command else { panic!("not eval") };
    workload
}

#[test]
fn the_weights_of_the_repository_are_good_enough() {
    let Some(file) = file() else { return };
    let (_, held) = data::split(data::read(&[file]).unwrap());
    let figures = eval::figures(&LinearScorer::built_in().unwrap(), &held, &workload());
    assert!(figures.auc >= 0.75, "area {}", figures.auc);
    assert!(figures.stripped >= 0.75, "without templates {}", figures.stripped);
    for (what, share) in &figures.flips {
        assert!(*share < 0.05, "{what}: {share}");
    }
    let (_, share, quality, bill) = figures.modes.iter().find(|(mode, ..)| *mode == Mode::Balanced).unwrap();
    assert!((0.6..=0.8).contains(&bill.saved()), "saved {}", bill.saved());
    let random = figures.ends.0 + share * (figures.ends.1 - figures.ends.0);
    assert!(*quality > random + 0.02, "quality {quality}, at random {random}");
    for (share, [router, _, random, oracle]) in &figures.kept {
        assert!(router > random && router <= oracle, "at {share}: {router}, random {random}, oracle {oracle}");
    }
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
    assert!(Cli::try_parse_from(["x", "train", "complexity"]).is_err());
}
