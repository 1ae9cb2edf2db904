use protocol::account::{Outcome, Subject};
use protocol::ids::RequestId;
use protocol::units::{Nanos, Tokens};

use super::*;

fn record() -> UsageRecord {
    UsageRecord {
        request: RequestId(0xab),
        at: UnixMillis(1_795_824_000_007),
        subject: Subject {
            organisation: Some("Köln, \"Süd\"".to_owned()),
            team: None,
            key: "key-0123456789abcdef".to_owned(),
            model: "qwen".to_owned(),
            tags: vec!["a;b".to_owned(), "c\\".to_owned(), "new\nline".to_owned()],
            provider: Some("anthropic".to_owned()),
        },
        asked: "auto:cheap".to_owned(),
        prompt: Tokens(1_000),
        cached: Tokens(20),
        completion: Tokens(3),
        reserved: Nanos(2_500_000_000),
        cost: Nanos(1),
        disputed: Nanos(0),
        outcome: Outcome::Cancelled,
    }
}

fn written(records: &[UsageRecord]) -> (String, String) {
    let (mut table, mut lines) = (Vec::new(), Vec::new());
    csv(records, &mut table).unwrap();
    json_lines(records, &mut lines).unwrap();
    (String::from_utf8(table).unwrap(), String::from_utf8(lines).unwrap())
}

const HEAD: &str = "at,request,key,organisation,team,model,asked,provider,tags,prompt,cached,completion,reserved,cost,\
                    disputed,outcome\n";

#[test]
fn the_columns_are_a_promise() {
    let (table, lines) = written(&[record(), UsageRecord::default()]);
    let one = "2026-11-28T00:00:00.007Z,000000000000000000000000000000ab,key-0123456789abcdef,\"Köln, \"\"Süd\"\"\",,\
               qwen,auto:cheap,anthropic,\"a\\;b;c\\\\;new\nline\",1000,20,3,2.50,0.000000001,0.00,cancelled\n";
    let two = "1970-01-01T00:00:00.000Z,00000000000000000000000000000000,,,,,,,,0,0,0,0.00,0.00,0.00,done\n";
    assert_eq!(table, format!("{HEAD}{one}{two}"));
    let one = r#"{"at":"2026-11-28T00:00:00.007Z","request":"000000000000000000000000000000ab","key":"key-0123456789abcdef","organisation":"Köln, \"Süd\"","team":null,"model":"qwen","asked":"auto:cheap","provider":"anthropic","tags":["a;b","c\\","new\nline"],"prompt":1000,"cached":20,"completion":3,"reserved":"2.50","cost":"0.000000001","disputed":"0.00","outcome":"cancelled"}"#;
    assert_eq!(lines.lines().next(), Some(one));
    assert_eq!(lines.lines().count(), 2);
}

#[test]
fn nothing_is_a_table_without_rows() {
    assert_eq!(written(&[]), (HEAD.to_owned(), String::new()));
}

#[test]
fn both_have_the_same_columns() {
    let (_, lines) = written(&[record()]);
    let places: Vec<_> = COLUMNS.iter().map(|column| lines.find(&format!("\"{column}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&lines).unwrap();
    assert_eq!(object.len(), COLUMNS.len());
}

#[test]
fn a_spreadsheet_computes_nothing() {
    for evil in ["=HYPERLINK(\"http://x\")", "+1", "-1+1", "@SUM(A1)", "\tx", "\rx", "\nx"] {
        let mut record = record();
        let text = || evil.to_owned();
        record.subject = Subject {
            organisation: Some(text()),
            team: Some(text()),
            key: text(),
            model: text(),
            tags: vec![text()],
            provider: Some(text()),
        };
        record.asked = text();
        let (table, lines) = written(&[record]);
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let row = reader.records().next().unwrap().unwrap();
        let harmless = row.iter().filter(|field| **field == format!("'{evil}")).count();
        assert_eq!(harmless, 7, "{row:?}");
        assert!(!row.iter().any(|field| field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])), "{row:?}");
        assert!(!lines.contains('\''), "{lines}");
    }
}

#[test]
fn a_time_without_a_date_is_an_error() {
    let far = UsageRecord { at: UnixMillis(u64::MAX), ..record() };
    let mut out = Vec::new();
    assert!(matches!(csv([&far], &mut out), Err(ExportError::Record(StoreError::Far(UnixMillis(u64::MAX))))));
    assert_eq!(moment(UnixMillis(253_402_300_799_999)).unwrap(), "9999-12-31T23:59:59.999Z");
    assert_eq!(moment(UnixMillis(951_782_400_000)).unwrap(), "2000-02-29T00:00:00.000Z");
}

#[test]
fn a_reader_that_goes_away_is_an_error() {
    struct Gone;
    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert!(
        matches!(csv([&record()], &mut Gone), Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe)
    );
    assert!(matches!(json_lines([&record()], &mut Gone), Err(ExportError::Write(_))));
}
