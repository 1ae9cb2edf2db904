//! Products of activations with packed weights: `y = x · wᵀ`, `[rows, k] · [n, k]ᵀ → [rows, n]`, f32 out.
//!
//! Weights are packed in panels of 32 columns of `y`, so that one or two vectors hold the columns and
//! each activation is broadcast: a sum runs along `k` in its own lane, in order, and no lane is ever
//! added to another. Threads share the panels.
//!
//! | format | weights | activations | relative error of a product's entry, to the sum of the terms' sizes |
//! |---|---|---|---|
//! | [`Format::F32`] | 32 bits | f32 | k · 2⁻²⁴ |
//! | [`Format::Bf16`] | 16 bits | bf16 | 2⁻⁷ + k · 2⁻²⁴: each factor is rounded to 8 bits |
//! | [`Format::Int8`] | 8 bits, a scale per column | 8 bits, a scale per group | 1/254 of the largest weight of a column and activation of a group |
//! | [`Format::Groups`] | 4 or 8 bits, scale and minimum per group | 8 bits, a scale per group | half a step of the codes, and 1/254 of the largest activation of a group |
//!
//! The products of the integer formats are exact sums; what is lost is lost in rounding the factors.

use super::rows::{Activations, Form, Shared};
use super::{Isa, OutOfMemory, Pool};

mod bf16;
mod float;
mod groups;
mod int8;
#[cfg(test)]
mod tests;

pub(crate) use groups::{Codes, GroupKind};

/// Columns of a panel: two vectors of 16.
pub(super) const PANEL: usize = 32;

/// How weights are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// 32-bit floats.
    F32,
    /// Brain floating point.
    Bf16,
    /// 8 bits, symmetric, a scale per column of `y`.
    Int8,
    /// Few bits with scale and minimum per group along `k`.
    Groups(GroupKind),
}

/// Weights, packed: `[n, k]`.
#[derive(Debug)]
pub(crate) struct Matrix {
    n: usize,
    k: usize,
    packed: Packed,
}

#[derive(Debug)]
enum Packed {
    F32(float::Packed),
    Bf16(bf16::Packed),
    Int8(int8::Packed),
    Groups(groups::Packed),
}

/// What happens to a product's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// It replaces what is there.
    Set,
    /// It is added to what is there.
    Add,
}

impl Matrix {
    /// Packs `[n, k]` weights; `row` gives a row as floats.
    pub(crate) fn pack(
        pool: &Pool,
        format: Format,
        (n, k): (usize, usize),
        row: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Result<Self, OutOfMemory> {
        let packed = match format {
            Format::F32 => Packed::F32(float::Packed::new(pool, n, k, &row)?),
            Format::Bf16 => Packed::Bf16(bf16::Packed::new(pool, n, k, &row)?),
            Format::Int8 => Packed::Int8(int8::Packed::new(pool, n, k, &row)?),
            Format::Groups(kind) => {
                let quantise = |number: usize, codes: &mut Codes<'_>| {
                    let mut floats = vec![0.0; k];
                    row(number, &mut floats);
                    codes.quantise(&floats, kind);
                };
                Packed::Groups(groups::Packed::new(pool, kind, n, k, &quantise)?)
            }
        };
        Ok(Self { n, k, packed })
    }

