//! Blocks of GGUF as codes, scales and minima: `number = code · scale + minimum`, exactly.

use half::f16;

use super::dequant::{TensorType, five_bits_of, half_of, scale_and_minimum, six_bits_of};

/// How a type's blocks split into groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grouping {
    /// Codes have 4 bits, or fit 8.
    pub(crate) four: bool,
    /// Numbers in a group.
    pub(crate) group: usize,
    /// Scales and minima are halves.
    pub(crate) half: bool,
}

impl TensorType {
    /// How its numbers split into groups; none for floats.
    pub(crate) fn grouping(self) -> Option<Grouping> {
        let (four, group, half) = match self {
            Self::F32 | Self::F16 | Self::BF16 => return None,
            Self::Q4_0 | Self::Q4_1 => (true, 32, true),
            Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => (false, 32, true),
            Self::Q4_K => (true, 32, false),
            Self::Q5_K => (false, 32, false),
            Self::Q6_K => (false, 16, false),
        };
        Some(Grouping { four, group, half })
    }

    /// Takes a row apart. Slices are as long as the row's numbers and groups.
    pub(crate) fn split(self, row: &[u8], codes: &mut [u8], scales: &mut [f32], minima: &mut [f32]) {
        let Some(Grouping { group, .. }) = self.grouping() else { return };
        let groups = self.block() / group;
        let blocks = row.chunks_exact(self.block_bytes()).zip(codes.chunks_exact_mut(self.block()));
        let numbers = scales.chunks_exact_mut(groups).zip(minima.chunks_exact_mut(groups));
        for ((block, codes), (scales, minima)) in blocks.zip(numbers) {
            self.split_block(block, codes, scales, minima);
        }
    }

    fn split_block(self, block: &[u8], codes: &mut [u8], scales: &mut [f32], minima: &mut [f32]) {
        let d = |at: usize| half_of(block, at);
        match self {
            Self::F32 | Self::F16 | Self::BF16 => {}
            Self::Q4_0 => {
                nibbles(&block[2..], codes);
                (scales[0], minima[0]) = (d(0), -8.0 * d(0));
            }
            Self::Q4_1 => {
                nibbles(&block[4..], codes);
                (scales[0], minima[0]) = (d(0), d(2));
            }
            Self::Q5_0 => {
                five_bits_of(block, 2, codes);
                (scales[0], minima[0]) = (d(0), -16.0 * d(0));
            }
            Self::Q5_1 => {
                five_bits_of(block, 4, codes);
                (scales[0], minima[0]) = (d(0), d(2));
            }
            Self::Q8_0 => {
                for (code, byte) in codes.iter_mut().zip(&block[2..]) {
                    *code = byte ^ 0x80;
                }
                (scales[0], minima[0]) = (d(0), -128.0 * d(0));
            }
            Self::Q4_K | Self::Q5_K => {
                for (j, (scale, minimum)) in scales.iter_mut().zip(minima).enumerate() {
                    let (small, least) = scale_and_minimum(&block[4..16], j);
                    (*scale, *minimum) = (d(0) * small, -(d(2) * least));
                }
                let (fifth, quarters) = if self == Self::Q4_K { (None, 16) } else { (Some(&block[16..48]), 48) };
                for (i, (bytes, codes)) in
                    block[quarters..].chunks_exact(32).zip(codes.chunks_exact_mut(64)).enumerate()
                {
                    for (j, byte) in bytes.iter().enumerate() {
                        let bit = |n: usize| fifth.map_or(0, |fifth| (fifth[j] >> n & 1) << 4);
                        codes[j] = byte & 15 | bit(2 * i);
                        codes[j + 32] = byte >> 4 | bit(2 * i + 1);
                    }
                }
            }
            Self::Q6_K => {
                six_bits_of(block, codes);
                for (j, (scale, minimum)) in scales.iter_mut().zip(minima).enumerate() {
                    *scale = d(208) * f32::from(block[192 + j].cast_signed());
                    *minimum = -32.0 * *scale;
                }
            }
        }
    }
}

/// The first half of a block lies in the low bits, the second in the high ones.
fn nibbles(bytes: &[u8], codes: &mut [u8]) {
    let (low, high) = codes.split_at_mut(16);
    for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
}

/// Whether halves hold a number.
pub(crate) fn is_half(number: f32) -> bool {
    f16::from_f32(number).to_f32() == number
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every type, over blocks of every byte: the two ways to read a block must agree.
    #[test]
    fn codes_are_what_dequantising_gives() {
        for number in 0..32 {
            let Some(dtype) = TensorType::from_number(number) else { continue };
            let Some(Grouping { four, group, half }) = dtype.grouping() else { continue };
            let mut bytes: Vec<u8> =
                (0..dtype.block_bytes() * 40).map(|i| (i * 37 + i / 7 + i * i % 11) as u8).collect();
            // Scales that are numbers: keep the exponents of all halves small.
            for block in bytes.chunks_exact_mut(dtype.block_bytes()) {
                for at in [1, 3, 209] {
                    if let Some(byte) = block.get_mut(at).filter(|_| at < 4 || dtype == TensorType::Q6_K) {
                        *byte = *byte & 0x83 | 0x20;
                    }
                }
            }
            let count = 40 * dtype.block();
            let mut exact = vec![0.0; count];
            dtype.dequantise_into(&bytes, &mut exact);
            let (mut codes, mut scales, mut minima) =
                (vec![0; count], vec![0.0; count / group], vec![0.0; count / group]);
            dtype.split(&bytes, &mut codes, &mut scales, &mut minima);
            for (at, exact) in exact.iter().enumerate() {
                let found = f32::from(codes[at]) * scales[at / group] + minima[at / group];
                let size = exact.abs().max(minima[at / group].abs());
                assert!((found - exact).abs() <= size * 2f32.powi(-22), "{dtype:?} at {at}: {found} for {exact}");
                assert!(!four || codes[at] < 16);
            }
            assert!(!half || scales.iter().chain(&minima).all(|number| is_half(*number)), "{dtype:?}");
        }
    }
}
