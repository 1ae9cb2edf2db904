use super::*;
use crate::local::tiny::config;

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
