//! Numbers as GGUF stores them, and what they are as `f32`.
//!
//! Block layouts are those of ggml (`ggml-common.h`): little-endian, `d` and `m` are halves, nibbles
//! hold the first half of a block in their low bits and the second in their high bits.

use half::{bf16, f16};

/// How a tensor's numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "these are ggml's own names")]
pub enum TensorType {
    /// 32 bits.
    F32,
    /// 16 bits, IEEE.
    F16,
    /// 16 bits, the upper half of an `F32`.
    BF16,
    /// 32 of 4 bits, scale.
    Q4_0,
    /// 32 of 4 bits, scale and minimum.
    Q4_1,
    /// 32 of 5 bits, scale.
    Q5_0,
    /// 32 of 5 bits, scale and minimum.
    Q5_1,
    /// 32 of 8 bits, scale.
    Q8_0,
    /// 256 of 4 bits, eight scales and minima of 6 bits.
    Q4_K,
    /// 256 of 5 bits, eight scales and minima of 6 bits.
    Q5_K,
    /// 256 of 6 bits, sixteen scales of 8 bits.
    Q6_K,
}

/// The names of all of them, for messages.
pub(super) const SUPPORTED: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K";

impl TensorType {
    /// By ggml's number.
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4_K,
            13 => Self::Q5_K,
            14 => Self::Q6_K,
            30 => Self::BF16,
            _ => return None,
        })
    }

    /// What a number that is not supported stands for, for messages.
    pub(super) fn name_of(number: u32) -> String {
        let name = match number {
            9 => "Q8_1",
            10 => "Q2_K",
            11 => "Q3_K",
            15 => "Q8_K",
            16 => "IQ2_XXS",
            17 => "IQ2_XS",
            18 => "IQ3_XXS",
            19 => "IQ1_S",
            20 => "IQ4_NL",
            21 => "IQ3_S",
            22 => "IQ2_S",
            23 => "IQ4_XS",
            24 => "I8",
            25 => "I16",
            26 => "I32",
            27 => "I64",
            28 => "F64",
            29 => "IQ1_M",
            34 => "TQ1_0",
            35 => "TQ2_0",
            39 => "MXFP4",
            40 => "NVFP4",
            _ => return format!("ggml type {number}"),
        };
        format!("{name} (ggml type {number})")
    }

    /// Numbers in a block.
    pub fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q4_K | Self::Q5_K | Self::Q6_K => 256,
        }
    }

    /// Bytes of a block.
    pub(super) fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q4_K => 144,
            Self::Q5_K => 176,
            Self::Q6_K => 210,
        }
    }

    /// Bytes of so many numbers, if they fill blocks and memory.
    pub fn bytes(self, elements: usize) -> Option<usize> {
        if !elements.is_multiple_of(self.block()) {
            return None;
        }
        (elements / self.block()).checked_mul(self.block_bytes())
    }

    /// The numbers. Bytes beyond the last whole block are left out.
    #[cfg(test)]
    pub(crate) fn dequantise(self, bytes: &[u8]) -> Vec<f32> {
        let mut out = vec![0.0; bytes.len() / self.block_bytes() * self.block()];
        self.dequantise_into(bytes, &mut out);
        out
    }

    /// Writes the numbers of whole blocks, as far as both slices go.
    pub fn dequantise_into(self, bytes: &[u8], out: &mut [f32]) {
        let fill = match self {
            Self::F32 => return floats(bytes, out, f32::from_le_bytes),
            Self::F16 => return floats(bytes, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Self::BF16 => return floats(bytes, out, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Self::Q4_0 => fill_q4_0,
            Self::Q4_1 => fill_q4_1,
            Self::Q5_0 => fill_q5_0,
            Self::Q5_1 => fill_q5_1,
            Self::Q8_0 => fill_q8_0,
            Self::Q4_K => fill_q4_k,
            Self::Q5_K => fill_q5_k,
            Self::Q6_K => fill_q6_k,
        };
        for (block, out) in bytes.chunks_exact(self.block_bytes()).zip(out.chunks_exact_mut(self.block())) {
            fill(block, out);
        }
    }
}

fn floats<const N: usize>(bytes: &[u8], out: &mut [f32], widen: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *out = widen(*bytes);
    }
}

/// The half at a place of a block.
pub(super) fn half_of(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn fill_q4_0(block: &[u8], out: &mut [f32]) {
    let d = half_of(block, 0);
    for (j, byte) in block[2..].iter().enumerate() {
        out[j] = (f32::from(byte & 15) - 8.0) * d;
        out[j + 16] = (f32::from(byte >> 4) - 8.0) * d;
    }
}

fn fill_q4_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half_of(block, 0), half_of(block, 2));
    for (j, byte) in block[4..].iter().enumerate() {
        out[j] = f32::from(byte & 15) * d + m;
        out[j + 16] = f32::from(byte >> 4) * d + m;
    }
}

