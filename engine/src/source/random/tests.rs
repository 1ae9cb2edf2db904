use text::detok::Detokenizer;
use text::{Special, Text};

use super::*;

/// The 1B model's kind, small.
fn small() -> ModelConfig {
    ModelConfig { layers: 2, hidden: 96, heads: 6, kv_heads: 2, head_dim: 16, ffn: 200, vocabulary: 1_000, ..llama() }
}

fn llama() -> ModelConfig {
    RandomModel::llama_1b(0).config
}

fn tensor(seed: u64, role: Role) -> Stored {
    RandomModel::new(small(), seed).stored(role).unwrap().unwrap()
}

#[test]
fn the_shape_is_that_of_a_billion_parameters() {
    let model = RandomModel::llama_1b(1);
    assert_eq!(model.parameters(), 1_040_254_976);
    assert_eq!(model.config().check(str::to_owned), Ok(()));
    let k = model.stored(Role::Layer(15, Part::K)).unwrap().unwrap();
    assert_eq!((k.shape, k.dtype, k.bytes.len()), (vec![512, 2_048], TensorType::BF16, 2 * 512 * 2_048));
}

#[test]
fn every_role_of_the_model_has_its_shape_and_no_other_is_there() {
    let config = ModelConfig { tied: false, qkv_bias: true, qk_norm: true, ..small() };
    let model = RandomModel::new(config.clone(), 1);
    let layers = (0..2).flat_map(|layer| Part::of(&config).into_iter().map(move |part| Role::Layer(layer, part)));
    let mut count = 0;
    for role in [Role::Embedding, Role::OutputNorm, Role::Head].into_iter().chain(layers) {
        let stored = model.stored(role).unwrap().unwrap();
        assert_eq!(stored.shape, role.shape(&config));
        let weights = stored.widen();
        assert!(weights.data.iter().all(|number| number.is_finite()));
        count += weights.data.len() as u64;
    }
    assert_eq!(model.parameters(), count);
    let model = RandomModel::new(small(), 1);
    for role in [Role::Head, Role::Layer(0, Part::QBias), Role::Layer(0, Part::KNorm), Role::Layer(2, Part::Q)] {
        assert_eq!(model.stored(role).unwrap(), None);
    }
}

#[test]
fn numbers_depend_on_seed_and_role_alone() {
    let role = Role::Layer(1, Part::Gate);
    assert_eq!(tensor(1, role), tensor(1, role));
    // Those of this release: a seed must mean the same model everywhere.
    assert_eq!(tensor(1, role).bytes[..8], [14, 190, 5, 62, 3, 190, 46, 190]);
    let pairs = |stored: &Stored| stored.bytes.as_chunks::<4>().0.to_vec();
    let one = pairs(&tensor(1, role));
    for other in [tensor(2, role), tensor(1, Role::Layer(0, Part::Gate)), tensor(1, Role::Layer(1, Part::Up))] {
        let same = one.iter().zip(pairs(&other)).filter(|(one, other)| **one == *other).count();
        assert!(same < 10, "{same}");
    }
    let print = |seed| RandomModel::new(small(), seed).fingerprint();
    assert!(print(1) == print(1) && print(1) != print(2));
}

#[test]
fn numbers_are_spread_so_that_sums_over_a_row_have_a_deviation_of_one() {
    let check = |stored: Stored, inputs: usize| {
        let bound = (3.0 / inputs as f64).sqrt();
        let numbers: Vec<f64> = stored.widen().data.into_iter().map(f64::from).collect();
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let square = numbers.iter().map(|number| number * number).sum::<f64>() / count * inputs as f64;
        // Five deviations of the mean, and of the square of a uniform number.
        assert!(mean.abs() < 5.0 / (inputs as f64 * count).sqrt(), "{mean}");
        assert!((square - 1.0).abs() < 5.0 * (0.8 / count).sqrt(), "{square}");
        assert!(numbers.iter().all(|number| number.abs() <= bound * 1.004));
        // Neighbours, in a word and across words, have nothing to do with each other.
        for distance in [1, 2, 3, 96] {
            let pairs = numbers.iter().zip(&numbers[distance..]);
            let product = pairs.map(|(one, other)| one * other).sum::<f64>() / count * inputs as f64;
            assert!(product.abs() < 5.0 / count.sqrt(), "{distance}: {product}");
        }
    };
    check(tensor(3, Role::Embedding), 96);
    check(tensor(3, Role::Layer(0, Part::Down)), 200);
    // More than one run.
    let k = RandomModel::llama_1b(3).stored(Role::Layer(7, Part::V)).unwrap().unwrap();
    check(k, 2_048);
    assert!(tensor(3, Role::OutputNorm).widen().data.iter().all(|number| *number == 1.0));
}

#[test]
fn an_odd_last_number_is_there_too() {
    let mut bytes = [0; 6];
    fill(&mut bytes, 7, 1.0);
    let mut longer = [0; 8];
    fill(&mut longer, 7, 1.0);
    assert_eq!(bytes, longer[..6]);
    assert!(bytes[4..] != [0, 0]);
}

#[test]
fn words_make_their_way_there_and_back() {
    let bundle = RandomModel::new(small(), 1).bundle().unwrap();
    let text = Text::new(bundle).unwrap();
    assert_eq!(text.vocabulary(), 1_000);
    let said = "Grüße, 世界!\n\u{0} \u{7f}";
    let ids = text.encode(said, Special::Plain).unwrap();
    assert_eq!(ids.len(), said.len());
    let mut detokenizer = Detokenizer::new();
    let back: String = ids.into_iter().map(|id| detokenizer.push(&text, id)).collect();
    assert_eq!(back + &detokenizer.flush(), said);
    let word = text.piece(protocol::ids::TokenId(999)).unwrap();
    assert!(word.len() > 3 && word[0] == b' ' && word[1..].iter().all(u8::is_ascii_lowercase));
}
