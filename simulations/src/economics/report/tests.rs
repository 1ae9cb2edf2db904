use super::super::day::Refused;
use super::super::measure::Against;
use super::*;

#[test]
fn amounts_have_two_decimals_and_moments_their_day() {
    let shown = [0, 4_999_999, 5_000_000, 1_234_567_890_000_000].map(|nanos| money(Nanos(nanos)));
    assert_eq!(shown, ["0.00", "0.00", "0.01", "1,234,567.89"]);
    assert_eq!([-0.0001, 0.12345, f64::NAN].map(percent), ["0.0 %", "12.3 %", "-"]);
    let at = |seconds: u64| moment(UnixMillis(BEGIN.0 + seconds * 1000));
    assert_eq!([at(0), at(26 * 86_400 + 3661)], ["day  1 00:00:00", "day 27 01:01:01"]);
}

#[test]
fn a_curve_is_in_the_corner_only_with_both() {
    let point = |up, saved, kept| Point { at: up, up, against: Against { saved, kept } };
    let curve = [
        point(0.1, 0.85, 0.99),
        point(0.2, 0.7, 0.94),
        point(0.25, 0.65, 0.96),
        point(0.3, 0.61, 0.97),
        point(0.4, 0.5, 1.0),
    ];
    assert_eq!(window(&curve), Some((0.25, 0.3)));
    assert_eq!(window(&curve[..2]), None);
}

#[test]
fn alerts_and_refusals_of_many_days_are_one_line_each() {
    let alert = |day: u64, share| AlertRaised {
        budget: "daily".into(),
        share,
        settled: Nanos(8_000_000_000),
        reserved: Nanos::ZERO,
        limit: Nanos(10_000_000_000),
        at: UnixMillis(BEGIN.0 + day * 86_400_000),
    };
    let refused = |day: u64, lowered| Refused {
        budget: "daily".into(),
        first: UnixMillis(BEGIN.0 + day * 86_400_000),
        said: "no room".into(),
        count: 5,
        lowered,
    };
    let ran = Ran {
        alerts: vec![alert(0, 80), alert(0, 100), alert(1, 80), alert(2, 80)],
        refused: vec![refused(0, true), refused(1, false), refused(2, true)],
        ..Ran::default()
    };
    let mut out = String::new();
    month_text(&mut out, &Month { mix: "m".into(), policy: "p".into(), coordinators: 1, ran }, 3);
    for words in [
        "day  1 00:00:00  alert: 'daily' has reached 80 %: 8.00 of 10.00 are spent, 0.00 reserved; 2 more, the last day  3",
        "answered by a lower tier, 10 in 2 windows: no room",
        "day  2 00:00:00  refused, 5 in one window: no room",
    ] {
        assert!(out.contains(words), "{words} is not in\n{out}");
    }
}
