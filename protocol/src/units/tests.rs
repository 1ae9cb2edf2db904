use super::*;
use proptest::prelude::*;

#[test]
fn sizes_and_spans_are_read_with_their_units() {
    assert_eq!("2GiB".parse(), Ok(ByteSize(2 << 30)));
    assert_eq!("512 MiB".parse(), Ok(ByteSize(512 << 20)));
    assert_eq!("250ms".parse(), Ok(Span(Duration::from_millis(250))));
    assert_eq!("90s".parse::<Span>().map(|s| s.to_string()), Ok("90s".into()));
    assert_eq!(ByteSize(1536 << 20).to_string(), "1536MiB");
}

#[test]
fn a_quantity_without_a_known_unit_is_refused_with_an_example() {
    for text in ["", "12", "ms", "-1s", "1.5GiB", "3 parsecs", "99999999999999999999B", "18446744073709551615TiB"] {
        assert!(text.parse::<ByteSize>().unwrap_err().to_string().contains("2GiB"), "{text}");
        assert!(text.parse::<Span>().unwrap_err().to_string().contains("250ms"), "{text}");
    }
}

#[test]
fn blocks_are_counted_up() {
    assert_eq!(Tokens(33).blocks(Tokens(32)), Blocks(2));
    assert_eq!(Tokens(32).blocks(Tokens(32)), Blocks(1));
    assert_eq!(Tokens(0).blocks(Tokens(32)), Blocks(0));
    assert_eq!(Tokens(5).blocks(Tokens(0)), Blocks(5));
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(bytes in 0u64..1 << 50, millis in 0u64..1 << 40) {
        prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        let span = Span(Duration::from_millis(millis));
        prop_assert_eq!(span.to_string().parse(), Ok(span));
    }

    #[test]
    fn sums_saturate_instead_of_wrapping(a: u64, b: u64) {
        prop_assert_eq!(Tokens(a) + Tokens(b), Tokens(a.saturating_add(b)));
        prop_assert_eq!(Tokens(a) - Tokens(b), Tokens(a.saturating_sub(b)));
        prop_assert_eq!(Nanos(a).checked_sub(Nanos(b)).is_some(), a >= b);
    }
}

#[test]
fn memory_is_a_size_or_a_share() {
    assert_eq!("512MiB".parse(), Ok(Memory::Size(ByteSize(512 << 20))));
    assert_eq!("60%".parse(), Ok(Memory::Share(60)));
    assert_eq!(Memory::Share(60).to_string(), "60%");
    assert_eq!(Memory::Size(ByteSize(1 << 30)).to_string(), "1GiB");
    for bad in ["", "%", "300%", "half", "-1%", "512"] {
        let error = bad.parse::<Memory>().unwrap_err();
        assert_eq!(error, BadUnit::Memory(bad.into()));
    }
    assert!(!Memory::Share(0).is_possible() && !Memory::Share(96).is_possible() && Memory::Share(95).is_possible());
    assert!(!Memory::Size(ByteSize(1)).is_possible());
}
