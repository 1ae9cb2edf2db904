use super::*;
use crate::source::Rope;
use crate::torch_engine::tiny::config;

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

#[test]
fn a_rotation_keeps_lengths_and_depends_on_the_distance_alone() {
    let rotary = Rotary::new(&config(), 32, Device::Cpu).unwrap();
    let width = config().head_dim as i64;
    let x = Tensor::from_slice(&(0..width).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>()).reshape([1, 1, width]);
    let at = |position: i64| rotary.angles(&Tensor::from_slice(&[position])).unwrap().rotate(&x).unwrap();
    let dot = |a: &Tensor, b: &Tensor| (a * b).sum(Kind::Float).double_value(&[]);
    assert!((dot(&at(9), &at(9)) - dot(&x, &x)).abs() < 1e-4);
    assert!((dot(&at(3), &at(8)) - dot(&at(20), &at(25))).abs() < 1e-4);
    assert!((dot(&at(3), &at(8)) - dot(&at(3), &at(9))).abs() > 1e-3);
}
