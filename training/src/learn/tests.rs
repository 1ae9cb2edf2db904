use policy::complexity::{Prompt, Scorer};

use super::*;

/// Sums are hard for the small models here, and colours are not; nobody knows the capitals.
fn examples() -> Vec<Example> {
    let of = |n: usize| {
        // A word of its own, as another number alone is no other prompt.
        let n_th: String = [n / 10, n % 10]
            .iter()
            .map(|digit| ["ba", "ke", "lo", "mi", "nu", "pa", "re", "so", "ti", "vu"][*digit])
            .collect();
        let (task, text, small, large) = match n % 3 {
            0 => ("sums", format!("what is the sum of {n} pears and plums in basket {n_th}"), 0.0, 1.0),
            1 => ("colours", format!("which colour has the coat of the horse in stable {n_th}"), 1.0, 1.0),
            _ => ("capitals", format!("name the capital of the forgotten kingdom beyond hill {n_th}"), 0.0, 0.0),
        };
        Example { task: task.into(), text, small, large, ..Example::default() }
    };
    (0..60).map(of).collect()
}

const RECIPE: Recipe = Recipe { seed: 1, penalty: 0.5, own: 0.3 };

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes = |seed| weights(&examples(), &Recipe { seed, ..RECIPE }).bytes();
    assert!(bytes(1) == bytes(1));
    assert!(bytes(1) != bytes(2));
}

#[test]
fn failing_and_being_helped_are_learned_apart() {
    let scorer = LinearScorer::new(weights(&examples(), &RECIPE));
    let of = |text: &str| scorer.score(&Prompt::text(text));
    let sum = of("what is the sum of eggs and plums in the basket");
    let colour = of("which colour has the mane of the horse");
    let capital = of("name the capital of the kingdom beyond the sea");
    assert!(sum.fails() > 0.6 && capital.fails() > 0.6 && colour.fails() < 0.4, "{sum:?} {capital:?} {colour:?}");
    assert!(sum.need() > colour.need() && sum.need() > capital.need(), "{sum:?} {capital:?} {colour:?}");
}

#[test]
fn needs_of_training_are_evenly_spread() {
    let examples = examples();
    let scorer = LinearScorer::new(weights(&examples, &RECIPE));
    let up = examples.iter().filter(|example| scorer.score(&Prompt::text(&example.text)).need() > 0.8).count();
    assert!((10..=14).contains(&up), "{up}");
}

#[test]
fn a_recipe_that_cannot_be_is_refused() {
    for recipe in [
        Recipe { penalty: 0.0, ..RECIPE },
        Recipe { penalty: f64::NAN, ..RECIPE },
        Recipe { penalty: f64::INFINITY, ..RECIPE },
        Recipe { own: 1.1, ..RECIPE },
        Recipe { own: -0.1, ..RECIPE },
    ] {
        assert!(recipe.check().is_err(), "{recipe:?}");
    }
    assert!(RECIPE.check().is_ok());
}
