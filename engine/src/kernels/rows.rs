//! Activations as products want them: as they are, in bf16, or in 8 bits with a scale per row.
//!
//! A row whose numbers are not all finite gets a scale that is not a number, so that the fault reaches
//! the logits instead of being rounded away.

use super::math::{per_isa, round, to_bf16};
use super::{Buffer, Isa, OutOfMemory, Pool};

/// Rows are padded with zeroes to a multiple of this at least, and of their groups.
pub(super) const PAD: usize = 32;
/// The widest group along a row, but for a whole row.
pub(super) const MOST_GROUP: usize = 128;

/// How the rows are to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// 32-bit floats.
    F32,
    /// Brain floating point.
    Bf16,
    /// Signed 8 bits, a scale per row, and the sums of so many neighbours.
    Int8 {
        /// Neighbours.
        group: usize,
    },
}

/// Rows of activations, made ready for a product. The memory is reused.
#[derive(Debug)]
pub(crate) struct Activations {
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) form: Form,
    /// Numbers from one row to the next.
    pub(super) stride: usize,
    pub(super) floats: Buffer<f32>,
    pub(super) halves: Buffer<u16>,
    pub(super) bytes: Buffer<i8>,
    /// Per row.
    pub(super) scales: Buffer<f32>,
    /// Per row and group: the sum of the 8-bit numbers.
    pub(super) sums: Buffer<f32>,
    pub(super) groups: usize,
}

/// A raw pointer that threads may share: what they write lies apart.
#[derive(Clone, Copy)]
pub(super) struct Shared<T>(pub(super) *mut T);

// SAFETY: whoever uses it writes to places that nobody else touches, and says so there.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// So many numbers from a place on.
    ///
    /// # Safety
    /// They lie in the allocation, live as long as the slice is used, and nobody else touches them meanwhile.
    #[inline(always)]
    pub(super) unsafe fn slice<'a>(self, at: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's word.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at), len) }
    }
}

impl Activations {
    /// Memory for so many rows of such a width, in any form.
    pub(crate) fn new(rows: usize, width: usize) -> Result<Self, OutOfMemory> {
        let stride = stride(width);
        let (all, groups) = (rows * stride, stride.div_ceil(16));
        Ok(Self {
            rows: 0,
            width: 0,
            form: Form::F32,
            stride,
            floats: Buffer::zeroed(all)?,
            halves: Buffer::zeroed(all)?,
            bytes: Buffer::zeroed(all)?,
            scales: Buffer::zeroed(rows)?,
            sums: Buffer::zeroed(rows * groups)?,
            groups: 0,
        })
    }

    /// Takes rows in: `x` is `[rows, width]`.
    ///
    /// # Panics
    /// If `x` is not of that shape, or larger than the memory.
    pub(crate) fn fill(&mut self, isa: Isa, pool: &Pool, form: Form, x: &[f32], width: usize) {
        let rows = x.len() / width.max(1);
        assert!(rows * width == x.len() && rows <= self.scales.len(), "rows of {width} from {} numbers", x.len());
        let stride = stride(width);
        assert!(rows * stride <= self.floats.len(), "{rows} rows of {stride} are too many");
        let padded = match form {
            Form::Int8 { group } if group <= MOST_GROUP => width.next_multiple_of(group.max(PAD)),
            _ => width.next_multiple_of(PAD),
        };
        let groups = if let Form::Int8 { group } = form { padded.div_ceil(group) } else { 0 };
        (self.rows, self.width, self.stride, self.form, self.groups) = (rows, width, stride, form, groups);
        let (floats, halves, bytes) = (
            Shared(self.floats.as_mut_ptr()),
            Shared(self.halves.as_mut_ptr()),
            Shared(self.bytes.as_mut_ptr()),
        );
        let (scales, sums) = (Shared(self.scales.as_mut_ptr()), Shared(self.sums.as_mut_ptr()));
        let work = |range: std::ops::Range<usize>| {
            for row in range {
                let Some(from) = x.get(row * width..(row + 1) * width) else { return };
                // SAFETY: each row's places are its own, and within the buffers: `row` is below `rows`, and
                // both products were checked above; `groups` is at most a 16th of the stride.
                unsafe {
                    match form {
                        Form::F32 => {
                            let to = floats.slice(row * stride, padded);
                            to[..width].copy_from_slice(from);
                            to[width..].fill(0.0);
                        }
                        Form::Bf16 => narrow(isa, from, halves.slice(row * stride, padded)),
                        Form::Int8 { group } => {
                            let to = bytes.slice(row * stride, padded);
                            quantise(isa, from, to, &mut scales.slice(row, 1)[0]);
                            add_up(isa, to, group, sums.slice(row * groups, groups));
                        }
                    }
                }
            }
        };
        // Waking threads costs more than a few rows.
        if rows * width < 16_384 { work(0..rows) } else { pool.share(rows, work) }
    }
}

#[cfg(test)]
impl Activations {
    /// A number as it is stored.
    pub(super) fn number(&self, row: usize, at: usize) -> f32 {
        let place = row * self.stride + at;
        match self.form {
            Form::F32 => self.floats[place],
            Form::Bf16 => super::math::from_bf16(self.halves[place]),
            Form::Int8 { .. } => f32::from(self.bytes[place]) * self.scales[row],
        }
    }
}

/// Rows that lie a multiple of 1 KiB apart would fall into the same few places of the cache.
fn stride(width: usize) -> usize {
    let padded = width.next_multiple_of(MOST_GROUP);
    if padded.is_multiple_of(512) { padded + 64 } else { padded }
}

per_isa! {
    /// Brain floating point, padded with zeroes.
    fn narrow(from: &[f32], to: &mut [u16]) {
        let (head, tail) = to.split_at_mut(from.len().min(to.len()));
        for (to, from) in head.iter_mut().zip(from) {
            *to = to_bf16(*from);
        }
        tail.fill(0);
    }
}

per_isa! {
    /// 8 bits and a scale: `from ≈ to · scale`, the largest number becomes 127; padded with zeroes.
    pub(super) fn quantise(from: &[f32], to: &mut [i8], scale: &mut f32) {
        let largest = from.iter().fold(0, |most, x| (x.to_bits() & 0x7fff_ffff).max(most));
        let largest = f32::from_bits(largest);
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        // The inverse of a number close to zero is infinite: such a row counts as zeroes.
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        *scale = if largest.is_finite() { largest / 127.0 } else { f32::NAN };
        let (head, tail) = to.split_at_mut(from.len().min(to.len()));
        for (to, from) in head.iter_mut().zip(from) {
            *to = round(from * inverse) as i8;
        }
        tail.fill(0);
    }
}

per_isa! {
    /// The sum of each group.
    fn add_up(of: &[i8], group: usize, sums: &mut [f32]) {
        for (numbers, sum) in of.chunks(group).zip(sums) {
            *sum = numbers.iter().map(|number| i32::from(*number)).sum::<i32>() as f32;
        }
    }
}
