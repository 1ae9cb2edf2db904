//! Tensors one below the other, as rows to pack.

use protocol::config::Quantization;

use super::NativeLoadError;
use crate::gguf::codes::is_half;
use crate::kernels::gemm::{Codes, Format, GroupKind, Matrix};
use crate::kernels::{OutOfMemory, Pool};
use crate::source::{Role, Stored, WeightSource};

pub(super) struct Stack {
    parts: Vec<Stored>,
    rows: usize,
    width: usize,
}

impl Stack {
    pub(super) fn read(source: &dyn WeightSource, roles: &[Role]) -> Result<Self, NativeLoadError> {
        let part = |role: &Role| source.stored(*role)?.ok_or(NativeLoadError::Missing(*role));
        let parts: Vec<Stored> = roles.iter().map(part).collect::<Result<_, _>>()?;
        let width = parts.first().map_or(0, Stored::width);
        let rows = parts.iter().map(Stored::rows).sum();
        Ok(Self { parts, rows, width })
    }

    /// Packs them: code by code where the packed layout holds them exactly, else in `format`.
    pub(super) fn pack(&self, pool: &Pool, format: Format, quantization: Quantization) -> Result<Matrix, OutOfMemory> {
        let shape = (self.rows, self.width);
        if let Some(kind) = self.exact(quantization) {
            return Matrix::pack_codes(pool, kind, shape, |row, codes| {
                let Some((part, row)) = self.find(row) else { return };
                let Codes { codes, scales, minima } = codes;
                part.dtype.split(part.row(row), codes, scales, minima);
            });
        }
        Matrix::pack(pool, format, shape, |row, out| {
            if let Some((part, row)) = self.find(row) {
                part.dequantise_row(row, out);
            }
        })
    }

    /// The groups that hold all parts exactly, if their codes are no finer than what was asked for: 4 bits stay
    /// 4 bits, or become 8 where 8 are asked for, since rounding them anew, per channel, costs more than the
    /// wider scales do.
    fn exact(&self, quantization: Quantization) -> Option<GroupKind> {
        let first = self.parts.first()?.dtype.grouping()?;
        let alike = self.parts.iter().all(|part| part.dtype.grouping() == Some(first));
        let four = match quantization {
            Quantization::None => return None,
            Quantization::Int8 => false,
            Quantization::Int4 if first.four => true,
            Quantization::Int4 => return None,
        };
        alike.then(|| GroupKind {
            four,
            group: first.group,
            half: first.half && self.parts.iter().all(has_half_minima),
        })
    }

    fn find(&self, mut row: usize) -> Option<(&Stored, usize)> {
        for part in &self.parts {
            if row < part.rows() {
                return Some((part, row));
            }
            row -= part.rows();
        }
        None
    }
}

/// Minima are multiples of scales in some types: a huge scale may make one that no half holds.
fn has_half_minima(part: &Stored) -> bool {
    let Some(grouping) = part.dtype.grouping() else { return false };
    let (mut codes, groups) = (vec![0; part.width()], part.width() / grouping.group);
    let (mut scales, mut minima) = (vec![0.0; groups], vec![0.0; groups]);
    (0..part.rows()).all(|row| {
        part.dtype.split(part.row(row), &mut codes, &mut scales, &mut minima);
        minima.iter().all(|minimum| is_half(*minimum))
    })
}
