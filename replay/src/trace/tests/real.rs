//! The traces that lie beside the checkout, where they do.

use std::path::{Path, PathBuf};

use super::*;

#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
fn file(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("TROUPE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let file = shared.join("traces").join(name);
    if !file.is_file() {
        eprintln!("skipped: there is no {}; set TROUPE_SHARED to the folder with traces", file.display());
        return None;
    }
    Some(file)
}

fn tokens(trace: &Trace) -> (usize, u64, u64, u128) {
    let sum = |of: fn(&Request) -> Tokens| trace.requests.iter().map(of).sum::<Tokens>().0;
    let last = trace.requests.last().map_or(0, |request| request.at.as_micros());
    (trace.requests.len(), sum(|request| request.input), sum(|request| request.output), last)
}

#[test]
fn mooncake_s_traces_are_read() {
    for (name, expected) in [
        ("mooncake_synthetic_trace.jsonl", (3993, 61_194_628, 595_432, 1_022_025_000)),
        ("dynamo_mooncake_trace_1000.jsonl", (1000, 9_792_030, 199_084, 177_098_000)),
    ] {
        let Some(file) = file(name) else { return };
        let trace = read(&file, None).unwrap();
        assert_eq!(tokens(&trace), expected, "{name}");
        assert!(trace.requests.iter().all(|request| request.blocks.len() as u64 == request.input.blocks(BLOCK).0));
    }
}

#[test]
fn azure_s_trace_is_read() {
    let Some(file) = file("AzureLLMInferenceTrace_conv_2023.csv") else { return };
    let trace = read(&file, None).unwrap();
    assert_eq!(tokens(&trace), (19366, 22_361_870, 4_088_665, 3_501_721_937));
    assert!(trace.requests.iter().all(|request| request.blocks.is_empty()));
}
