use std::collections::BTreeSet;

use super::*;

fn line(text: &str, score: &str) -> String {
    let scores: Vec<String> = SMALL.iter().chain(&LARGE).map(|model| format!("\"{model}\": {score}")).collect();
    format!("{{\"task\": \"t\", \"question\": \"{text}\", \"scores\": {{{}}}}}\n", scores.join(", "))
}

fn parsed(text: &str) -> Result<Vec<Example>, DataError> {
    let mut examples = Vec::new();
    parse(Path::new("f"), text, &mut examples).map(|()| examples)
}

fn examples(count: usize) -> Vec<Example> {
    let of = |n: usize| Example { task: "t".into(), text: format!("q{n}"), large: 1.0, ..Example::default() };
    (0..count).map(of).collect()
}

#[test]
fn scores_become_means() {
    let one = parsed(&(line("a", "0.5") + "\n" + &line("b", "0.25"))).unwrap();
    assert_eq!((one.len(), one[0].small, one[1].large), (2, 0.5, 0.25));
    assert_eq!((one[0].scores.len(), one[1].scores[LARGE[0]]), (6, 0.25));
    assert!(!one[0].fails() && one[1].fails());
    let example = |small, large| Example { small, large, ..Example::default() };
    assert_eq!([example(0.25, 1.0).adds(), example(1.0, 0.0).adds()], [0.75, 0.0]);
}

#[test]
fn a_bad_line_is_named() {
    let good = line("a", "1");
    let message = |text: &str| parsed(&(good.clone() + text)).unwrap_err().to_string();
    assert!(message("{").starts_with("f line 2: "));
    assert!(message(&line("b", "1.5")).contains("is 1.5: give a number in 0..1"));
    let missing = good.replace("gemma-2-9b-it", "other");
    assert!(message(&missing).contains("no score of gemma-2-9b-it"));
    assert!(matches!(read(&[]), Err(DataError::None)));
    assert!(matches!(read(&["no such file".into()]), Err(DataError::Read { .. })));
}

#[test]
fn a_fifth_is_held_out_whatever_the_order() {
    let (learned, held) = split(examples(101));
    assert_eq!((learned.len(), held.len()), (81, 20));
    let texts = |of: &[Example]| of.iter().map(|example| example.text.clone()).collect::<BTreeSet<_>>();
    assert!(texts(&learned).is_disjoint(&texts(&held)));
    let mut reversed = examples(101);
    reversed.reverse();
    assert_eq!(split(reversed), (learned, held));
}
