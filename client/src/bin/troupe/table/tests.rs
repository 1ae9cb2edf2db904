use super::*;

#[test]
fn columns_are_aligned_and_names_cannot_move_the_cursor() {
    let rows = [["a\u{1b}[2J".to_owned(), "7".to_owned()], ["b".to_owned(), "1000".to_owned()]];
    assert_eq!(table(["NAME", "COST"], &[1], &rows), "NAME   COST\na?[2J     7\nb      1000\n");
    assert_eq!(table(["NAME"], &[], &[]), "NAME\n");
    assert_eq!((or_dash(None::<u32>), or_dash(Some(7))), ("-".to_owned(), "7".to_owned()));
}
