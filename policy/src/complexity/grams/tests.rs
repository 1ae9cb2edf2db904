use proptest::prelude::*;

use super::*;

fn of(text: &str) -> Vec<(u32, f32)> {
    grams(&Folded::of(text, 4096, 4096))
}

fn dot(a: &[(u32, f32)], b: &[(u32, f32)]) -> f32 {
    let b: std::collections::BTreeMap<u32, f32> = b.iter().copied().collect();
    a.iter().filter_map(|(bucket, value)| b.get(bucket).map(|other| value * other)).sum()
}

#[test]
fn a_slip_of_the_finger_leaves_most_pieces() {
    let (right, wrong, other) = (
        of("calculate the perimeter of the rectangular garden"),
        of("calculate the perimetre of teh rectangular garden"),
        of("who sang the opening song at the festival"),
    );
    assert!(dot(&right, &wrong) > 1.0 && dot(&right, &other) < 0.6, "of at most 2");
}

#[test]
fn the_order_of_words_matters() {
    assert_ne!(of("dog bites man"), of("man bites dog"));
}

/// The weights in the repository are for these very buckets: if this fails, train anew.
#[test]
fn buckets_are_part_of_the_format() {
    let found: Vec<u32> = of("Go up").iter().map(|(bucket, _)| *bucket).collect();
    assert_eq!(found, GOLDEN);
}

const GOLDEN: &[u32] = &[1779, 5955, 6939, 8802, 18610, 21267, 22706, 23287, 24135, 28737];

#[test]
fn nothing_fills_no_bucket() {
    assert_eq!(of(""), []);
    assert_eq!(of("?!"), []);
}

#[test]
fn grams_of_opposite_sign_in_one_bucket_leave_it_empty() {
    let mut counts = Counts::default();
    counts.add(1 << 40);
    counts.add(0);
    counts.add(1 << 40);
    let mut out = Vec::new();
    counts.drain(7, &mut out);
    assert_eq!(out, [(7, -1.0)]);
    counts.add(1 << 40);
    counts.add(0);
    out.clear();
    counts.drain(0, &mut out);
    assert_eq!(out, []);
}

proptest! {
    #[test]
    fn each_half_has_length_one_and_ascending_buckets(text in "\\PC{1,400}") {
        let found = of(&text);
        prop_assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert!(found.last().is_none_or(|(bucket, _)| (*bucket as usize) < BUCKETS));
        let split = found.partition_point(|(bucket, _)| (*bucket as usize) < HALF);
        for half in [&found[..split], &found[split..]] {
            let length: f32 = half.iter().map(|(_, value)| value * value).sum();
            prop_assert!(half.is_empty() || (length - 1.0).abs() < 1e-3, "{length}");
        }
    }
}
