//! Where libtorch is faster than our kernels: measured at the start, and only where it may be used.
//!
//! libtorch's products take plain weights. So that no weight is held twice, they are unpacked for each
//! product; for enough rows that pays all the same, if at all. On processors with AVX-512 it does not:
//! our kernels are as fast or faster at every batch. With AVX2 or less it may.
//!
//! A product of libtorch's adds up in an order that depends on the batch.

use std::time::{Duration, Instant};

use tch::{Kind, Tensor};

use crate::kernels::gemm::{Matrix, Store};
use crate::kernels::rows::Activations;
use crate::kernels::{Isa, Pool};

/// Batches that are tried.
const TRIED: [usize; 3] = [64, 256, 1024];
/// libtorch must need less than so many hundredths of our time: a close call is not worth the variance.
const SHARE: u32 = 80;

/// `y = x · wᵀ` by libtorch: `[rows, k] · [n, k]ᵀ`. What it refuses is left to our kernels: false.
pub(super) fn multiply(matrix: &Matrix, x: &[f32], bias: Option<&[f32]>, store: Store, y: &mut [f32]) -> bool {
    product(matrix, x, bias, store, y).is_ok()
}

fn product(matrix: &Matrix, x: &[f32], bias: Option<&[f32]>, store: Store, y: &mut [f32]) -> Result<(), tch::TchError> {
    let (n, k) = (matrix.n(), matrix.k());
    let mut plain = vec![0.0; n * k];
    for (row, out) in plain.chunks_exact_mut(k.max(1)).enumerate() {
        matrix.unpack_row(row, out);
    }
    let kind = if matrix.is_f32() { Kind::Float } else { Kind::BFloat16 };
    let tensor =
        |numbers: &[f32], columns: usize| Tensor::from_slice(numbers).f_reshape([-1, columns as i64])?.f_to_kind(kind);
    let product = tensor(x, k)?.f_linear(&tensor(&plain, k)?, None::<Tensor>)?.f_to_kind(Kind::Float)?;
    let product = Vec::<f32>::try_from(&product.f_flatten(0, -1)?)?;
    for (y, product) in y.chunks_exact_mut(n.max(1)).zip(product.chunks_exact(n.max(1))) {
        for (column, (y, product)) in y.iter_mut().zip(product).enumerate() {
            let value = product + bias.and_then(|bias| bias.get(column)).copied().unwrap_or(0.0);
            match store {
                Store::Set => *y = value,
                Store::Add => *y += value,
            }
        }
    }
    Ok(())
}

/// The rows from which libtorch is clearly faster on this matrix, if it ever is for up to `most` rows.
pub(super) fn measure(isa: Isa, pool: &Pool, matrix: &Matrix, most: usize) -> Option<usize> {
    let _no_grad = tch::no_grad_guard();
    tch::set_num_threads(i32::try_from(pool.threads()).unwrap_or(i32::MAX));
    TRIED.into_iter().filter(|rows| *rows <= most).find(|rows| {
        let x: Vec<f32> = (0..rows * matrix.k()).map(|place| (place % 97) as f32 / 97.0 - 0.5).collect();
        let mut y = vec![0.0; rows * matrix.n()];
        let Ok(mut activations) = Activations::new(*rows, matrix.k()) else { return false };
        let ours = quickest(|| {
            activations.fill(isa, pool, matrix.form(), &x, matrix.k());
            matrix.multiply(isa, pool, &activations, None, Store::Set, &mut y);
            true
        });
        let theirs = quickest(|| multiply(matrix, &x, None, Store::Set, &mut y));
        ours.zip(theirs).is_some_and(|(ours, theirs)| theirs < ours * SHARE / 100)
    })
}

/// The shortest of a few times, the first of which warms up. None if the work cannot be done.
#[expect(clippy::disallowed_methods, reason = "a measurement at the start; no decision of a step reads the clock")]
fn quickest(mut work: impl FnMut() -> bool) -> Option<Duration> {
    let time = |work: &mut dyn FnMut() -> bool| {
        let start = Instant::now();
        work().then(|| start.elapsed())
    };
    time(&mut work)?;
    (0..3).filter_map(|_| time(&mut work)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::Format;

    #[test]
    fn libtorch_and_the_kernels_give_the_same_product() {
        let (pool, isa) = (Pool::new(1), Isa::detect());
        let (rows, n, k) = (5, 33, 64);
        let number = |place: usize| ((place * 37 % 101) as f32 - 50.0) / 101.0;
        let x: Vec<f32> = (0..rows * k).map(number).collect();
        let bias: Vec<f32> = (0..n).map(|column| column as f32).collect();
        for (format, tolerance) in [(Format::F32, 1e-4), (Format::Bf16, 0.1)] {
            let row = |row: usize, out: &mut [f32]| {
                out.iter_mut().enumerate().for_each(|(at, out)| *out = number(row * k + at + 7));
            };
            let matrix = Matrix::pack(&pool, format, (n, k), row).unwrap();
            let mut activations = Activations::new(rows, k).unwrap();
            activations.fill(isa, &pool, matrix.form(), &x, k);
            for store in [Store::Set, Store::Add] {
                let (mut ours, mut theirs) = (vec![2.0; rows * n], vec![2.0; rows * n]);
                matrix.multiply(isa, &pool, &activations, Some(&bias), store, &mut ours);
                assert!(multiply(&matrix, &x, Some(&bias), store, &mut theirs));
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    assert!((ours - theirs).abs() <= tolerance, "{format:?} {store:?}: {ours} and {theirs}");
                }
            }
            // Whatever the machine answers, it is one of the batches that were tried, or none.
            assert!(measure(isa, &pool, &matrix, 64).is_none_or(|rows| rows == 64));
        }
    }
}
