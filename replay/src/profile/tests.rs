use std::time::Duration;

use proptest::prelude::*;

use super::units::Time;
use super::*;

#[test]
fn every_profile_of_the_repository_is_part_of_the_program_and_bears_its_file_s_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort_unstable();
    assert_eq!(files, names().collect::<Vec<_>>());
    for name in names() {
        assert_eq!(Profile::by_name(name).unwrap().name, name);
    }
}

#[test]
fn what_is_written_is_read_back() {
    for name in names() {
        let profile = Profile::by_name(name).unwrap();
        assert_eq!(Profile::parse("x", &profile.to_toml()).unwrap(), profile);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        std::fs::write(&file, profile.to_toml()).unwrap();
        assert_eq!(Profile::by_name(file.to_str().unwrap()).unwrap(), profile);
    }
}

/// The figures of the computed profiles from those of card and model, as their files say they come about.
#[test]
fn computed_profiles_are_what_their_sheets_make_of_them() {
    let small = (8.03e9, 0.525e9, 32.0, 4096.0, 131_072.0);
    let large = (70.55e9, 1.05e9, 80.0, 8192.0, 327_680.0);
    for (name, cards, bandwidth, arithmetic, reduce, (parameters, looked_up, layers, width, kv)) in [
        ("a100-80g-llama-3.1-8b", 1.0, 2.039e12, 312e12, 0.0, small),
        ("h100-80g-llama-3.1-8b", 1.0, 3.35e12, 989e12, 0.0, small),
        ("l4-llama-3.1-8b", 1.0, 0.3e12, 121e12, 0.0, small),
        ("a10g-llama-3.1-8b", 1.0, 0.6e12, 70e12, 0.0, small),
        ("h100-80g-x4-llama-3.1-70b", 4.0, 3.35e12, 989e12, 160.0 * 8e-6, large),
    ] {
        let profile = Profile::by_name(name).unwrap();
        let (read, compute) = (bandwidth * cards * 0.68, arithmetic * cards * 0.5);
        let prefill = 2.0 * (parameters - looked_up) / compute;
        for (field, value, told) in [
            ("prefill", prefill, profile.prefill),
            ("prefill_context", 4.0 * layers * width * 1024.0 / compute, profile.prefill_context),
            ("step", 2.0 * parameters / read + reduce, profile.step),
            ("sequence", prefill / 2.0 + 10e-6, profile.sequence),
            ("sequence_context", 1024.0 * kv / read, profile.sequence_context),
        ] {
            let off = told.as_secs_f64() / value - 1.0;
            assert!(off.abs() < 0.01, "{name}: {field} is {told:?}, computed {value} s");
        }
    }
}

#[test]
fn a_simulated_engine_has_the_profile_s_times_and_about_its_room() {
    let profile = Profile::by_name("h100-80g-llama-3.1-8b").unwrap();
    let own = profile.mock_options("m", None);
    assert_eq!((own.model.as_str(), own.block, u64::from(own.blocks)), ("m", 32, profile.blocks.0));
    assert_eq!((own.timing.prefill_per_token, own.timing.decode_per_step), (profile.prefill, profile.step));
    assert_eq!(own.timing.decode_per_context, profile.sequence_context);
    let coarse = profile.mock_options("m", Some(Tokens(512)));
    assert_eq!((coarse.block, u64::from(coarse.blocks)), (512, profile.blocks.0 / 16));
}

#[track_caller]
fn says(change: fn(&str) -> String, message: &str) {
    let text = change(&Profile::by_name("troupe-cpu").unwrap().to_toml());
    let error = Profile::parse("p.toml", &text).unwrap_err().to_string();
    assert!(error.starts_with(message), "{error}");
    assert!(!error.contains('\n'), "one line: {error}");
}

