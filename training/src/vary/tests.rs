use proptest::prelude::*;
use rand_chacha::rand_core::SeedableRng;

use super::*;

#[test]
fn each_word_gets_a_capital() {
    assert_eq!(title("it's a LONG-lived élan"), "It's A Long-Lived Élan");
}

#[test]
fn templates_go_and_the_question_stays() {
    assert_eq!(stripped("How many?\nAfter careful thought, put it in \\boxed{...}."), "How many");
    assert_eq!(stripped("Write a python function to sort a list."), "sort a list");
    assert_eq!(stripped("The sky is   _  ."), "The sky is");
    assert_eq!(stripped("??"), "??");
}

/// Edits that turn one into the other, a swap of neighbours counting as one.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let mut least = (table[i - 1][j] + 1).min(table[i][j - 1] + 1).min(table[i - 1][j - 1] + same);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(table[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    table[a.len()][b.len()]
}

proptest! {
    #[test]
    fn one_slip_is_at_most_one_edit(text in ".{0,30}", seed in any::<u64>()) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let slipped = typos(&text, 1, &mut random);
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert!(distance(&letters(&text), &letters(&slipped)) <= 1);
    }
}

#[test]
fn slips_change_nearly_every_text() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let text = "the quick brown fox jumps over the lazy dog";
    let changed = (0..100).filter(|_| typos(text, 2, &mut random) != text).count();
    assert!(changed > 95, "{changed}");
}
