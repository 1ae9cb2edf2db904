//! Keys and values of one layer, in fixed blocks, as attention reads them.
//!
//! A block holds one unit per key head: keys, then values, so that both stream from memory in one run.
//!
//! | format | keys | values | beside them |
//! |---|---|---|---|
//! | [`KvFormat::F32`] | `[dim][block]` | `[block][dim]` | |
//! | [`KvFormat::Bf16`] | `[dim / 2][block][2]` | `[block / 2][dim][2]` | |
//! | [`KvFormat::Int8`] | `[dim / 4][block][4]`, stored as `q + 128` | `[block / 4][dim][4]` | a scale per token, of keys and of values |
//!
//! Tokens of keys and numbers of values lie side by side, so vectors hold them without being turned, and
//! the neighbours that a dot product instruction takes lie together.
//!
//! What was never written may be read beside what was, but only behind a mask, or times zero: values are
//! therefore zeroed to the end of the last group that holds one.

use super::math::{from_bf16, round, to_bf16};
use super::rows::Shared;
use super::{Buffer, OutOfMemory};

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KvFormat {
    /// 32-bit floats.
    F32,
    /// Brain floating point.
    Bf16,
    /// 8 bits, a scale per token and head.
    Int8,
}

/// The shape of a layer's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KvShape {
    /// How numbers are stored.
    pub(crate) format: KvFormat,
    /// Tokens in a block: a power of two, at least 8.
    pub(crate) block: usize,
    /// Key heads.
    pub(crate) heads: usize,
    /// Width of a head; a multiple of 4 for 8 bits, even for bf16.
    pub(crate) dim: usize,
}

impl KvShape {
    /// Bytes of the keys of a unit, and of its values.
    pub(super) fn half_bytes(self) -> usize {
        self.block * self.dim * self.number_bytes()
    }

    fn number_bytes(self) -> usize {
        match self.format {
            KvFormat::F32 => 4,
            KvFormat::Bf16 => 2,
            KvFormat::Int8 => 1,
        }
    }

    /// Bytes of one head in one block.
    pub(super) fn unit_bytes(self) -> usize {
        let scales = if self.format == KvFormat::Int8 { 2 * 4 * self.block } else { 0 };
        (2 * self.half_bytes() + scales).next_multiple_of(64)
    }

    /// Bytes of a block.
    pub(crate) fn block_bytes(self) -> usize {
        self.heads * self.unit_bytes()
    }
}

/// One layer.
#[derive(Debug)]
pub(crate) struct LayerKv {
    shape: KvShape,
    bytes: Buffer<u8>,
}

impl LayerKv {
    /// Zeroed memory for so many blocks.
    pub(crate) fn new(shape: KvShape, blocks: usize) -> Result<Self, OutOfMemory> {
        let bytes = blocks.checked_mul(shape.block_bytes()).ok_or(OutOfMemory { bytes: usize::MAX })?;
        Ok(Self { shape, bytes: Buffer::zeroed(bytes)? })
    }

    pub(crate) fn shape(&self) -> KvShape {
        self.shape
    }

    /// One head of one block.
    #[inline(always)]
    pub(super) fn unit(&self, block: usize, head: usize) -> &[u8] {
        let (bytes, all) = (self.shape.unit_bytes(), self.shape.block_bytes());
        &self.bytes[block * all + head * bytes..block * all + (head + 1) * bytes]
    }

    /// All of a block.
    pub(crate) fn block(&self, block: usize) -> &[u8] {
        let all = self.shape.block_bytes();
        self.bytes.get(block * all..(block + 1) * all).unwrap_or_default()
    }

    /// All of a block, to be written over.
    pub(crate) fn block_mut(&mut self, block: usize) -> &mut [u8] {
        let all = self.shape.block_bytes();
        self.bytes.get_mut(block * all..(block + 1) * all).unwrap_or_default()
    }

    /// For several threads to write to, each its own tokens.
    pub(super) fn writer(&mut self) -> Writer {
        Writer {
            shape: self.shape,
            blocks: self.bytes.len() / self.shape.block_bytes().max(1),
            bytes: Shared(self.bytes.as_mut_ptr()),
        }
    }

    /// A token's keys and values as they are stored: `[dim]` each. For tests.
    #[cfg(test)]
    pub(super) fn read(&self, block: usize, head: usize, slot: usize) -> (Vec<f32>, Vec<f32>) {
        let numbers = |of: fn(&KvShape, &[u8], usize, usize) -> f32| {
            (0..self.shape.dim).map(|at| of(&self.shape, self.unit(block, head), slot, at)).collect()
        };
        (numbers(KvShape::key), numbers(KvShape::value))
    }
}

impl KvShape {
    /// Where a number of a key lies, counted in numbers.
    #[inline(always)]
    fn key_place(&self, slot: usize, at: usize) -> usize {
        match self.format {
            KvFormat::F32 => at * self.block + slot,
            KvFormat::Bf16 => (at / 2 * self.block + slot) * 2 + at % 2,
            KvFormat::Int8 => (at / 4 * self.block + slot) * 4 + at % 4,
        }
    }