/// The text with another value under a key.
fn with(text: &str, key: &str, value: &str) -> String {
    let line = |line: &str| {
        if line.starts_with(&format!("{key} = ")) { format!("{key} = {value}\n") } else { format!("{line}\n") }
    };
    text.lines().map(line).collect()
}

#[test]
fn figures_no_node_can_have_are_refused_in_one_line() {
    says(
        |text| with(text, "prefill", "\"3ns\""),
        "p.toml: prefill is 3ns: no machine prefills ten million tokens a second",
    );
    says(
        |text| with(text, "step", "\"0s\""),
        "p.toml: step is 0ns: no machine reads a model's weights in less than 10us",
    );
    says(|text| with(text, "sequence", "\"2000s\""), "p.toml: sequence is 2000s: this is longer than a minute");
    says(|text| with(text, "blocks", "0"), "p.toml: blocks is 0: give at least 1");
    says(|text| with(text, "block", "4097"), "p.toml: block is 4097: give at most 4096");
    says(
        |text| with(&with(text, "context", "16"), "block", "32"),
        "p.toml: block is 32: a block cannot be larger than context, 16",
    );
    says(|text| with(text, "batch", "257"), "p.toml: batch is 257: no more than queue, 256, can run at once");
    says(
        |text| with(&with(text, "batch", "32"), "step_tokens", "8"),
        "p.toml: batch is 32: a step has no more sequences than step_tokens, 8",
    );
    says(|text| with(text, "chunk", "513"), "p.toml: chunk is 513: a chunk is part of a step of step_tokens, 512");
    says(
        |text| with(text, "blocks", "2"),
        "p.toml: context is 8192: blocks of 32 tokens hold 64 tokens: lower context, or",
    );
    says(|text| with(text, "hour", "\"1001\""), "p.toml: hour is 1001.00: give dollars for one hour of one node");
    says(|text| with(text, "source", "\" \""), "p.toml: source is empty: say it");
    says(|text| with(text, "name", "\"a b\""), "p.toml: name is \"a b\": give a name without spaces");
}

#[test]
fn text_that_is_no_profile_is_refused_with_its_line() {
    says(
        |text| with(text, "step", "\"9 parsecs\""),
        "p.toml, line 5: '9 parsecs' is not a time: write a number and a unit",
    );
    says(|text| with(text, "blocks", "-1"), "p.toml, line 8: invalid value: integer `-1`, expected u64");
    says(|text| with(text, "hour", "\"-1\""), "p.toml, line 15: '-1' is not an amount of money");
    says(|text| text.replace("step =", "setp ="), "p.toml, line 5: unknown field `setp`, expected one of `name`, ");
    says(|text| text.replace("step = ", "# "), "p.toml, line 1: missing field `step`");
    says(|_| "prefill".to_owned(), "p.toml, line 1: ");
    let unknown = Profile::by_name("b200").unwrap_err().to_string();
    assert!(unknown.starts_with("there is no profile 'b200': take one of a100-80g-llama-3.1-8b, "), "{unknown}");
    let missing = Profile::by_name("./b200.toml").unwrap_err().to_string();
    assert!(missing.starts_with("./b200.toml: cannot be read: "), "{missing}");
}

#[test]
fn times_are_exact_decimals_with_a_unit() {
    for (text, nanos) in
        [("2.1us", 2_100), ("15ms", 15_000_000), ("0.5 ns ", 0), ("850ns", 850), ("1.000000001s", 1_000_000_001)]
    {
        let time = text.parse::<Time>().ok();
        assert_eq!(time, (nanos > 0).then(|| Time(Duration::from_nanos(nanos))), "{text}");
    }
    for text in ["", "us", "1", "-1us", ".5us", "1.2.3us", "1.0001us", "1e3us", "99999999999999999999s"] {
        assert!(text.parse::<Time>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn times_are_read_back_as_they_are_printed(nanos in 0_u64..1 << 50) {
        let time = Time(Duration::from_nanos(nanos));
        prop_assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
    }
}
