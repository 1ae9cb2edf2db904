//! Tensors one below the other, as rows to pack.

use protocol::config::Quantization;

use super::NativeLoadError;
use crate::kernels::gemm::{Format, Matrix};
use crate::kernels::{OutOfMemory, Pool};
use crate::source::{Role, WeightSource, Weights};

pub(super) struct Stack {
    parts: Vec<Weights>,
    width: usize,
}

impl Stack {
    pub(super) fn read(source: &dyn WeightSource, roles: &[Role]) -> Result<Self, NativeLoadError> {
        let part = |role: &Role| source.weights(*role)?.ok_or(NativeLoadError::Missing(*role));
        let parts: Vec<Weights> = roles.iter().map(part).collect::<Result<_, _>>()?;
        let width = parts.first().and_then(|part| part.shape.last().copied()).unwrap_or(0);
        Ok(Self { parts, width })
    }

    pub(super) fn pack(&self, pool: &Pool, format: Format, quantization: Quantization) -> Result<Matrix, OutOfMemory> {
        let _ = quantization;
        let rows = self.parts.iter().map(|part| part.shape.first().copied().unwrap_or(0)).sum();
        Matrix::pack(pool, format, (rows, self.width), |mut row, out| {
            for part in &self.parts {
                let rows = part.shape.first().copied().unwrap_or(0);
                if row < rows {
                    out.copy_from_slice(&part.data[row * self.width..(row + 1) * self.width]);
                    return;
                }
                row -= rows;
            }
        })
    }
}