    /// Where a number of a value lies, counted in numbers from the first value.
    #[inline(always)]
    fn value_place(&self, slot: usize, at: usize) -> usize {
        match self.format {
            KvFormat::F32 => slot * self.dim + at,
            KvFormat::Bf16 => (slot / 2 * self.dim + at) * 2 + slot % 2,
            KvFormat::Int8 => (slot / 4 * self.dim + at) * 4 + slot % 4,
        }
    }

    /// A number of a key.
    #[inline(always)]
    pub(super) fn key(&self, unit: &[u8], slot: usize, at: usize) -> f32 {
        let place = self.key_place(slot, at);
        match self.format {
            KvFormat::F32 => float(unit, 4 * place),
            KvFormat::Bf16 => from_bf16(u16::from_le_bytes([unit[2 * place], unit[2 * place + 1]])),
            KvFormat::Int8 => (f32::from(unit[place]) - 128.0) * self.key_scale(unit, slot),
        }
    }

    /// A number of a value.
    #[inline(always)]
    pub(super) fn value(&self, unit: &[u8], slot: usize, at: usize) -> f32 {
        let (start, place) = (self.half_bytes(), self.value_place(slot, at));
        match self.format {
            KvFormat::F32 => float(unit, start + 4 * place),
            KvFormat::Bf16 => {
                let at = start + 2 * place;
                from_bf16(u16::from_le_bytes([unit[at], unit[at + 1]]))
            }
            KvFormat::Int8 => f32::from(unit[start + place].cast_signed()) * self.value_scale(unit, slot),
        }
    }

    fn key_scale(&self, unit: &[u8], slot: usize) -> f32 {
        float(unit, 2 * self.half_bytes() + 4 * slot)
    }

    fn value_scale(&self, unit: &[u8], slot: usize) -> f32 {
        float(unit, 2 * self.half_bytes() + 4 * (self.block + slot))
    }
}

#[inline(always)]
fn float(bytes: &[u8], at: usize) -> f32 {
    f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Writes tokens into a layer.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    shape: KvShape,
    blocks: usize,
    bytes: Shared<u8>,
}

impl Writer {
    /// Stores a token's key and value: `[dim]` each.
    ///
    /// # Safety
    /// The layer lives and is not read meanwhile, and no other thread writes the same token's head.
    pub(super) unsafe fn write(self, block: usize, head: usize, slot: usize, key: &[f32], value: &[f32]) {
        let shape = self.shape;
        if block >= self.blocks || head >= shape.heads || slot >= shape.block {
            return;
        }
        let start = block * shape.block_bytes() + head * shape.unit_bytes();
        // SAFETY: the unit lies in the buffer, as was just checked; the places of one token are its own: every
        // store below is of one number of this slot. Stores go through raw pointers, since other threads hold
        // the neighbours.
        unsafe {
            let unit = self.bytes.0.add(start);
            let values = unit.add(shape.half_bytes());
            match shape.format {
                KvFormat::F32 => {
                    for (at, (key, value)) in key.iter().zip(value).enumerate() {
                        unit.cast::<f32>().add(shape.key_place(slot, at)).write_unaligned(*key);
                        values.cast::<f32>().add(shape.value_place(slot, at)).write_unaligned(*value);
                    }
                }
                KvFormat::Bf16 => {
                    for (at, (key, value)) in key.iter().zip(value).enumerate() {
                        unit.cast::<u16>().add(shape.key_place(slot, at)).write_unaligned(to_bf16(*key));
                        values.cast::<u16>().add(shape.value_place(slot, at)).write_unaligned(to_bf16(*value));
                    }
                }
                KvFormat::Int8 => {
                    let (key_scale, key_inverse) = scale(key);
                    let (value_scale, value_inverse) = scale(value);
                    for (at, (key, value)) in key.iter().zip(value).enumerate() {
                        let code = (round(key * key_inverse) + 128) as u8;
                        unit.add(shape.key_place(slot, at)).write(code);
                        let code = (round(value * value_inverse) as i8).cast_unsigned();
                        values.add(shape.value_place(slot, at)).write(code);
                    }
                    let scales = values.add(shape.half_bytes()).cast::<f32>();
                    scales.add(slot).write_unaligned(key_scale);
                    scales.add(shape.block + slot).write_unaligned(value_scale);
                }
            }
        }
    }

    /// Zeroes the value behind a sequence's last token where a dot product takes it in with that one.
    ///
    /// # Safety
    /// As for [`Writer::write`].
    pub(super) unsafe fn close(self, block: usize, head: usize, slot: usize) {
        let shape = self.shape;
        if shape.format != KvFormat::Bf16 || block >= self.blocks || head >= shape.heads || slot >= shape.block {
            return;
        }
        let start = block * shape.block_bytes() + head * shape.unit_bytes() + shape.half_bytes();
        for at in 0..shape.dim {
            // SAFETY: as in `write`.
            unsafe { self.bytes.0.add(start).cast::<u16>().add(shape.value_place(slot, at)).write_unaligned(0) };
        }
    }
}

/// The scale of some numbers in 8 bits, and its inverse. What is not a number shows in the scale.
fn scale(of: &[f32]) -> (f32, f32) {
    let largest = of.iter().fold(0, |most, x| (x.to_bits() & 0x7fff_ffff).max(most));
    let largest = f32::from_bits(largest);
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    if largest.is_finite() {
        (largest / 127.0, if inverse.is_finite() { inverse } else { 0.0 })
    } else {
        (f32::NAN, 0.0)
    }
}
