use super::*;
use crate::local::tiny::config;
use crate::source::Rope;

fn with(scaling: RopeScaling) -> Vec<f64> {
    let mut config = config();
    config.rope = Rope { theta: 10_000.0, scaling };
    frequencies(&config)
}

#[test]
fn scalings_divide_what_they_should() {
    let plain = with(RopeScaling::None);
    assert!((plain[0] - 1.0).abs() < 1e-12);
    let halved = with(RopeScaling::Linear { factor: 2.0 });
    assert!(plain.iter().zip(&halved).all(|(a, b)| (a / 2.0 - b).abs() < 1e-12));
    let each = with(RopeScaling::Factors(vec![4.0; plain.len()]));
    assert!(plain.iter().zip(&each).all(|(a, b)| (a / 4.0 - b).abs() < 1e-12));
}

#[test]
fn llama3_keeps_fast_turns_and_slows_slow_ones() {
    let plain = with(RopeScaling::None);
    let scaled = with(RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 64.0 });
    for (plain, scaled) in plain.iter().zip(&scaled) {
        let wavelength = std::f64::consts::TAU / plain;
        if wavelength < 16.0 {
            assert!((plain - scaled).abs() < 1e-12);
        } else if wavelength > 64.0 {
            assert!((plain / 8.0 - scaled).abs() < 1e-12);
        } else {
            assert!(scaled < plain && *scaled > plain / 8.0);
        }
    }
}
