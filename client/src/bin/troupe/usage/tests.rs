use protocol::account::Subject;

use super::*;

const NOW: UnixMillis = UnixMillis(1_769_848_200_000);

fn record(key: &str, model: &str, provider: Option<&str>, cost: u64) -> UsageRecord {
    let provider = provider.map(str::to_owned);
    UsageRecord {
        subject: Subject { key: key.into(), model: model.into(), provider, ..Subject::default() },
        prompt: Tokens(10),
        cached: Tokens(4),
        completion: Tokens(5),
        cost: Nanos(cost),
        ..UsageRecord::default()
    }
}

#[test]
fn sums_are_by_key_and_model_to_the_nano() {
    let mut sums = Sums::default();
    sums.add(&[record("key-2", "m", None, 1), record("key-1", "m", Some("p"), 2)]);
    sums.add(&[record("key-2", "m", None, 1_000_000_000), record("key-1", "p/m", Some("p"), 5)]);
    let text = sums.table();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["key-1", "p/m", "2", "20", "8", "10", "0.000000007"]);
    assert_eq!(lines[2], ["key-2", "m", "2", "20", "8", "10", "1.000000001"]);
    assert_eq!(lines[3], ["total", "4", "40", "16", "20", "1.000000008"]);
    assert_eq!(Sums::default().table(), "nothing was used\n");
}

#[test]
fn times_are_named_or_so_long_ago() {
    let filter = Filter { since: Some("1d".into()), until: Some("2026-01-31".into()), ..Filter::default() };
    let query = filter.query(NOW).unwrap();
    assert_eq!(query.since, Some(UnixMillis(NOW.0 - 86_400_000)));
    assert_eq!(query.until, Some(UnixMillis(1_769_817_600_000)));
    assert_eq!(query.limit, PAGE);
    assert_eq!(earlier("9999999w", NOW), Ok(UnixMillis(0)), "longer ago than there is time");
    for (since, until, words) in [
        (Some("yesterday"), None, "--since is wrong"),
        (None, Some("1700000000"), "--until is wrong"),
        (Some("1d"), Some("2d"), "not after --since"),
    ] {
        let filter = Filter { since: since.map(str::to_owned), until: until.map(str::to_owned), ..Filter::default() };
        let error = filter.query(NOW).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn only_the_first_page_of_csv_has_a_head() {
    let records = [record("key-1", "=m", None, 1)];
    let first = written(Format::Csv, &records, true).unwrap();
    let second = written(Format::Csv, &records, false).unwrap();
    assert_eq!((first.lines().count(), second.lines().count()), (2, 1));
    assert!(first.starts_with("at,request,key") && second.contains(",'=m,"));
    assert!(written(Format::Lines, &records, true).unwrap().contains("\"model\":\"=m\""));
}
