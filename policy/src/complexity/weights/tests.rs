use proptest::prelude::*;

use super::*;

fn weights(seed: i8) -> Weights {
    let head = |plus: i8| Head {
        bias: f32::from(plus) / 8.0,
        counts: std::array::from_fn(|n| n as f32 - f32::from(plus)),
        scales: [0.25, 0.125],
        buckets: (0..BUCKETS).map(|n| (n as i8).wrapping_mul(plus)).collect(),
    };
    Weights { fails: head(seed), adds: head(seed.wrapping_add(1)), quantiles: std::array::from_fn(|n| n as f32) }
}

#[test]
fn the_shape_is_as_described() {
    assert_eq!(weights(3).bytes().len(), LENGTH);
    assert!(weights(3).bytes().len() < 200_000);
}

#[test]
fn what_is_no_weights_is_refused() {
    let good = weights(3).bytes();
    assert_eq!(Weights::parse(b"TRPC"), Err(BadWeights::Magic));
    assert_eq!(Weights::parse(b"GGUF....................."), Err(BadWeights::Magic));
    let cut = &good[..good.len() - 1];
    assert_eq!(Weights::parse(cut), Err(BadWeights::Length { found: LENGTH - 1, wanted: LENGTH }));
    assert_eq!(Weights::parse(&good[..10]), Err(BadWeights::Length { found: 10, wanted: LENGTH }));
    let mut other = good.clone();
    other[8] += 1;
    let shape = BadWeights::Shape { counts: COUNT as u32 + 1, buckets: BUCKETS as u32 };
    assert_eq!(Weights::parse(&other), Err(shape));
    let mut infinite = good.clone();
    infinite[16..20].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert!(matches!(Weights::parse(&infinite), Err(BadWeights::Number { .. })));
    let mut descending = weights(3);
    descending.quantiles[5] = 9.0;
    assert!(matches!(Weights::parse(&descending.bytes()), Err(BadWeights::Number { .. })));
}

#[test]
fn weights_lose_at_most_half_a_step() {
    let learned: Vec<f32> = (0..BUCKETS).map(|n| ((n * 37) % 1001) as f32 / 500.0 - 1.0).collect();
    let head = Head::quantised(0.5, [0.0; COUNT], &learned);
    for (n, weight) in learned.iter().enumerate() {
        let scale = head.scales[n / (BUCKETS / 2)];
        assert!((f32::from(head.buckets[n]) * scale - weight).abs() <= scale * 0.501, "{n}");
    }
    let none = Head::quantised(0.0, [0.0; COUNT], &[]);
    assert!(none.buckets.len() == BUCKETS && none.buckets.iter().all(|weight| *weight == 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_written_is_read(seed in any::<i8>()) {
        prop_assert_eq!(Weights::parse(&weights(seed).bytes()), Ok(weights(seed)));
    }

    #[test]
    fn damage_is_an_error_or_other_weights_but_never_a_panic(at in 0..LENGTH, byte in any::<u8>(), cut in 0..LENGTH) {
        let mut bytes = weights(3).bytes();
        bytes[at] = byte;
        let _ = Weights::parse(&bytes);
        prop_assert!(Weights::parse(&bytes[..cut]).is_err());
    }
}
