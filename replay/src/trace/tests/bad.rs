//! What no trace can be: one line with file, line, field, value and remedy.

use proptest::prelude::*;

use super::*;

const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n";
const BURST: &str = "Timestamp,Model,Request tokens,Response tokens\n5,ChatGPT,472,18\n";

#[track_caller]
fn says(text: &str, message: &str) {
    let error = plain(text).unwrap_err();
    assert_eq!(error, message);
    assert!(!error.contains('\n'), "one line: {error}");
}

fn mooncake(second: &str) -> String {
    format!("{{\"timestamp\": 7, \"input_length\": 3, \"output_length\": 3}}\n{second}\n")
}

#[test]
fn files_that_are_no_traces() {
    says("", "t.x: has no requests: give a trace with at least one");
    says("\n \n", "t.x: has no requests: give a trace with at least one");
    says(
        "\nhello, world",
        "t.x, line 2: begins with 'hello, world', which no known format does: name the format, one of mooncake, azure, burstgpt",
    );
    says("TIMESTAMP,ContextTokens,GeneratedTokens\n", "t.x: has no requests: give a trace with at least one");
    let missing = read(Path::new("/no/such/file"), None).unwrap_err().to_string();
    assert!(missing.starts_with("/no/such/file: cannot be read: "), "{missing}");
    let wrong = ReadOptions { format: Some(Format::Azure), ..ReadOptions::default() };
    assert_eq!(
        read_text(&mooncake(""), &wrong).unwrap_err(),
        "t.x, line 1: TIMESTAMP is missing: name it in the header, with a column below"
    );
}

