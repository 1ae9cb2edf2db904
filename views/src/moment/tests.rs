use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Option<u64> {
    text.parse::<Moment>().ok().map(|moment| moment.0.0)
}

#[test]
fn times_and_dates_are_read() {
    assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(read("2026-01-31T09:30:00.250+01:00"), read("2026-01-31T08:30:00.25Z"));
    assert_eq!(read(" 2026-01-31 "), read("2026-01-31T00:00:00Z"));
    assert_eq!(read("2026-01-31T08:30:00Z"), Some(1_769_848_200_000));
}

#[test]
fn what_is_no_time_is_refused_with_a_remedy() {
    for text in [
        "",
        "now",
        "2026-13-01",
        "1969-12-31",
        "2026-01-31T25:00:00Z",
        "2026-01-31T09:30:00",
        "1700000000",
        "9999-12-31T23:59:59Z",
    ] {
        let error = text.parse::<Moment>().unwrap_err().to_string();
        assert!(error.contains("2026-01-31T09:30:00Z"), "{error}");
    }
    let error = "sk-troupe-0123456789abcdef".parse::<Moment>().unwrap_err().to_string();
    assert!(!error.contains("0123456789"), "{error}");
}

#[test]
fn what_cannot_be_written_is_shown_as_the_last_that_can() {
    assert_eq!(Moment(UnixMillis(u64::MAX)).to_string(), Moment(MAX_MOMENT).to_string());
    assert_eq!(Moment(UnixMillis(1_769_848_200_250)).to_string(), "2026-01-31T08:30:00.250Z");
    assert_eq!(Moment(UnixMillis(1_769_848_200_250)).short(), "2026-01-31 08:30");
}

#[test]
fn spans_know_days_and_weeks() {
    let hours = |hours: u64| Ok(std::time::Duration::from_secs(hours * 3600));
    assert_eq!((span("36h"), span("30d"), span("2w")), (hours(36), hours(720), hours(336)));
    for text in ["", "d", "1.5d", "-1d", "99999999999999999999w", "18446744073709551615w", "soon"] {
        assert!(span(text).unwrap_err().to_string().contains("30d"), "{text}");
    }
}

#[test]
fn only_zones_that_exist_are_taken() {
    for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
        assert_eq!(check_zone(zone), Ok(()));
    }
    for zone in ["", "Europe/Atlantis", "Etc/Unknown", "+01:00", "../etc/passwd"] {
        assert!(check_zone(zone).unwrap_err().to_string().contains("Europe/Berlin"), "{zone}");
    }
}

proptest! {
    #[test]
    fn moments_come_back(millis in 0..=MAX_MOMENT.0) {
        let moment = Moment(UnixMillis(millis));
        prop_assert_eq!(moment.to_string().parse::<Moment>(), Ok(moment));
    }
}