/// The fifth bits of a block, one per number.
fn high_bits(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// The codes of a block of 5-bit numbers, whose fifth bits lie at a place and the others behind them.
pub(super) fn five_bits_of(block: &[u8], at: usize, codes: &mut [u8]) {
    let high = high_bits(block, at);
    let bit = |j: usize| (high >> j & 1) as u8 * 16;
    for (j, byte) in block[at + 4..].iter().enumerate() {
        codes[j] = byte & 15 | bit(j);
        codes[j + 16] = byte >> 4 | bit(j + 16);
    }
}

/// The codes of a `Q6_K` block.
pub(super) fn six_bits_of(block: &[u8], codes: &mut [u8]) {
    for (n, codes) in codes.chunks_exact_mut(128).enumerate() {
        let (low, high) = (&block[64 * n..64 * n + 64], &block[128 + 32 * n..160 + 32 * n]);
        for l in 0..32 {
            codes[l] = low[l] & 15 | (high[l] & 3) << 4;
            codes[l + 32] = low[l + 32] & 15 | (high[l] >> 2 & 3) << 4;
            codes[l + 64] = low[l] >> 4 | (high[l] >> 4 & 3) << 4;
            codes[l + 96] = low[l + 32] >> 4 | (high[l] >> 6 & 3) << 4;
        }
    }
}

fn five_bits(nibble: u8, high: u32, j: usize) -> f32 {
    f32::from(nibble | if high >> j & 1 == 1 { 16 } else { 0 })
}

fn fill_q5_0(block: &[u8], out: &mut [f32]) {
    let (d, high) = (half_of(block, 0), high_bits(block, 2));
    for (j, byte) in block[6..].iter().enumerate() {
        out[j] = (five_bits(byte & 15, high, j) - 16.0) * d;
        out[j + 16] = (five_bits(byte >> 4, high, j + 16) - 16.0) * d;
    }
}

fn fill_q5_1(block: &[u8], out: &mut [f32]) {
    let (d, m, high) = (half_of(block, 0), half_of(block, 2), high_bits(block, 4));
    for (j, byte) in block[8..].iter().enumerate() {
        out[j] = five_bits(byte & 15, high, j) * d + m;
        out[j + 16] = five_bits(byte >> 4, high, j + 16) * d + m;
    }
}

fn fill_q8_0(block: &[u8], out: &mut [f32]) {
    let d = half_of(block, 0);
    for (out, byte) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(byte.cast_signed()) * d;
    }
}

/// Scale and minimum of sub-block `j`, six bits each, packed into twelve bytes.
pub(super) fn scale_and_minimum(s: &[u8], j: usize) -> (f32, f32) {
    let (scale, minimum) = if j < 4 {
        (s[j] & 63, s[j + 4] & 63)
    } else {
        (s[j + 4] & 15 | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4)
    };
    (f32::from(scale), f32::from(minimum))
}

fn fill_q4_k(block: &[u8], out: &mut [f32]) {
    let (d, dmin, scales) = (half_of(block, 0), half_of(block, 2), &block[4..16]);
    for (i, (bytes, out)) in block[16..].chunks_exact(32).zip(out.chunks_exact_mut(64)).enumerate() {
        let (low, high) = (scale_and_minimum(scales, 2 * i), scale_and_minimum(scales, 2 * i + 1));
        for (j, byte) in bytes.iter().enumerate() {
            out[j] = d * low.0 * f32::from(byte & 15) - dmin * low.1;
            out[j + 32] = d * high.0 * f32::from(byte >> 4) - dmin * high.1;
        }
    }
}

fn fill_q5_k(block: &[u8], out: &mut [f32]) {
    let (d, dmin, scales, fifth) = (half_of(block, 0), half_of(block, 2), &block[4..16], &block[16..48]);
    for (i, (bytes, out)) in block[48..].chunks_exact(32).zip(out.chunks_exact_mut(64)).enumerate() {
        let (low, high) = (scale_and_minimum(scales, 2 * i), scale_and_minimum(scales, 2 * i + 1));
        for (j, (byte, fifth)) in bytes.iter().zip(fifth).enumerate() {
            let bit = |n: usize| if fifth >> n & 1 == 1 { 16 } else { 0 };
            out[j] = d * low.0 * f32::from(byte & 15 | bit(2 * i)) - dmin * low.1;
            out[j + 32] = d * high.0 * f32::from(byte >> 4 | bit(2 * i + 1)) - dmin * high.1;
        }
    }
}

fn fill_q6_k(block: &[u8], out: &mut [f32]) {
    let (lows, highs, scales, d) = (&block[..128], &block[128..192], &block[192..208], half_of(block, 208));
    for (n, out) in out.chunks_exact_mut(128).enumerate() {
        let (low, high, scales) = (&lows[64 * n..], &highs[32 * n..], &scales[8 * n..]);
        for l in 0..32 {
            let six = [
                low[l] & 15 | (high[l] & 3) << 4,
                low[l + 32] & 15 | (high[l] >> 2 & 3) << 4,
                low[l] >> 4 | (high[l] >> 4 & 3) << 4,
                low[l + 32] >> 4 | (high[l] >> 6 & 3) << 4,
            ];
            for (k, q) in six.into_iter().enumerate() {
                let scale = f32::from(scales[l / 16 + 2 * k].cast_signed());
                out[l + 32 * k] = d * scale * (f32::from(q) - 32.0);
            }
        }
    }
}

#[cfg(test)]
mod tests;