#[test]
fn fields_that_are_missing_or_of_the_wrong_type() {
    says(
        &mooncake(r#"{"timestamp": 8, "output_length": 3}"#),
        "t.x, line 2: input_length is missing: write the prompt's length in tokens",
    );
    says(
        &mooncake(r#"{"timestamp": "8", "input_length": 3, "output_length": 3}"#),
        "t.x, line 2: timestamp is \"8\": write when the request came, in milliseconds",
    );
    says(
        &mooncake(r#"{"timestamp": 8, "input_length": 3.5, "output_length": 3}"#),
        "t.x, line 2: input_length is 3.5: write a whole number of tokens, such as 512",
    );
    says(
        &mooncake(r#"{"timestamp": 8, "input_length": 3, "output_length": 3, "hash_ids": [-1]}"#),
        "t.x, line 2: hash_ids is -1: a name of a block is a whole number from 0 on",
    );
    let error = plain(&mooncake("[1, 2]")).unwrap_err();
    assert!(error.starts_with("t.x, line 2: is no JSON object (invalid type: sequence"), "{error}");
    says(
        &format!("{AZURE}2023-11-16 18:15:47,,3"),
        "t.x, line 3: ContextTokens is missing: write it, or leave the line out",
    );
    says(
        &format!("{AZURE}yesterday,1,3"),
        "t.x, line 3: TIMESTAMP is yesterday: write date and time, such as 2023-11-16 18:15:46.680590",
    );
    says(&format!("{BURST}x,ChatGPT,1,3"), "t.x, line 3: Timestamp is x: write a number, such as 1500");
    says(&format!("{BURST}6,ChatGPT"), "t.x, line 3: Request tokens is missing: write it, or leave the line out");
}

#[test]
fn lengths_that_no_request_has() {
    says(
        &mooncake(r#"{"timestamp": 8, "input_length": 0, "output_length": 3}"#),
        "t.x, line 2: input_length is 0: give at least 1 token, or leave the line out",
    );
    says(
        &mooncake(r#"{"timestamp": 8, "input_length": 3, "output_length": 1000001}"#),
        "t.x, line 2: output_length is 1000001: give at most 1000000 tokens, or leave the line out",
    );
    says(
        &mooncake(r#"{"timestamp": 8, "input_length": 513, "output_length": 3, "hash_ids": [1]}"#),
        "t.x, line 2: hash_ids has 1 names, but input_length 513 in blocks of 512 tokens needs 2: correct one of them, or the block size",
    );
    says(
        &format!("{BURST}6,ChatGPT,7,0"),
        "t.x, line 3: Response tokens is 0: the request failed; leave such lines out, or read the trace with --skip-failed",
    );
}

#[test]
fn times_that_run_backwards_or_beyond() {
    says(
        &mooncake(r#"{"timestamp": 6.5, "input_length": 3, "output_length": 3}"#),
        "t.x, line 2: timestamp is 6.5, earlier than 7 in line 1: sort the trace by timestamp",
    );
    says(
        &format!("{AZURE}2023-11-16 18:15:46.6805899,3,4"),
        "t.x, line 3: TIMESTAMP is 2023-11-16 18:15:46.6805899, earlier than 2023-11-16 18:15:46.6805900 in line 2: sort the trace by TIMESTAMP",
    );
    says(
        &mooncake(r#"{"timestamp": -1, "input_length": 3, "output_length": 3}"#),
        "t.x, line 2: timestamp is -1: time begins at 0",
    );
    says(
        &mooncake(r#"{"timestamp": 1e300, "input_length": 3, "output_length": 3}"#),
        "t.x, line 2: timestamp is 1e+300: this is no time since the beginning of a trace",
    );
    says(
        &mooncake(r#"{"timestamp": 40000000000, "input_length": 3, "output_length": 3}"#),
        "t.x, line 2: timestamp is 40000000000: a trace lasts a year at most",
    );
}

#[test]
fn bytes_that_are_no_text() {
    for begin in [&mooncake("")[..], AZURE, BURST] {
        let bytes = [begin.as_bytes(), b"\xff\xfe,1,2,3\n"].concat();
        let error = read_from(Path::new("t.x"), bytes.as_slice(), &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("no UTF-8 text"), "{error}");
    }
}

proptest! {
    /// Whatever is in the file: a trace that keeps the rules, or one line.
    #[test]
    fn anything_is_a_trace_or_one_line(
        format in prop_oneof![Just(None), Just(Some(Format::Mooncake)), Just(Some(Format::Azure)), Just(Some(Format::BurstGpt))],
        head in prop_oneof![Just(String::new()), Just(AZURE.to_owned()), Just(BURST.to_owned()), Just(mooncake(""))],
        tail in proptest::collection::vec(prop_oneof![
            r#"[0-9:,. {}\[\]"-]{0,40}"#,
            r#"\{"timestamp": [0-9e.-]{1,6}, "input_length": [0-9]{1,8}, "output_length": [0-9]{1,3}(, "hash_ids": \[[0-9,]{0,9}\])?\}"#,
            "[0-9.]{1,9},x,[0-9]{1,8},[0-9]{1,8}",
            any::<String>(),
        ], 0..6),
    ) {
        let text = format!("{head}{}", tail.join("\n"));
        match read_text(&text, &ReadOptions { format, ..ReadOptions::default() }) {
            Ok(trace) => {
                prop_assert!(trace.requests.is_sorted_by_key(|request| request.at));
                for request in &trace.requests {
                    prop_assert!((1..=1_000_000).contains(&request.input.0) && (1..=1_000_000).contains(&request.output.0));
                    let blocks = request.blocks.len() as u64;
                    prop_assert!(blocks == 0 || blocks == request.input.blocks(trace.block).0);
                }
            }
            Err(error) => prop_assert!(!error.contains(['\n', '\r']) && error.starts_with("t.x"), "{error}"),
        }
    }
}

#[test]
fn a_line_of_a_table_without_an_end_is_not_kept() {
    let long = "is longer than 1048576 bytes: write one request a line, and close quotes";
    for text in [
        format!("{AZURE}2023-11-16 18:15:47,3,{}", "4".repeat(2 << 20)),
        // A quote that is not closed: lines without end are one.
        format!("{AZURE}\"{}", "2023-11-16 18:15:47,3,3\n".repeat(90_000)),
    ] {
        says(&text, &format!("t.x, line 3: {long}"));
    }
    says(&format!("TIMESTAMP,ContextTokens,{}", "x".repeat(2 << 20)), &format!("t.x, line 1: {long}"));
    let many = format!("{AZURE}{}", "2023-11-16 18:15:47,3,3\n".repeat(90_000));
    assert_eq!(plain(&many).unwrap().requests.len(), 90_001, "no line of these is long");
}
