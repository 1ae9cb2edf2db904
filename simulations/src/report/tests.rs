use super::*;

#[test]
fn the_text_stands_between_its_marks_and_nothing_else_is_touched() {
    let document = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nrest\n");
    let new = between(&document, "new\n").unwrap();
    assert_eq!(new, format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nrest\n"));
    assert_eq!(between(&new, "new\n").as_deref(), Some(new.as_str()), "written twice it is the same");
    assert_eq!(between("no marks", "new"), None);
    assert_eq!(between(&format!("{END}{BEGIN}"), "new"), None);
}

#[test]
fn a_missed_target_is_named() {
    let trace = Synthetic { requests: 60, rate: 30.0, ..Synthetic::new(Kind::NoSharing) }.generate().unwrap();
    let case = Case { first: true, alike: true, ..Case::of(&trace, A100) };
    let mut comparison = case.compare().unwrap();
    let (mut table, mut missed) = (String::new(), Vec::new());
    for row in comparison.rows.iter_mut().filter(|row| row.rule == Rule::Prefix) {
        row.summary.ttft.mean *= 10.0;
    }
    judge(&case, &comparison, &mut table, &mut missed);
    assert_eq!(missed.len(), 2, "{missed:?}");
    assert!(table.contains("**missed**") && table.contains("least load"), "{table}");
}

#[test]
fn the_document_has_a_place_for_it() {
    let document = include_str!("../../../docs/simulations.md");
    assert!(between(document, "").is_some());
}
