//! Learned weights, and the bytes that they are kept as.
//!
//! Layout, little endian: `TRPCPLX1`; the number of counts and of buckets as u32; two heads (fails, adds), each
//! its bias, the weights of the counts and the two scales as f32, then one signed byte for each bucket, to be
//! multiplied with the scale of its half; at last the quantiles of the second head as f32.

use super::features::COUNT;
use super::grams::BUCKETS;

const MAGIC: &[u8; 8] = b"TRPCPLX1";
/// Quantiles that are kept, the lowest and the highest among them.
pub const QUANTILES: usize = 201;

/// Weights of one outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The logit of an empty text.
    pub bias: f32,
    /// In the order of [`super::NAMES`].
    pub counts: [f32; COUNT],
    /// Of the buckets of words, and of pieces.
    pub scales: [f32; 2],
    /// One for each bucket.
    pub buckets: Vec<i8>,
}

/// All that is learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// For 'the small models fail'.
    pub fails: Head,
    /// For what larger models add.
    pub adds: Head,
    /// Logits of `adds` over the prompts of training, ascending, evenly spaced.
    pub quantiles: [f32; QUANTILES],
}

/// Bytes that are no weights of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWeights {
    /// Another format.
    #[error("the weights do not begin with TRPCPLX1: train them anew with `cargo xtask train complexity`")]
    Magic,
    /// They are for other features.
    #[error(
        "the weights are for {counts} counts and {buckets} buckets, this program has {COUNT} and {BUCKETS}: train them anew with `cargo xtask train complexity`"
    )]
    Shape {
        /// Counts of the file.
        counts: u32,
        /// Buckets of the file.
        buckets: u32,
    },
    /// Too few or too many bytes.
    #[error("the weights have {found} bytes, {wanted} are needed: the file is cut or not of this version")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// A number that is infinite or none, or quantiles that descend.
    #[error("the weights hold a number that makes no sense near byte {at}: the file is damaged, train it anew")]
    Number {
        /// Where.
        at: usize,
    },
}

impl Head {
    /// Of weights as they were learned: each half of the buckets gets the scale that its largest needs.
    pub fn quantised(bias: f32, counts: [f32; COUNT], buckets: &[f32]) -> Self {
        let (words, pieces) = buckets.split_at(buckets.len().min(BUCKETS / 2));
        let scale = |half: &[f32]| half.iter().fold(0.0_f32, |most, weight| most.max(weight.abs())) / 127.0;
        let scales = [scale(words), scale(pieces)];
        let round = |half: &[f32], scale: f32| {
            let scale = scale.max(f32::MIN_POSITIVE);
            half.iter().map(|weight| (weight / scale).round() as i8).collect::<Vec<i8>>()
        };
        let mut bytes = round(words, scales[0]);
        bytes.extend(round(pieces, scales[1]));
        bytes.resize(BUCKETS, 0);
        Self { bias, counts, scales, buckets: bytes }
    }
}

impl Weights {
    /// Reads them.
    ///
    /// # Errors
    /// They are of another format or version, or damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadWeights> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.take(MAGIC.len()) != Some(MAGIC) {
            return Err(BadWeights::Magic);
        }
        let cut = BadWeights::Length { found: bytes.len(), wanted: LENGTH };
        let (counts, buckets) = (reader.u32().ok_or(cut)?, reader.u32().ok_or(cut)?);
        if (counts as usize, buckets as usize) != (COUNT, BUCKETS) {
            return Err(BadWeights::Shape { counts, buckets });
        }
        if bytes.len() != LENGTH {
            return Err(cut);
        }
        let fails = reader.head()?;
        let adds = reader.head()?;
        let mut quantiles = [0.0; QUANTILES];
        reader.fill(&mut quantiles)?;
        if !quantiles.is_sorted() {
            return Err(BadWeights::Number { at: reader.at });
        }
        Ok(Self { fails, adds, quantiles })
    }

    /// The same as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTH);
        out.extend(MAGIC);
        out.extend((COUNT as u32).to_le_bytes());
        out.extend((BUCKETS as u32).to_le_bytes());
        for head in [&self.fails, &self.adds] {
            let floats = std::iter::once(&head.bias).chain(&head.counts).chain(&head.scales);
            out.extend(floats.flat_map(|float| float.to_le_bytes()));
            out.extend(head.buckets.iter().flat_map(|byte| byte.to_le_bytes()));
        }
        out.extend(self.quantiles.iter().flat_map(|float| float.to_le_bytes()));
        out
    }
}

const LENGTH: usize = MAGIC.len() + 8 + 2 * ((1 + COUNT + 2) * 4 + BUCKETS) + QUANTILES * 4;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn fill(&mut self, floats: &mut [f32]) -> Result<(), BadWeights> {
        for float in floats {
            *float = f32::from_bits(self.u32().ok_or(BadWeights::Number { at: self.at })?);
            if !float.is_finite() {
                return Err(BadWeights::Number { at: self.at });
            }
        }
        Ok(())
    }

    fn head(&mut self) -> Result<Head, BadWeights> {
        let (mut bias, mut counts, mut scales) = ([0.0], [0.0; COUNT], [0.0; 2]);
        self.fill(&mut bias)?;
        self.fill(&mut counts)?;
        self.fill(&mut scales)?;
        let bytes = self.take(BUCKETS).ok_or(BadWeights::Number { at: self.at })?;
        Ok(Head { bias: bias[0], counts, scales, buckets: bytes.iter().map(|byte| byte.cast_signed()).collect() })
    }
}

#[cfg(test)]
mod tests;