    /// Packs weights that are stored in groups already; `row` gives a row's codes, scales and minima.
    pub(crate) fn pack_codes(
        pool: &Pool,
        kind: GroupKind,
        (n, k): (usize, usize),
        row: impl Fn(usize, &mut Codes<'_>) + Sync,
    ) -> Result<Self, OutOfMemory> {
        Ok(Self { n, k, packed: Packed::Groups(groups::Packed::new(pool, kind, n, k, &row)?) })
    }

    /// Bytes that weights of that shape take.
    pub(crate) fn bytes_of(format: Format, n: usize, k: usize) -> usize {
        let panels = n.div_ceil(PANEL);
        let panel = match format {
            Format::F32 => k * PANEL * 4,
            Format::Bf16 => k.next_multiple_of(2) * PANEL * 2,
            Format::Int8 => k.next_multiple_of(int8::GROUP) * PANEL + PANEL * 4,
            Format::Groups(kind) => kind.panel_bytes(k),
        };
        panels * panel
    }

    /// Whether it is held in 32 bits.
    pub(crate) fn is_f32(&self) -> bool {
        matches!(self.packed, Packed::F32(_))
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        match &self.packed {
            Packed::F32(packed) => packed.bytes(),
            Packed::Bf16(packed) => packed.bytes(),
            Packed::Int8(packed) => packed.bytes(),
            Packed::Groups(packed) => packed.bytes(),
        }
    }

    /// Columns of `y`.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// Columns of `x`.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// The form that its activations must have.
    pub(crate) fn form(&self) -> Form {
        match &self.packed {
            Packed::F32(_) => Form::F32,
            Packed::Bf16(_) => Form::Bf16,
            Packed::Int8(_) => Form::Int8 { group: int8::GROUP },
            Packed::Groups(packed) => Form::Int8 { group: packed.kind.group },
        }
    }

    /// A row of the weights as floats: `[k]`.
    pub(crate) fn unpack_row(&self, row: usize, out: &mut [f32]) {
        debug_assert!(row < self.n && out.len() == self.k);
        match &self.packed {
            Packed::F32(packed) => packed.unpack(row, out),
            Packed::Bf16(packed) => packed.unpack(row, out),
            Packed::Int8(packed) => packed.unpack(row, out),
            Packed::Groups(packed) => packed.unpack(row, out),
        }
    }

    /// `y = x · wᵀ + bias`, or `y += x · wᵀ + bias`: `[rows, n]`.
    ///
    /// # Panics
    /// If the shapes or the form do not fit.
    pub(crate) fn multiply(
        &self,
        isa: Isa,
        pool: &Pool,
        x: &Activations,
        bias: Option<&[f32]>,
        store: Store,
        y: &mut [f32],
    ) {
        assert_eq!((x.width, x.form), (self.k, self.form()), "activations for other weights");
        assert!(y.len() == x.rows * self.n && bias.is_none_or(|bias| bias.len() == self.n), "y has {}", y.len());
        let target = Target { y: Shared(y.as_mut_ptr()), n: self.n, bias, store };
        match &self.packed {
            Packed::F32(packed) => drive(pool, &float::Tiles { packed, x, isa }, x.rows, &target),
            Packed::Bf16(packed) => drive(pool, &bf16::Tiles { packed, x, isa }, x.rows, &target),
            Packed::Int8(packed) => drive(pool, &int8::Tiles { packed, x, isa }, x.rows, &target),
            Packed::Groups(packed) => drive(pool, &groups::Tiles { packed, x, isa }, x.rows, &target),
        }
    }
}

/// Some rows of one panel.
type Tile<const R: usize> = [[f32; PANEL]; R];

/// Computes tiles.
trait Tiles: Sync {
    /// The most rows of a tile.
    const MOST: usize;

    /// Rows `row..row + R` of a panel.
    fn tile<const R: usize>(&self, panel: usize, row: usize, out: &mut Tile<R>);
}

struct Target<'a> {
    y: Shared<f32>,
    n: usize,
    bias: Option<&'a [f32]>,
    store: Store,
}

fn drive<T: Tiles>(pool: &Pool, tiles: &T, rows: usize, target: &Target<'_>) {
    pool.share(target.n.div_ceil(PANEL), |panels| {
        for panel in panels {
            let mut row = 0;
            while row < rows {
                row += match rows - row {
                    left if left >= 12 && T::MOST >= 12 => one::<T, 12>(tiles, panel, row, target),
                    left if left >= 8 && T::MOST >= 8 => one::<T, 8>(tiles, panel, row, target),
                    // Two and six take longer than eight, even where eight overflow the registers.
                    8 => one::<T, 8>(tiles, panel, row, target),
                    left if left >= 6 => one::<T, 6>(tiles, panel, row, target),
                    left if left >= 4 => one::<T, 4>(tiles, panel, row, target),
                    left if left >= 2 => one::<T, 2>(tiles, panel, row, target),
                    _ => one::<T, 1>(tiles, panel, row, target),
                };
            }
        }
    });
}

fn one<T: Tiles, const R: usize>(tiles: &T, panel: usize, row: usize, target: &Target<'_>) -> usize {
    let mut out = [[0.0; PANEL]; R];
    tiles.tile(panel, row, &mut out);
    let first = panel * PANEL;
    let columns = PANEL.min(target.n - first);
    for (r, values) in out.iter_mut().enumerate() {
        if let Some(bias) = target.bias {
            for (value, bias) in values.iter_mut().zip(&bias[first..first + columns]) {
                *value += bias;
            }
        }
        // SAFETY: `y` holds `rows · n` numbers (checked in `multiply`), `row + r` is below `rows`, and this
        // thread alone has the columns of this panel.
        let y = unsafe { target.y.slice((row + r) * target.n + first, columns) };
        match target.store {
            Store::Set => y.copy_from_slice(&values[..columns]),
            Store::Add => y.iter_mut().zip(values.iter()).for_each(|(y, value)| *y += value),
        }
    }
    R
}

/// Calls `work` for every panel, with the panel's place in `data`; threads share the panels.
fn each_panel<T: super::buffer::Plain>(
    pool: &Pool,
    data: &mut [T],
    panel: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let count = data.len() / panel.max(1);
    let data = Shared(data.as_mut_ptr());
    pool.share(count, |panels| {
        for number in panels {
            // SAFETY: `count` panels lie in `data`, and each is given to one thread.
            work(number, unsafe { data.slice(number * panel, panel) });
        }
    });
}
