use std::io::Write as _;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn options(line: &str) -> Result<Options, String> {
    let words = std::iter::once("plan").chain(line.split(' '));
    Line::try_parse_from(words).map(|line| line.options).map_err(|error| error.to_string())
}

#[test]
fn what_is_wrong_is_said_with_its_option() {
    for (line, words) in [
        ("--trace t --ttft 500ms --percentile 1.5", "'1.5' is no percentile"),
        ("--trace t --ttft 500ms --percentile 100", "such as 0.99"),
        ("--trace t --ttft 500", "250ms"),
        ("--trace t --ttft 1s --p99 --percentile 0.5", "cannot be used with"),
        ("--trace t --ttft 1s --max-nodes 0", "--max-nodes"),
        ("--ttft 1s", "--trace"),
    ] {
        let error = options(line).unwrap_err();
        assert!(error.contains(words), "{line}: {error}");
    }
    for (line, words) in [
        ("--trace t", "give --ttft"),
        ("--trace t --ttft 0ms", "--ttft is 0"),
        ("--trace t --ttft 1s --latency 1ms", "below --ttft"),
        ("--trace t --ttft 1s --profile nobody", "nobody"),
        ("--trace t --ttft 1s --profile troupe-cpu,troupe-cpu", "twice"),
        ("--trace no-such-file --ttft 1s", "no-such-file"),
    ] {
        let error = run(&options(line).unwrap()).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{line}: {error}");
    }
}

#[test]
fn a_plan_is_a_row_or_a_reason() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for at in 0..40 {
        writeln!(file, "{{\"timestamp\": {}, \"input_length\": 200, \"output_length\": 4}}", at * 400).unwrap();
    }
    let line = format!("--trace {} --ttft 400ms --profile troupe-cpu", file.path().display());
    let options = options(&line).unwrap();
    let (target, trace) = (options.target().unwrap(), options.part.read(&options.trace).unwrap());
    let plans: Vec<(Profile, Plan)> = options
        .kinds()
        .unwrap()
        .into_iter()
        .map(|kind| {
            let bounds = Bounds { first: 1, most: 8 };
            let planned = plan(&kind, &trace, &target, bounds, on(&kind, 1)).unwrap();
            (kind, planned)
        })
        .collect();
    let text = told(&trace, &target, &plans);
    assert!(text.contains("40 requests") && text.contains("p99 of TTFT within 400ms"), "{text}");
    assert!(text.contains("troupe-cpu      1"), "one node does it: {text}");
    let read: serde_json::Value = serde_json::from_str(&json(&trace, &target, &plans).unwrap()).unwrap();
    let hour = Money(plans[0].0.hour).to_string();
    assert_eq!((read["plans"][0]["nodes"].as_u64(), read["plans"][0]["hour"].as_str()), (Some(1), Some(hour.as_str())));
    let hard = Target { ttft: Some(std::time::Duration::from_millis(50)), ..target };
    let (kind, _) = &plans[0];
    let planned = plan(kind, &trace, &hard, Bounds { first: 1, most: 8 }, on(kind, 1)).unwrap();
    let text = told(&trace, &hard, &[(kind.clone(), planned)]);
    assert!(text.contains("troupe-cpu: no number of nodes has p99 of TTFT within 50.0 ms"), "{text}");
}
