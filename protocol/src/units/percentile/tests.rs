use proptest::prelude::*;

use super::*;

#[test]
fn shares_and_percents_are_read() {
    for (text, number, shown) in [
        ("0.99", 9_900, "p99"),
        ("p99", 9_900, "p99"),
        ("0.5", 5_000, "p50"),
        ("p99.9", 9_990, "p99.9"),
        ("0.0001", 1, "p0.01"),
    ] {
        let read: Percentile = text.parse().unwrap();
        assert_eq!((read, read.to_string().as_str()), (Percentile(number), shown), "{text}");
    }
}

#[test]
fn what_is_no_percentile_is_refused_with_an_example() {
    for text in [
        "1.5", "100", "99", "1", "0", "0.0", "1.0", "p100", "p0", "p", "", "-0.5", "0.99999", "0,99", "p99.999",
        "+0.5", "0.٩",
    ] {
        let error = text.parse::<Percentile>().unwrap_err().to_string();
        assert!(error.contains("such as 0.99") && error.contains(text), "{error}");
    }
}

#[test]
fn ranks_are_the_nearest() {
    let p99 = Percentile::P99;
    assert_eq!(
        (p99.rank(0), p99.rank(1), p99.rank(99), p99.rank(100), p99.rank(200)),
        (None, Some(0), Some(98), Some(98), Some(197))
    );
    assert_eq!(Percentile::P50.rank(4), Some(1));
}

proptest! {
    #[test]
    fn what_is_shown_is_read_back(number in 1_u16..WHOLE, count in 1_usize..5000) {
        let percentile = Percentile(number);
        prop_assert_eq!(percentile.to_string().parse(), Ok(percentile));
        let rank = percentile.rank(count).unwrap();
        // So many values are no larger, and one fewer would not be enough.
        prop_assert!(rank < count);
        prop_assert!((rank as u64 + 1) * 10_000 >= count as u64 * u64::from(number));
        prop_assert!((rank as u64) * 10_000 < count as u64 * u64::from(number));
    }
}
