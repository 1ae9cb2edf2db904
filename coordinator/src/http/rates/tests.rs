use super::*;

#[test]
fn spans_are_written_as_openai_writes_them() {
    for (micros, text) in [
        (0, "0s"),
        (1, "1ms"),
        (119_001, "120ms"),
        (999_001, "1s"),
        (1_000_000, "1s"),
        (8_640_000, "8.64s"),
        (60_000_000, "1m0s"),
        (360_000_000, "6m0s"),
        (90_500_000, "1m30.5s"),
        (3_600_000_000, "1h0m0s"),
        (3_725_000_000, "1h2m5s"),
    ] {
        assert_eq!(span(Duration::from_micros(micros)), text);
    }
}
