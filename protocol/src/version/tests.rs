use super::*;

fn range(oldest: u16, newest: u16) -> Versions {
    Versions { oldest: Version(oldest), newest: Version(newest) }
}

#[test]
fn the_newest_common_version_is_taken_from_either_side() {
    assert_eq!(range(1, 4).agree(range(2, 9)), Ok(Version(4)));
    assert_eq!(range(2, 9).agree(range(1, 4)), Ok(Version(4)));
    assert_eq!(range(3, 3).agree(range(3, 3)), Ok(Version(3)));
}

#[test]
fn ranges_that_do_not_meet_are_refused_with_both() {
    let error = range(1, 2).agree(range(3, 4)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("1.1 to 1.2") && text.contains("1.3 to 1.4"), "{text}");
    assert!(range(3, 4).agree(range(1, 2)).is_err());
}

#[test]
fn a_range_upside_down_agrees_with_nothing() {
    assert!(range(0, 9).agree(range(7, 3)).is_err());
}
