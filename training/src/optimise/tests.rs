use super::*;

fn rows<'a>(vectors: &'a [(Vector, f64)]) -> Vec<Row<'a>> {
    vectors.iter().map(|(vector, target)| Row { vector, target: *target, weight: 1.0 }).collect()
}

fn some() -> Vec<(Vector, f64)> {
    let texts = [
        ("why does ice float on water", 0.9),
        ("name a red fruit", 0.1),
        ("prove that the sum of two odd numbers is even", 0.8),
        ("what colour is grass", 0.2),
    ];
    texts.iter().map(|(text, target)| (Vector::of(text), *target)).collect()
}

#[test]
fn what_can_be_told_apart_is() {
    let vectors = some();
    let model = learn(&rows(&vectors), 1e-4);
    for (vector, target) in &vectors {
        let found = 1.0 / (1.0 + (-model.logit(vector)).exp());
        assert!((found - target).abs() < 0.02, "{found} {target}");
    }
}

#[test]
fn a_penalty_keeps_weights_small_but_not_the_bias() {
    let vectors = some();
    let size = |penalty| learn(&rows(&vectors), penalty).buckets().iter().map(|weight| weight * weight).sum::<f64>();
    assert!(size(10.0) < size(0.01) / 100.0);
    let all: Vec<(Vector, f64)> = some().into_iter().map(|(vector, _)| (vector, 0.9)).collect();
    let model = learn(&rows(&all), 100.0);
    assert!((model.bias() - 9.0_f64.ln()).abs() < 0.05, "{}", model.bias());
}

#[test]
fn the_slope_is_that_of_the_loss() {
    let vectors = some();
    let rows = rows(&vectors);
    let at = Model((0..SIZE).map(|n| ((n * 31) % 17) as f64 / 40.0 - 0.2).collect());
    let (_, gradient) = at.loss(&rows, 0.01);
    let (bucket, _) = vectors[0].0.grams[0];
    for place in [0, 1, 2, COUNTS, 1 + COUNTS + bucket as usize] {
        let moved = |by: f64| {
            let mut model = at.clone();
            model.0[place] += by;
            model.loss(&rows, 0.01).0
        };
        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((slope - gradient[place]).abs() < 1e-6, "{place}: {slope} {}", gradient[place]);
    }
}

#[test]
fn a_row_that_weighs_nothing_teaches_nothing() {
    let vectors = some();
    let mut with = rows(&vectors);
    with.push(Row { vector: &vectors[0].0, target: 0.0, weight: 0.0 });
    assert_eq!(learn(&with, 0.01), learn(&rows(&vectors), 0.01));
}
