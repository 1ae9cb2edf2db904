use super::*;
use crate::figure::parse;

const LINES: &str = r#"
{"peer":"llama.cpp","format":"native","what":"prefill","tokens":512,"tok_s":800.0}
{"peer":"llama.cpp","format":"native","what":"decode","batch":1,"tok_s":120.0}
{"peer":"llama.cpp","format":"Q4_0","what":"decode","batch":1,"tok_s":140.0}
{"peer":"llama.cpp","format":"Q4_0","what":"decode","batch":8,"tok_s":250.0}
{"peer":"vllm","format":"BF16","what":"decode","batch":1,"tok_s":30.0}
{"peer":"vllm","format":"BF16","what":"decode","batch":8,"tok_s":260.0}
{"peer":"troupe","format":"int8","what":"decode","batch":1,"tok_s":150.0}
{"peer":"troupe","format":"int4","what":"decode","batch":1,"tok_s":210.0}
{"peer":"troupe","format":"int4","what":"decode","batch":8,"tok_s":351.0}
{"peer":"troupe","format":"int4","what":"load","ms":900.0}
{"peer":"llama.cpp","format":"Q4_0","what":"decode","batch":1,"tok_s":138.0}
{"peer":"troupe","format":"int4","what":"decode","batch":8,"tok_s":364.0}
"#;

fn comparison() -> Comparison {
    Comparison::of(&parse(LINES), &[Column::Decode(1), Column::Decode(8), Column::Prefill])
}

#[test]
fn the_best_round_counts_and_the_better_peer_is_the_measure() {
    let ratios = comparison().ratios();
    assert_eq!(ratios.len(), 2, "prefill was not measured of ours");
    assert_eq!((ratios[0].ratio, ratios[0].better_peer.as_str(), ratios[0].met), (1.5, "llama.cpp Q4_0", Some(true)));
    assert_eq!((ratios[1].ratio, ratios[1].better_peer.as_str(), ratios[1].met), (1.4, "vllm BF16", Some(false)));
    assert_eq!(ratios[0].format, "int4");
}

#[test]
fn each_figure_is_told_once() {
    let comparison = comparison();
    let best: Vec<&Figure> = comparison.best().collect();
    assert_eq!(best.len(), 9);
    let round = best.iter().find(|figure| figure.peer == TROUPE && figure.batch == Some(8));
    assert_eq!(round.and_then(|figure| figure.tok_s), Some(364.0));
}

#[test]
fn the_table_says_what_was_met() {
    let text = comparison().table().to_string();
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(cells(line("| llama.cpp"))[2..5], ["140.0 (Q4_0)", "250.0 (Q4_0)", "800.0 (native)"]);
    assert_eq!(cells(line("| vllm BF16"))[2..5], ["30.0", "260.0", "–"]);
    assert_eq!(cells(line("| troupe's best"))[2..5], ["1.50 (int4)", "1.40 (int4)", "–"]);
    assert_eq!(cells(text.lines().last().unwrap())[2..5], ["met", "missed", "–"]);
}

#[test]
fn without_peers_there_is_no_ratio() {
    let ours: Vec<Figure> = parse(LINES).into_iter().filter(|figure| figure.peer == TROUPE).collect();
    let comparison = Comparison::of(&ours, &[Column::Decode(1)]);
    assert!(comparison.ratios().is_empty());
    let text = comparison.table().to_string();
    assert!(text.contains("troupe int4") && !text.contains("llama.cpp") && !text.contains("goal"), "{text}");
}
