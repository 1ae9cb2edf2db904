use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn plan(line: &str) -> Plan {
    let words = ["troupe", "plan"].into_iter().chain(line.split_whitespace());
    let Verb::Plan(plan) = Line::try_parse_from(words).unwrap().options.verb;
    plan
}

fn report(line: &str) -> Result<Report, String> {
    let plan = plan(line);
    plan.list().and_then(|list| plan.report(list)).map_err(|failure| failure.line().unwrap())
}

#[test]
fn the_reference_workload_is_what_is_planned_if_nothing_is_said() {
    let table = show::table(&report("").unwrap());
    let expected = [
        "100,000 requests a day of 1,000 + 500 tokens, 0% of the prompts cached; at the peak 3 times the mean",
        "gpt-4-turbo                         100,000       2,500.00        75,000.00  10.00 in, 10.00 cached, 30.00 out\n",
        "claude-3-haiku-20240307             100,000          87.50         2,625.00  0.25 in, 0.03 cached, 1.25 out\n",
        "a100-8b                             100,000          75.12         2,253.60  3.13 an hour\n",
        "  1 unit: enough; Llama 3.1 8B, FP16: busy 19.1% of the time, 57.3% at the peak of 3,473 + 1,737 tokens/s (it does 15,200 or 5,040)",
        "30% gpt-4-turbo                      30,000         750.00",
        "together                            100,000         811.25        24,337.50\n",
        "routing saves 1,688.75 a day, 67.5%, against 2,500.00 for all to gpt-4-turbo\n",
        "gpt-4-turbo                      LiteLLM; 2026-11; withdrawn by its provider on 2026-10-23\n",
        "a100-8b                          TensorRT-LLM 0.17, docs/source/performance/perf-overview.md, A100-SXM4-80GB; 2025-02\n",
    ];
    for part in expected {
        assert!(table.contains(part), "{part}\n{table}");
    }
}

#[test]
fn programs_get_exact_amounts() {
    let json = show::json(&report("--cached 40%").unwrap());
    assert_eq!(json["alone"][1]["day"], "78.70");
    assert_eq!(json["alone"][2]["day"], "75.12");
    assert_eq!(json["alone"][2]["hardware"]["suffices"], true);
    assert_eq!(json["alone"][0]["hardware"], serde_json::Value::Null);
    assert_eq!(json["routed"]["dearest"], "gpt-4-turbo");
    assert_eq!(json["routed"]["tiers"][0]["share"], 0.7);
    assert_eq!(json["workload"]["cached"], 0.4);
}

#[test]
fn own_hardware_that_does_not_suffice_is_told() {
    let report = report("--gpu-hour 2 --gpus 2 --prefill 1000 --decode 500 --units 1 --model own").unwrap();
    let (_, bill) = &report.alone[0];
    assert_eq!(bill.need.unwrap().enough, 7);
    assert_eq!(Money(bill.day).to_string(), "96.00");
    let table = show::table(&report);
    assert!(table.contains("1 unit: NOT ENOUGH, 7 are needed"), "{table}");
    // What is left out is as usual, and own hardware stands beside what is compared.
    let table = show::table(&self::report("--gpu-hour 1").unwrap());
    assert!(table.contains("own                                 100,000          24.00"), "{table}");
    assert!(table.contains("gpt-4-turbo") && table.contains("what is not given as a100-8b"), "{table}");
}

#[test]
fn a_list_of_ones_own_goes_before_the_one_in_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.toml");
    let mine = "[models.gpt-4-turbo]\ninput = \"5\"\noutput = \"15\"\n[models.mine]\ninput = \"1\"\noutput = \"1\"";
    fs::write(&path, mine).unwrap();
    let of = |line: &str| report(&format!("--prices {} {line}", path.display()));
    let day = |report: &Report, place: usize| Money(report.alone[place].1.day).to_string();
    let both = of("--model gpt-4-turbo --model mine --model gpt-4o --mix mine=80% --mix gpt-4o=20%").unwrap();
    assert_eq!([0, 1, 2].map(|place| day(&both, place)), ["1250.00", "150.00", "750.00"]);
    assert_eq!(both.alone[1].0.source, path.display().to_string());
    assert_eq!(Money(both.routed.all.day).to_string(), "270.00");

    // Another currency: what is in the program does not mix with it.
    fs::write(&path, format!("currency = \"EUR\"\n{mine}")).unwrap();
    assert_eq!(of("--model mine --mix mine=100%").unwrap().currency, "EUR");
    assert!(of("--model gpt-4o --mix mine=100%").unwrap_err().contains("'gpt-4o'"));

    fs::write(&path, "[models.mine]\ninput = \"-1\"\noutput = \"1\"").unwrap();
    let error = of("").unwrap_err();
    assert!(error.starts_with("--prices ") && error.contains("line 2") && error.contains("not negative"), "{error}");
}

#[test]
fn what_is_wrong_is_one_line_with_the_flag_and_the_remedy() {
    for (line, words) in [
        ("--cached 101%", ["--cached", "0% to 100%"]),
        ("--peak 0.5", ["--peak", "1 to 1000"]),
        ("--days 0", ["--days", "1 to 366"]),
        ("--units 0", ["--units", "at least 1"]),
        ("--requests 18446744073709551615", ["--requests", "give fewer"]),
        ("--gpu-hour 0", ["--gpu-hour is 0.00", "more than 0"]),
        ("--prefill 0", ["--prefill is 0", "give 1 to"]),
        ("--gpus 0", ["--gpus is 0", "give 1 to"]),
        ("--model gpt-9", ["--model 'gpt-9'", "name one of claude-3-haiku"]),
        ("--mix gpt-9=100%", ["--mix 'gpt-9'", "--prices"]),
        ("--mix gpt-4o=90%", ["--mix", "make them 100%"]),
        ("--prices /nowhere", ["--prices /nowhere", "give a file"]),
    ] {
        let error = report(line).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)) && !error.contains('\n'), "{line}: {error}");
    }
    for (line, words) in [
        ("--requests -1", ["--requests", "invalid digit"]),
        ("--cached half", ["--cached", "whole hundredths"]),
        ("--peak 1.234", ["--peak", "2.5"]),
        ("--mix gpt-4o", ["--mix", "NAME=SHARE"]),
        ("--mix gpt-4o=x", ["--mix", "whole hundredths"]),
        ("--gpu-hour -3", ["--gpu-hour", "not negative"]),
    ] {
        let words_of_line = ["troupe", "plan"].into_iter().chain(line.split_whitespace());
        let error = Line::try_parse_from(words_of_line).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{line}: {error}");
    }
}
