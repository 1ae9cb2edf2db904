use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;

fn uniform(random: &mut ChaCha8Rng) -> f32 {
    (random.next_u32() as f64 / f64::from(u32::MAX) - 0.5) as f32
}

fn numbers(random: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| uniform(random)).collect()
}

const fn groups(four: bool, group: usize, half: bool) -> Format {
    Format::Groups(GroupKind { four, group, half })
}

const FORMATS: [Format; 9] = [
    Format::F32,
    Format::Bf16,
    Format::Int8,
    groups(true, 32, true),
    groups(true, 32, false),
    groups(true, 64, true),
    groups(true, 128, false),
    groups(false, 32, true),
    groups(false, 16, false),
];

/// Rows, columns, depth: one of each, tails of every tile, panel, pair, four and group.
const SHAPES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (1, 33, 64),
    (2, 31, 7),
    (3, 64, 129),
    (5, 7, 32),
    (7, 100, 96),
    (12, 32, 512),
    (13, 65, 200),
    (33, 17, 1024),
    (40, 96, 33),
];

struct Case {
    x: Vec<f32>,
    w: Vec<f32>,
    rows: usize,
    n: usize,
    k: usize,
}

impl Case {
    fn new((rows, n, k): (usize, usize, usize)) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64((rows * 1_000_000 + n * 1_000 + k) as u64);
        Self { x: numbers(&mut random, rows * k), w: numbers(&mut random, n * k), rows, n, k }
    }

    fn pack(&self, pool: &Pool, format: Format) -> Matrix {
        let row = |row: usize, out: &mut [f32]| out.copy_from_slice(&self.w[row * self.k..(row + 1) * self.k]);
        Matrix::pack(pool, format, (self.n, self.k), row).unwrap()
    }

    fn x(&self, row: usize) -> &[f32] {
        &self.x[row * self.k..(row + 1) * self.k]
    }

    fn w(&self, column: usize) -> &[f32] {
        &self.w[column * self.k..(column + 1) * self.k]
    }
}

fn multiply(isa: Isa, pool: &Pool, matrix: &Matrix, x: &[f32]) -> Vec<f32> {
    let rows = x.len() / matrix.k();
    let mut activations = Activations::new(rows, matrix.k()).unwrap();
    activations.fill(isa, pool, matrix.form(), x, matrix.k());
    let mut y = vec![f32::NAN; rows * matrix.n()];
    matrix.multiply(isa, pool, &activations, None, Store::Set, &mut y);
    y
}

fn dot(x: &[f32], w: &[f32]) -> f64 {
    x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum()
}

fn largest(of: &[f32]) -> f64 {
    of.iter().fold(0.0, |most, x| f64::from(x.abs()).max(most))
}

/// The bounds that the module's table states, for one entry.
fn bound(format: Format, x: &[f32], w: &[f32]) -> f64 {
    let k = x.len() as f64;
    let sizes: f64 = x.iter().zip(w).map(|(x, w)| f64::from((x * w).abs())).sum();
    let (x_most, w_most) = (largest(x), largest(w));
    let (x_sum, w_sum): (f64, f64) =
        (x.iter().map(|x| f64::from(x.abs())).sum(), w.iter().map(|w| f64::from(w.abs())).sum());
    let rounding = k * 2f64.powi(-24) * sizes + 1e-6;
    rounding
        + match format {
            Format::F32 => 0.0,
            Format::Bf16 => sizes * 2f64.powi(-7),
            Format::Int8 => (x_sum * w_most + w_sum * x_most) / 254.0 + k * x_most * w_most / 254.0 / 254.0,
            Format::Groups(kind) => {
                // Weights lie between -0.5 and 0.5: a step is at most a 15th or a 255th of that.
                let step = (1.0 + 2f64.powi(-9)) / f64::from(kind.highest()) / 2.0 + 2f64.powi(-11);
                x_sum * step + (w_sum + k * step) * x_most / 254.0
            }
        }
}

#[test]
fn products_agree_with_f64_within_the_bound_of_the_format() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        for format in FORMATS {
            for shape in SHAPES {
                let case = Case::new(shape);
                let y = multiply(isa, &pool, &case.pack(&pool, format), &case.x);
                for row in 0..case.rows {
                    for column in 0..case.n {
                        let (x, w) = (case.x(row), case.w(column));
                        let miss = (f64::from(y[row * case.n + column]) - dot(x, w)).abs();
                        let bound = bound(format, x, w);
                        assert!(miss <= bound, "{isa} {format:?} {shape:?} at {row}, {column}: {miss} > {bound}");
                    }
                }
            }
        }
    }
}

