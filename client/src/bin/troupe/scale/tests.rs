use std::time::Duration;

use clap::Parser;
use protocol::units::Nanos;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    wanted: Wanted,
}

fn query(line: &str) -> Result<ScaleQuery, String> {
    let words = std::iter::once("advise").chain(line.split(' '));
    let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
    line.wanted.query().map_err(|failure| failure.to_string())
}

#[test]
fn targets_are_read() {
    let read = query("--ttft 500ms --percentile 0.95 --headroom 20% --model m").unwrap();
    assert_eq!((read.ttft, read.percentile.to_string().as_str()), (Some(Duration::from_millis(500)), "p95"));
    assert_eq!((read.headroom, read.model.as_deref(), read.most), (Percent(20), Some("m"), 64));
    assert_eq!(query("--ttft 500ms --p99"), query("--ttft 500ms"));
}

#[test]
fn what_is_wrong_is_said_with_its_option() {
    for (line, words) in [
        ("--ttft 0ms", "--ttft is 0"),
        ("--ttft 5", "250ms"),
        ("--ttft 1s --percentile 1.5", "'1.5' is no percentile"),
        ("--ttft 1s --percentile 100", "such as 0.99"),
        ("--ttft 1s --percentile 0.9 --p99", "cannot be used with"),
        ("--ttft 1s --latency 500ms", "--latency is 500ms, below ttft, 1s"),
        ("--ttft 1s --max-nodes 0", "--max-nodes is 0: give 1 to 512"),
        ("--ttft 1s --headroom 20", "10%"),
        ("--p99", "required"),
    ] {
        let error = query(line).unwrap_err();
        assert!(error.contains(words), "{line}: {error}");
    }
}

#[test]
fn the_table_marks_what_is_and_what_should_be() {
    let row = |nodes, ttft, meets| ScaleRow {
        nodes,
        meets,
        ttft: Some(Duration::from_millis(ttft)),
        busy: Percent(60),
        hits: Percent(40),
        ..ScaleRow::default()
    };
    let advice = ScaleAdvice {
        model: "m".into(),
        target: query("--ttft 500ms").unwrap(),
        nodes: 2,
        requests: 900,
        over: Duration::from_secs(90),
        measured: Some(Duration::from_millis(700)),
        rows: vec![row(2, 800, false), row(3, 400, true)],
        advised: Some(3),
        hour: Some(Nanos(2_000_000_000)),
        currency: "USD".into(),
        sure: protocol::manage::Sure::Fairly,
        notes: vec!["a note".into()],
        ..ScaleAdvice::default()
    };
    let expected = "\
m: 2 nodes now; 900 requests of the last 1.5 minutes; p99 of TTFT within 500ms
measured: p99 of TTFT 700 ms
NODES    TTFT  LATENCY  INTER-TOKEN  REFUSED  BUSY  HITS  HOUR  MEETS
    2  800 ms        -            -        0   60%   40%  4.00  no     now
    3  400 ms        -            -        0   60%   40%  6.00  yes    advised
add 1 node (2.00 USD an hour): 3 nodes meet p99 of TTFT within 500ms
note: a note
";
    assert_eq!(told(&advice), expected);
}
