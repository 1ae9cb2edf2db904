//! What each format may say.

use super::*;

#[test]
fn mooncake_may_leave_blocks_out_and_name_sessions_by_number_or_text() {
    let text = r#"
{"timestamp": 0, "input_length": 513, "output_length": 1, "hash_ids": [7, 8], "priority": "high"}
{"timestamp": 0.25, "input_length": 1, "output_length": 2, "session_id": 4}
{"timestamp": 1500, "input_length": 1, "output_length": 3, "session_id": "a", "hash_ids": null}
{"timestamp": 1500, "input_length": 1, "output_length": 3, "session_id": "b"}
{"timestamp": 1501, "input_length": 1, "output_length": 3, "session_id": "a"}
"#;
    let trace = plain(text).unwrap();
    assert_eq!(times(&trace), [0, 250, 1_500_000, 1_500_000, 1_501_000]);
    assert_eq!(trace.name, "t");
    let first = trace.requests.first().unwrap();
    assert_eq!((first.input, first.output, first.blocks.as_slice()), (Tokens(513), Tokens(1), [7, 8].as_slice()));
    let sessions: Vec<Option<u64>> = trace.requests.iter().map(|request| request.session).collect();
    assert_eq!(sessions.first(), Some(&None));
    assert_eq!(sessions.get(1), Some(&Some(4)));
    assert_eq!(sessions.get(2), sessions.get(4));
    assert_ne!(sessions.get(2), sessions.get(3));
}

#[test]
fn azure_s_times_have_seven_decimals_or_an_offset() {
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n\
                2023-11-16 23:59:59.9999990,374,44\r\n2023-11-17 00:00:00.0000020,396,109";
    let trace = plain(text).unwrap();
    assert_eq!(times(&trace), [0, 3]);
    assert!(trace.requests.iter().all(|request| request.blocks.is_empty() && request.session.is_none()));
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
                2024-05-10 00:00:00.009930+00:00,1,2\n2024-05-10 02:00:01.009930+02:00,1,2\n";
    assert_eq!(times(&plain(text).unwrap()), [0, 1_000_000]);
}

#[test]
fn burstgpt_counts_seconds_from_anywhere() {
    let text = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                5,ChatGPT,472,18,490,Conversation log\n45.5,GPT-4,1087,230,1317,API log\n";
    let trace = plain(text).unwrap();
    assert_eq!(times(&trace), [0, 40_500_000]);
    assert!(trace.requests.iter().all(|request| request.blocks.is_empty()));
}

#[test]
fn burstgpt_s_sessions_share_what_their_prompts_have_both() {
    let text = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                1,x,2.0,ChatGPT,600,18,618,Conversation log\n2,y,1,GPT-4,100,2,102,Conversation log\n\
                9,x,2.0,ChatGPT,1600,18,1618,Conversation log\n10,,1,GPT-4,100,2,102,API log\n";
    let trace = plain(text).unwrap();
    let [first, other, next, alone] = trace.requests.as_slice() else { panic!("{trace:?}") };
    assert_eq!((first.blocks.len(), next.blocks.len()), (2, 4));
    assert!(next.blocks.starts_with(&first.blocks));
    assert!(other.blocks.iter().all(|name| !next.blocks.contains(name)));
    assert_eq!((first.session, alone.session, alone.blocks.len()), (next.session, None, 0));
}

#[test]
fn failed_requests_are_left_out_where_that_is_asked_for() {
    let text = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                5,ChatGPT,472,0,472,Conversation log\n45,GPT-4,1087,230,1317,API log\n";
    let options = ReadOptions { skip_failed: true, ..ReadOptions::default() };
    assert_eq!(read_text(text, &options).unwrap().requests.len(), 1);
    assert!(plain(text).unwrap_err().contains("--skip-failed"));
}

#[test]
fn no_more_is_read_than_the_limit() {
    let text = r#"{"timestamp": 0, "input_length": 1, "output_length": 1}
nonsense"#;
    let options = ReadOptions { limit: Some(1), ..ReadOptions::default() };
    assert_eq!(read_text(text, &options).unwrap().requests.len(), 1);
    assert!(plain(text).is_err());
}

#[test]
fn a_cut_keeps_a_window_and_counts_from_its_beginning() {
    let text: String = (0..10)
        .map(|at| format!("{{\"timestamp\": {}, \"input_length\": 1, \"output_length\": 1}}\n", at * 1000))
        .collect();
    let trace = plain(&text).unwrap();
    let seconds = Duration::from_secs;
    let cut = Cut { from: seconds(2), to: Some(seconds(8)), limit: Some(3), speed: 2.0 };
    assert_eq!(times(&cut.apply(trace.clone()).unwrap()), [0, 500_000, 1_000_000]);
    let error = |cut: Cut| cut.apply(trace.clone()).unwrap_err().to_string();
    assert_eq!(
        error(Cut { from: seconds(60), ..Cut::default() }),
        "no request comes between --from 1m and --to the end: the trace's last comes at 9s"
    );
    assert!(error(Cut { from: seconds(2), to: Some(seconds(2)), ..Cut::default() }).contains("--to is 2s"));
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(error(Cut { speed, ..Cut::default() }).starts_with("--speed is "), "{speed}");
    }
    assert!(error(Cut { limit: Some(0), ..Cut::default() }).contains("--limit is 0"));
}
