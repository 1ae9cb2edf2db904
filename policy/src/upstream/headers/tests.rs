use proptest::prelude::*;

use super::*;

/// Sat, 28 Nov 2026 02:30:00 GMT.
const NOW: UnixMillis = UnixMillis(1_795_833_000_000);

fn ms(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    for (text, wait) in [
        ("0", ms(0)),
        ("7", ms(7000)),
        (" 1.5 ", ms(1500)),
        ("Sat, 28 Nov 2026 02:30:20 GMT", ms(20_000)),
        ("Saturday, 28-Nov-26 02:31:00 GMT", ms(60_000)),
        ("Sat Nov 28 02:30:05 2026", ms(5000)),
        ("Sat, 28 Nov 2026 02:29:00 GMT", ms(0)),
        // Beyond reason.
        ("999999999999999999999", Some(LONGEST)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST)),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
        ("NaN", None),
        ("Sat, 28 Nov 2026 25:30:20 GMT", None),
        ("Sat, 28 Foo 2026 02:30:20 GMT", None),
        ("Sat, 28 Nov 2026 02:30:20", None),
    ] {
        assert_eq!(retry_after(text, NOW), wait, "{text}");
    }
}

#[test]
fn milliseconds_are_milliseconds() {
    for (text, wait) in [
        ("250", ms(250)),
        ("0", ms(0)),
        ("1500.5", Some(Duration::from_micros(1_500_500))),
        ("x", None),
        ("-5", None),
        ("", None),
    ] {
        assert_eq!(retry_after_ms(text), wait, "{text}");
    }
    assert_eq!(retry_after_ms("99999999999999"), Some(LONGEST));
}

#[test]
fn resets_are_spans_with_units() {
    for (text, wait) in [
        ("1m30s", ms(90_000)),
        ("6ms", ms(6)),
        ("1s", ms(1000)),
        ("6m0s", ms(360_000)),
        ("59m0.5s", ms(3_540_500)),
        ("17.5", ms(17_500)),
        ("13s", ms(13_000)),
        ("3.5s", ms(3500)),
        ("1d2h", Some(LONGEST)),
        ("99999999999h", Some(LONGEST)),
        ("1x", None),
        ("s", None),
        ("m1", None),
        ("1m30", None),
        ("..s", None),
        ("", None),
    ] {
        assert_eq!(reset(text), wait, "{text}");
    }
}

#[test]
fn moments_are_read_with_any_offset() {
    for (text, wait) in [
        ("2026-11-28T02:30:10Z", ms(10_000)),
        ("2026-11-28t02:30:10.250z", ms(10_250)),
        ("2026-11-28T03:30:10+01:00", ms(10_000)),
        ("2026-11-27T21:30:10.5-05:00", ms(10_500)),
        ("2026-11-28T02:00:00Z", ms(0)),
        ("2099-01-01T00:00:00Z", Some(LONGEST)),
        ("2026-13-28T02:30:10Z", None),
        ("2026-11-28T02:30:10", None),
        ("2026-11-28T02:30:10+1", None),
        ("28.11.2026", None),
        ("", None),
        ("äöüäöüäöüäöüäöüäöü", None),
    ] {
        assert_eq!(until(text, NOW), wait, "{text}");
    }
}

#[test]
fn days_are_those_of_the_calendar() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:00:00Z", 951_825_600),
        ("2024-03-01T00:00:00Z", 1_709_251_200),
        ("2100-03-01T00:00:00Z", 4_107_542_400),
    ] {
        assert_eq!(rfc3339(text), Some(UnixMillis(seconds * 1000)), "{text}");
    }
    assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(UnixMillis(784_111_777_000)));
    assert_eq!(http_date("Sunday, 06-Nov-94 08:49:37 GMT"), http_date("Sun Nov  6 08:49:37 1994"));
    assert_eq!(rfc3339("1960-01-01T00:00:00Z"), None);
}

proptest! {
    #[test]
    fn no_text_breaks_it_and_no_wait_is_endless(text in "\\PC{0,40}", now in any::<u64>()) {
        let now = UnixMillis(now);
        for wait in [retry_after(&text, now), retry_after_ms(&text), reset(&text), until(&text, now)] {
            prop_assert!(wait.is_none_or(|wait| wait <= LONGEST));
        }
    }

    #[test]
    fn numbers_with_units_are_sums(hours in 0u64..2, minutes in 0u64..60, seconds in 0u64..60) {
        let wait = Duration::from_secs(hours * 3600 + minutes * 60 + seconds).min(LONGEST);
        prop_assert_eq!(reset(&format!("{hours}h{minutes}m{seconds}s")), Some(wait));
    }
}
