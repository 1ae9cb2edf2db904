use clap::Parser;

use super::*;
use crate::learn::{Recipe, weights};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    workload: Workload,
}

fn examples(from: usize) -> Vec<Example> {
    let of = |n: usize| {
        let (task, text, small) = if n.is_multiple_of(2) {
            ("sums", format!("work out the sum of the {n} pears and the {n} plums in that basket"), 0.0)
        } else {
            ("colours", format!("which colour has the coat of the old horse in stable {n}"), 1.0)
        };
        Example { task: task.into(), text, small, large: 1.0, ..Example::default() }
    };
    (from..from + 60).map(of).collect()
}

#[test]
fn a_report_says_what_was_measured() {
    let recipe = Recipe { seed: 1, penalty: 0.5, own: 0.3 };
    let scorer = LinearScorer::new(weights(&examples(0), &recipe));
    let workload = Line::try_parse_from(["x"]).unwrap().workload;
    let held = examples(100);
    let figures = figures(&scorer, &held, &workload);
    assert_eq!(figures.auc, 1.0);
    assert_eq!(figures.tasks.get("sums"), Some(&(30, None)));
    assert_eq!(figures.ends, (0.5, 1.0));
    let (share, [router, _, random, oracle]) = figures.kept[4];
    assert!((share - 0.5).abs() < 1e-9 && (router, random, oracle) == (1.0, 0.75, 1.0), "{router} {random} {oracle}");
    let text = report(&figures, held.len(), &workload);
    for words in ["held out: 60", "all                1.000", "typos, 3", "50 %   1.000", "auto:balanced", "p99"] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
}
