use proptest::prelude::*;

use super::*;

fn money(text: &str) -> Option<u64> {
    text.parse::<Money>().ok().map(|money| money.0.0)
}

#[test]
fn amounts_are_read_exactly_or_not_at_all() {
    assert_eq!(money("5"), Some(5_000_000_000));
    assert_eq!(money("12.50"), Some(12_500_000_000));
    assert_eq!(money(" 0.000000001 "), Some(1));
    assert_eq!(money("18000000000"), Some(18_000_000_000_000_000_000));
    for wrong in
        ["", "-1", "+1", "1.", ".5", "1,5", "0.0000000001", "1e3", "18000000001", "99999999999999999999", "NaN"]
    {
        assert_eq!(money(wrong), None, "{wrong}");
    }
    assert_eq!(Money(Nanos(12_500_000_000)).to_string(), "12.50");
    assert_eq!(Money(Nanos(1)).to_string(), "0.000000001");
}

#[test]
fn a_cost_is_rounded_up_once() {
    let price = Price { input: Nanos(10_000_000_000), cached: Nanos(1_000_000_000), output: Nanos(30_000_000_000) };
    // 1,000 + 500 tokens at 10 and 30 a million: 0.025.
    assert_eq!(price.cost(Tokens(1000), Tokens(0), Tokens(500)), Ok(Nanos(25_000_000)));
    assert_eq!(price.cost(Tokens(1000), Tokens(600), Tokens(0)), Ok(Nanos(4_600_000)));
    assert_eq!(price.cost(Tokens(10), Tokens(600), Tokens(0)), Ok(Nanos(10_000)), "no more is cached than there is");
    let cheap = Price { input: Nanos(1), cached: Nanos(1), output: Nanos(1) };
    assert_eq!(cheap.cost(Tokens(1), Tokens(0), Tokens(1)), Ok(Nanos(1)));
    let dear = Price { input: Nanos(u64::MAX), ..price };
    assert!(dear.cost(Tokens(u64::MAX), Tokens(0), Tokens(1)).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(nanos in 0..18_000_000_000_000_000_000_u64) {
        prop_assert_eq!(Money(Nanos(nanos)).to_string().parse::<Money>().unwrap().0, Nanos(nanos));
    }
}
