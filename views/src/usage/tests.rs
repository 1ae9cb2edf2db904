use proptest::prelude::*;
use protocol::account::{Outcome, Subject};
use protocol::ids::RequestId;
use protocol::units::{Nanos, Tokens};
use serde_json::{Value, json};

use super::*;

fn record(change: impl FnOnce(&mut UsageRecord)) -> UsageRecord {
    let subject = Subject { key: "key-1".into(), model: "m".into(), ..Subject::default() };
    let mut record = UsageRecord {
        request: RequestId(0xabc),
        at: UnixMillis(1_769_848_200_000),
        subject,
        asked: "auto".into(),
        prompt: Tokens(10),
        cached: Tokens(8),
        completion: Tokens(5),
        reserved: Nanos(9_000_000_000),
        cost: Nanos(123_000),
        outcome: Outcome::Done,
        ..UsageRecord::default()
    };
    change(&mut record);
    record
}

fn rows(bytes: &[u8]) -> Vec<csv::StringRecord> {
    csv::ReaderBuilder::new().has_headers(false).from_reader(bytes).records().map(Result::unwrap).collect()
}

#[test]
fn csv_and_json_say_the_same() {
    let record = record(|record| {
        record.subject.organisation = Some("a, \"b\"".into());
        record.subject.tags = vec!["x".into(), "y;z".into()];
    });
    let bytes = csv(std::slice::from_ref(&record), true).unwrap();
    let rows = rows(&bytes);
    assert_eq!(rows[0].iter().collect::<Vec<_>>(), COLUMNS);
    let row: Vec<&str> = rows[1].iter().collect();
    let id = "00000000000000000000000000000abc";
    let wanted = [
        "2026-01-31T08:30:00.000Z",
        id,
        "key-1",
        "a, \"b\"",
        "",
        "m",
        "auto",
        "",
        "x;y\\;z",
        "10",
        "8",
        "5",
        "9.00",
        "0.000123",
        "0.00",
        "done",
    ];
    assert_eq!(row, wanted);
    let lines = json_lines(&[record.clone(), record]).unwrap();
    let lines: Vec<Value> =
        String::from_utf8(lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = json!({
        "at": "2026-01-31T08:30:00.000Z", "request": id, "key": "key-1", "organisation": "a, \"b\"", "team": null,
        "model": "m", "asked": "auto", "provider": null, "tags": ["x", "y;z"], "prompt": 10, "cached": 8,
        "completion": 5, "reserved": "9.00", "cost": "0.000123", "disputed": "0.00", "outcome": "done",
    });
    assert_eq!(lines, [expected.clone(), expected]);
}

#[test]
fn no_text_is_a_formula_in_csv() {
    for evil in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "=HYPERLINK(\"http://x\")"] {
        let record = record(|record| {
            record.subject.model = evil.into();
            record.subject.team = Some(evil.into());
            record.subject.tags = vec![evil.into()];
        });
        let bytes = csv(&[record], false).unwrap();
        for column in [4, 5, 8] {
            let text = &rows(&bytes)[0][column];
            assert!(text.starts_with('\''), "{evil:?} became {text:?}");
        }
    }
    assert_eq!(harmless("plain=text"), "plain=text");
}

#[test]
fn pages_after_the_first_have_no_head() {
    assert_eq!(csv(&[], false).unwrap(), b"");
    assert_eq!(rows(&csv(&[], true).unwrap()).len(), 1);
}

#[test]
fn wrong_places_are_refused() {
    for text in ["", "-", "5", "5-abc", "x-00000000000000000000000000000abc", "-1-00000000000000000000000000000abc"] {
        assert!(text.parse::<Place>().unwrap_err().to_string().contains("next"), "{text}");
    }
}

proptest! {
    #[test]
    fn places_come_back(at in any::<u64>(), request in any::<u128>()) {
        let place = Place(UsagePlace { at: UnixMillis(at), request: RequestId(request) });
        prop_assert_eq!(place.to_string().parse::<Place>(), Ok(place));
    }

    /// Whatever stands in a record, its line is one record again.
    #[test]
    fn any_text_stays_in_its_field(text in any::<String>(), tag in any::<String>()) {
        let record = record(|record| {
            record.subject.team = Some(text.clone());
            record.subject.tags = vec![tag.clone(), tag.clone()];
        });
        let bytes = csv(&[record], true).unwrap();
        let rows = rows(&bytes);
        prop_assert_eq!(rows.len(), 2);
        prop_assert_eq!(rows[1].len(), COLUMNS.len());
        prop_assert_eq!(rows[1][4].strip_prefix('\'').unwrap_or(&rows[1][4]), text.strip_prefix('\'').unwrap_or(&text));
    }
}
