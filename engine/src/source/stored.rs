//! A tensor as its file stores it.

use super::{TensorType, Weights};

/// A tensor as its file stores it, row by row; rotary rows are in half-split order.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub dtype: TensorType,
    /// As many as shape and type say: rows lie in whole blocks.
    pub bytes: Vec<u8>,
}

impl Stored {
    /// Rows: all dimensions but the last.
    pub fn rows(&self) -> usize {
        self.shape.split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// A row's bytes; none beyond the last row.
    pub fn row(&self, row: usize) -> &[u8] {
        let bytes = self.dtype.bytes(self.width()).unwrap_or(0);
        self.bytes.get(row * bytes..(row + 1) * bytes).unwrap_or_default()
    }

    /// Fills `out` with the numbers of a row.
    pub fn dequantise_row(&self, row: usize, out: &mut [f32]) {
        self.dtype.dequantise_into(self.row(row), out);
    }

    /// All of it as floats.
    pub fn widen(self) -> Weights {
        let mut data = vec![0.0; self.rows() * self.width()];
        self.dtype.dequantise_into(&self.bytes, &mut data);
        Weights { shape: self.shape, data }
    }

    /// Moves rows of rotary weights from interleaved pairs (0, 1), (2, 3) … to half-split order: per head
    /// of `dim` rows, row `2 · i` becomes row `i` and row `2 · i + 1` becomes row `dim / 2 + i`.
    pub(crate) fn split_halves(&mut self, dim: usize) {
        let row = self.dtype.bytes(self.width()).unwrap_or(0);
        if row == 0 || dim == 0 || !self.rows().is_multiple_of(dim) {
            return;
        }
        let mut out = Vec::with_capacity(self.bytes.len());
        for head in self.bytes.chunks_exact(dim * row) {
            for parity in 0..2 {
                for row in head.chunks_exact(row).skip(parity).step_by(2) {
                    out.extend_from_slice(row);
                }
            }
        }
        self.bytes = out;
    }
}