/// What is left when weights and activations are taken as they are stored: rounding of sums alone.
#[test]
fn products_of_stored_numbers_are_exact_to_rounding() {
    let pool = Pool::new(1);
    for isa in Isa::available() {
        for format in FORMATS {
            for shape in SHAPES {
                let case = Case::new(shape);
                let matrix = case.pack(&pool, format);
                let mut activations = Activations::new(case.rows, case.k).unwrap();
                activations.fill(isa, &pool, matrix.form(), &case.x, case.k);
                let y = multiply(isa, &pool, &matrix, &case.x);
                for row in 0..case.rows {
                    let x: Vec<f32> = (0..case.k).map(|at| activations.number(row, at)).collect();
                    for column in 0..case.n {
                        let mut w = vec![0.0; case.k];
                        matrix.unpack_row(column, &mut w);
                        let miss = (f64::from(y[row * case.n + column]) - dot(&x, &w)).abs();
                        assert!(miss < 1e-6 * case.k as f64 + 1e-6, "{isa} {format:?} {shape:?}: {miss}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_batch_and_on_any_number_of_threads() {
    for isa in Isa::available() {
        for format in FORMATS {
            let case = Case::new((41, 70, 160));
            let (one, three) = (Pool::new(1), Pool::new(3));
            let matrix = case.pack(&one, format);
            let alone: Vec<f32> = (0..case.rows).flat_map(|row| multiply(isa, &one, &matrix, case.x(row))).collect();
            for rows in 1..=case.rows {
                let together = multiply(isa, &three, &matrix, &case.x[..rows * case.k]);
                assert!(together == alone[..together.len()], "{isa} {format:?}: {rows} rows");
            }
        }
    }
}

#[test]
fn all_instruction_sets_agree_on_integers() {
    let (pool, case) = (Pool::new(1), Case::new((9, 40, 96)));
    let matrix = case.pack(&pool, Format::Int8);
    let portable = multiply(Isa::PORTABLE, &pool, &matrix, &case.x);
    for isa in Isa::available() {
        for (found, portable) in multiply(isa, &pool, &matrix, &case.x).iter().zip(&portable) {
            assert!((found - portable).abs() <= 1e-5, "{isa}: {found} and {portable}");
        }
    }
}

#[test]
fn a_product_can_be_added_with_a_bias() {
    let pool = Pool::new(2);
    for format in FORMATS {
        let case = Case::new((5, 40, 64));
        let matrix = case.pack(&pool, format);
        let plain = multiply(Isa::detect(), &pool, &matrix, &case.x);
        let bias: Vec<f32> = (0..case.n).map(|column| column as f32).collect();
        let mut activations = Activations::new(case.rows, case.k).unwrap();
        activations.fill(Isa::detect(), &pool, matrix.form(), &case.x, case.k);
        let mut y = vec![2.0; case.rows * case.n];
        matrix.multiply(Isa::detect(), &pool, &activations, Some(&bias), Store::Add, &mut y);
        for (place, (y, plain)) in y.iter().zip(&plain).enumerate() {
            assert_eq!(*y, 2.0 + (plain + bias[place % case.n]), "{format:?}");
        }
    }
}

#[test]
fn what_is_not_a_number_spoils_its_row_alone() {
    let pool = Pool::new(1);
    for isa in Isa::available() {
        for format in FORMATS {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut case = Case::new((3, 33, 64));
                case.x[64 + 5] = bad;
                let y = multiply(isa, &pool, &case.pack(&pool, format), &case.x);
                let finite: Vec<bool> = y.chunks(33).map(|row| row.iter().all(|y| y.is_finite())).collect();
                let any: Vec<bool> = y.chunks(33).map(|row| row.iter().any(|y| y.is_finite())).collect();
                assert_eq!((finite, any), (vec![true, false, true], vec![true, false, true]), "{isa} {format:?} {bad}");
            }
        }
    }
}

#[test]
fn codes_are_held_exactly() {
    let pool = Pool::new(2);
    let (n, k) = (35, 96);
    for (four, group, half) in [(true, 32, true), (true, 32, false), (false, 32, true), (false, 16, false)] {
        let kind = GroupKind { four, group, half };
        let code = |row: usize, at: usize| ((row * 7 + at * 13) % (usize::from(kind.highest()) + 1)) as u8;
        // Halves hold these exactly.
        let scale = |row: usize, group: usize| 2f32.powi(-((row + group) as i32 % 9));
        let minimum = |row: usize, group: usize| -(row as f32) / 8.0 + group as f32;
        let matrix = Matrix::pack_codes(&pool, kind, (n, k), |row, codes| {
            for (at, to) in codes.codes.iter_mut().enumerate() {
                *to = code(row, at);
            }
            for (place, (to, least)) in codes.scales.iter_mut().zip(codes.minima.iter_mut()).enumerate() {
                (*to, *least) = (scale(row, place), minimum(row, place));
            }
        })
        .unwrap();
        let mut out = vec![0.0; k];
        for row in 0..n {
            matrix.unpack_row(row, &mut out);
            for (at, out) in out.iter().enumerate() {
                let exact = f32::from(code(row, at)) * scale(row, at / group) + minimum(row, at / group);
                assert_eq!(*out, exact, "{kind:?} {row} {at}");
            }
        }
        assert_eq!(Matrix::bytes_of(Format::Groups(kind), n, k), matrix.bytes());
    }
}

#[test]
fn activations_of_zeroes_and_of_tiny_numbers_are_no_trouble() {
    let pool = Pool::new(1);
    for isa in Isa::available() {
        for format in FORMATS {
            let mut case = Case::new((2, 33, 64));
            case.x[..64].fill(0.0);
            case.x[64..].fill(1e-42);
            let y = multiply(isa, &pool, &case.pack(&pool, format), &case.x);
            assert!(y.iter().all(|y| y.abs() < 1e-35), "{isa} {format:?}");
        }
    }
}
