//! Words, pairs of words and pieces of words, counted in a fixed number of buckets (signed feature hashing).
//!
//! Rules: half of the buckets are for words and pairs, half for pieces, and each half is brought to length one, so
//! that a long text weighs no more than a short one. A count enters as 1 + ln(count). Which bucket a gram falls
//! into is part of the format of the weights: to change a hash is to train anew.

use super::text::Folded;

/// Buckets of one half, as a power of two.
const BITS: u32 = 14;
/// Buckets of one half.
const HALF: usize = 1 << BITS;
/// All buckets.
pub const BUCKETS: usize = 2 * HALF;
/// Lengths of pieces, in bytes.
const PIECES: std::ops::RangeInclusive<usize> = 3..=5;

/// Buckets that are not empty, with what they hold; ascending within each half.
pub(super) fn grams(folded: &Folded) -> Vec<(u32, f32)> {
    let mut found = Vec::with_capacity(256);
    let mut counts = Counts::default();
    words(folded, &mut counts);
    counts.drain(0, &mut found);
    pieces(folded.span(), &mut counts);
    counts.drain(HALF, &mut found);
    found
}

/// Sums by bucket, and which buckets were touched.
struct Counts {
    sums: Vec<i16>,
    touched: Vec<u16>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { sums: vec![0; HALF], touched: Vec::with_capacity(512) }
    }
}

impl Counts {
    fn add(&mut self, hash: u64) {
        // The bucket from the highest bits, which multiplication mixes best; the sign from one below.
        let bucket = (hash >> (u64::BITS - BITS)) as u16;
        let sign = if hash & (1 << 40) == 0 { 1 } else { -1 };
        if let Some(sum) = self.sums.get_mut(usize::from(bucket)) {
            if *sum == 0 {
                self.touched.push(bucket);
            }
            *sum = sum.saturating_add(sign);
        }
    }

    /// Writes the half down at length one, and empties it.
    fn drain(&mut self, offset: usize, out: &mut Vec<(u32, f32)>) {
        let from = out.len();
        let mut squares = 0.0_f32;
        for bucket in self.touched.drain(..) {
            let Some(sum) = self.sums.get_mut(usize::from(bucket)) else { continue };
            // Two grams of opposite sign may have met here; then it was touched twice, or is empty again.
            let count = std::mem::take(sum);
            if count != 0 {
                let size = 1.0 + f32::from(count.unsigned_abs()).ln();
                squares += size * size;
                out.push((offset as u32 + u32::from(bucket), if count < 0 { -size } else { size }));
            }
        }
        let norm = squares.sqrt().max(f32::MIN_POSITIVE);
        let Some(new) = out.get_mut(from..) else { return };
        new.sort_unstable_by_key(|(bucket, _)| *bucket);
        new.iter_mut().for_each(|(_, size)| *size /= norm);
    }
}

fn words(folded: &Folded, counts: &mut Counts) {
    let mut before = START;
    for token in folded.tokens() {
        let word = hash(folded.word(token).as_bytes());
        counts.add(mix(word));
        counts.add(mix(before.rotate_left(23) ^ word));
        before = word;
    }
}

/// Each word with a space on both sides, cut at every place.
fn pieces(text: &str, counts: &mut Counts) {
    let mut padded = Vec::with_capacity(64);
    for word in text.split([' ', '\n']).filter(|word| !word.is_empty()) {
        padded.clear();
        padded.push(b' ');
        padded.extend_from_slice(word.as_bytes());
        padded.push(b' ');
        for length in PIECES {
            for piece in padded.windows(length) {
                let packed = piece.iter().fold(length as u64, |packed, byte| (packed << 8) | u64::from(*byte));
                counts.add(mix(packed));
            }
        }
    }
}

/// Before the first word.
const START: u64 = 0x9e37_79b9_7f4a_7c15;

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Two rounds of multiplication, so that each bit of a short key reaches the highest ones.
fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (key ^ (key >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests;
