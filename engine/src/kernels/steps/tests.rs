use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::kernels::kv::{KvFormat, KvShape};

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.next_u32() as f32 / u32::MAX as f32 * 4.0 - 2.0).collect()
}

fn close(found: f32, exact: f64, relative: f64) -> bool {
    (f64::from(found) - exact).abs() <= relative * exact.abs().max(1e-3)
}

#[test]
fn norms_agree_with_f64() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        for (rows, width) in [(1, 1), (1, 7), (3, 16), (5, 100), (40, 576), (2, 4099)] {
            let (x, weight) = (numbers(1, rows * width), numbers(2, width));
            let mut out = vec![0.0; rows * width];
            norm(isa, &pool, &x, &weight, 1e-5, &mut out);
            for (x, out) in x.chunks(width).zip(out.chunks(width)) {
                let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / width as f64;
                for ((x, weight), out) in x.iter().zip(&weight).zip(out) {
                    let exact = f64::from(*x) * f64::from(*weight) / (mean + 1e-5).sqrt();
                    assert!(close(*out, exact, 1e-5), "{isa} {width}: {out} for {exact}");
                }
            }
        }
    }
}

#[test]
fn gates_agree_with_f64() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        for (rows, width) in [(1, 1), (3, 5), (9, 1536)] {
            let mut both = numbers(3, rows * 2 * width);
            both[0] = -200.0;
            let mut out = vec![0.0; rows * width];
            gate(isa, &pool, &both, width, &mut out);
            for (both, out) in both.chunks(2 * width).zip(out.chunks(width)) {
                for (at, out) in out.iter().enumerate() {
                    let (gate, up) = (f64::from(both[at]), f64::from(both[width + at]));
                    assert!(close(*out, gate / (1.0 + (-gate).exp()) * up, 1e-5), "{isa} {gate}");
                }
            }
        }
    }
}

/// Keys and values read back, queries turned, against the formulas in `f64`.
#[test]
fn queries_are_turned_and_keys_and_values_are_stored() {
    let (query, heads, dim, rows) = (6, 2, 8, 5);
    let width = (query + 2 * heads) * dim;
    let angle = |position: usize, pair: usize| position as f64 * 0.3f64.powi(pair as i32);
    let table = |of: fn(f64) -> f64| -> Vec<f32> {
        (0..32).flat_map(|position| (0..dim / 2).map(move |pair| of(angle(position, pair)) as f32)).collect()
    };
    let (cos, sin) = (table(f64::cos), table(f64::sin));
    let (q_norm, k_norm) = (numbers(7, dim), numbers(8, dim));
    let positions: Vec<u32> = (0..rows as u32).map(|row| row * 3 + 1).collect();
    let slots: Vec<(u32, u32)> = (0..rows as u32).map(|row| (row % 2, row)).collect();
    for isa in Isa::available() {
        for (format, loss) in [(KvFormat::F32, 1e-6), (KvFormat::Bf16, 2f64.powi(-8)), (KvFormat::Int8, 1.0 / 120.0)] {
            for norms in [None, Some((&q_norm[..], &k_norm[..]))] {
                let mut kv = LayerKv::new(KvShape { format, block: 8, heads, dim }, 2).unwrap();
                let before = numbers(9, rows * width);
                let mut qkv = before.clone();
                let setting = Place {
                    query,
                    norms,
                    eps: 1e-5,
                    cos: &cos,
                    sin: &sin,
                    positions: &positions,
                    slots: &slots,
                    last: &[rows - 1],
                };
                place(isa, &Pool::new(2), &mut qkv, &setting, &mut kv);
                for row in 0..rows {
                    let turned = |head: usize| -> Vec<f64> {
                        let x: Vec<f64> =
                            before[row * width + head * dim..][..dim].iter().map(|x| f64::from(*x)).collect();
                        let weight = norms.map(|norms| if head < query { norms.0 } else { norms.1 });
                        let mean = x.iter().map(|x| x * x).sum::<f64>() / dim as f64;
                        let normed: Vec<f64> = match weight {
                            None => x,
                            Some(weight) => {
                                let scale = 1.0 / (mean + 1e-5).sqrt();
                                x.iter().zip(weight).map(|(x, weight)| x * scale * f64::from(*weight)).collect()
                            }
                        };
                        let turn = |at: usize| {
                            let angle = angle(positions[row] as usize, at % (dim / 2));
                            let (a, b) = (normed[at % (dim / 2)], normed[at % (dim / 2) + dim / 2]);
                            if at < dim / 2 {
                                a * angle.cos() - b * angle.sin()
                            } else {
                                b * angle.cos() + a * angle.sin()
                            }
                        };
                        (0..dim).map(turn).collect()
                    };
                    for head in 0..query {
                        let found = &qkv[row * width + head * dim..][..dim];
                        for (found, exact) in found.iter().zip(turned(head)) {
                            assert!((f64::from(*found) - exact).abs() < 1e-5, "{isa} {found} for {exact}");
                        }
                    }
                    for head in 0..heads {
                        let (block, slot) = slots[row];
                        let (key, value) = kv.read(block as usize, head, slot as usize);
                        let values = &before[row * width + (query + heads + head) * dim..][..dim];
                        let values: Vec<f64> = values.iter().map(|x| f64::from(*x)).collect();
                        for (found, exact) in [(key, turned(query + head)), (value, values)] {
                            let most = exact.iter().fold(0.0f64, |most, x| most.max(x.abs()));
                            for (found, exact) in found.iter().zip(exact) {
                                let miss = (f64::from(*found) - exact).abs();
                                assert!(miss <= loss * most + 1e-5, "{isa} {format:?}: {found} for {exact}");
                            }
                        }
                    }
                }
            }
        }
    }
}
