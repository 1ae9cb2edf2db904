use super::*;
use protocol::message::WorkerReport;

const RULES: Rules = Rules { silence: secs(1), gaps: 5, stall: secs(2) };

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn report(sequence: u64, running: u32, still: Duration) -> Report {
    let load = Load { running, ..Load::default() };
    let worker = WorkerReport { ready: true, load, still, ..WorkerReport::default() };
    Report { incarnation: Incarnation(1), sequence, workers: vec![worker], draining: false }
}

#[test]
fn silence_beyond_the_limit_is_suspect_and_a_report_ends_it() {
    let mut health = Health::new(secs(0), millis(200));
    assert_eq!(health.verdict(secs(1), &RULES), Verdict::Trusted);
    assert_eq!(health.verdict(millis(1001), &RULES), Verdict::Silent(millis(1001)));
    health.on_report(millis(1100), &report(1, 0, secs(0)));
    assert_eq!(health.verdict(millis(1200), &RULES), Verdict::Trusted);
}

#[test]
fn a_node_that_reports_slowly_is_given_more_time() {
    let mut health = Health::new(secs(0), millis(200));
    for n in 1..60 {
        health.on_report(millis(600 * n), &report(n, 0, secs(0)));
    }
    let last = millis(600 * 59);
    assert_eq!(health.verdict(last + millis(2500), &RULES), Verdict::Trusted);
    assert!(matches!(health.verdict(last + millis(3100), &RULES), Verdict::Silent(_)));
}

#[test]
fn a_still_engine_is_suspect_only_while_work_is_there() {
    let mut health = Health::new(secs(0), millis(200));
    health.on_report(millis(1), &report(1, 0, secs(60)));
    assert_eq!(health.verdict(millis(2), &RULES), Verdict::Trusted);
    health.on_report(millis(3), &report(2, 1, secs(3)));
    assert_eq!(health.verdict(millis(4), &RULES), Verdict::Stalled(secs(3)));
    health.on_report(millis(5), &report(3, 1, millis(20)));
    assert_eq!(health.verdict(millis(6), &RULES), Verdict::Trusted);
}

#[test]
fn an_older_report_changes_nothing() {
    let mut health = Health::new(secs(0), millis(200));
    assert!(health.on_report(millis(1), &report(5, 1, secs(0))));
    let before = health.clone();
    assert!(!health.on_report(secs(9), &report(5, 1, secs(9))));
    assert!(!health.on_report(secs(9), &report(4, 1, secs(9))));
    assert_eq!(health, before);
    let restarted = Report { incarnation: Incarnation(2), ..report(1, 0, secs(0)) };
    assert!(health.on_report(secs(9), &restarted));
}

proptest::proptest! {
    #[test]
    fn until_when_it_gets_work_is_what_the_verdict_says(
        gaps in proptest::collection::vec((1u64..3_000, 0u32..2, 0u64..4_000), 0..8), later in 0u64..20_000,
    ) {
        let (mut now, mut health) = (secs(0), Health::new(secs(0), millis(200)));
        for (sequence, (gap, running, still)) in (1..).zip(gaps) {
            now += millis(gap);
            health.on_report(now, &report(sequence, running, millis(still)));
        }
        let then = now + millis(later);
        let trusted = health.verdict(then, &RULES) == Verdict::Trusted;
        proptest::prop_assert_eq!(health.until(&RULES).is_some_and(|until| then <= until), trusted);
    }
}
