//! Formats as people name them: `bf16`, `int8`, `int4+kv8`.

use std::fmt;
use std::str::FromStr;

use protocol::config::{Dtype, KvQuantization, Quantization};

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weights {
    F32,
    Bf16,
    Int8,
    Int4,
}

const WEIGHTS: [(&str, Weights); 4] =
    [("f32", Weights::F32), ("bf16", Weights::Bf16), ("int8", Weights::Int8), ("int4", Weights::Int4)];
const KV8: &str = "+kv8";

/// How weights, keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    weights: Weights,
    kv8: bool,
}

/// No such format.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no format: write f32, bf16, int8 or int4, each with +kv8 for 8-bit keys and values")]
pub(crate) struct BadFormat(String);

impl Format {
    pub(crate) const F32: Self = Self { weights: Weights::F32, kv8: false };
    pub(crate) const BF16: Self = Self { weights: Weights::Bf16, kv8: false };
    pub(crate) const INT8: Self = Self { weights: Weights::Int8, kv8: false };
    pub(crate) const INT4: Self = Self { weights: Weights::Int4, kv8: false };
    pub(crate) const BF16_KV8: Self = Self { weights: Weights::Bf16, kv8: true };

    pub(crate) fn dtype(self) -> Dtype {
        if self.weights == Weights::F32 { Dtype::F32 } else { Dtype::Bf16 }
    }

    pub(crate) fn quantization(self) -> Quantization {
        match self.weights {
            Weights::F32 | Weights::Bf16 => Quantization::None,
            Weights::Int8 => Quantization::Int8,
            Weights::Int4 => Quantization::Int4,
        }
    }

    pub(crate) fn kv_quantization(self) -> KvQuantization {
        if self.kv8 { KvQuantization::Int8 } else { KvQuantization::None }
    }

    /// Bytes of one number among keys and values, without scales.
    pub(crate) fn kv_bytes(self) -> usize {
        match (self.kv8, self.dtype()) {
            (true, _) => 1,
            (false, Dtype::Bf16) => 2,
            (false, Dtype::F32) => 4,
        }
    }
}

impl FromStr for Format {
    type Err = BadFormat;

    fn from_str(text: &str) -> Result<Self, BadFormat> {
        let (name, kv8) = text.strip_suffix(KV8).map_or((text, false), |name| (name, true));
        let found = WEIGHTS.iter().find(|(known, _)| *known == name);
        found.map(|(_, weights)| Self { weights: *weights, kv8 }).ok_or_else(|| BadFormat(text.to_owned()))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = WEIGHTS.iter().find(|(_, weights)| *weights == self.weights).map_or("", |(name, _)| name);
        // As one word, so that it can be padded.
        out.pad(&format!("{name}{}", if self.kv8 { KV8 } else { "" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_as_they_are_printed() {
        for text in ["f32", "bf16", "int8", "int4", "int4+kv8", "bf16+kv8"] {
            assert_eq!(text.parse::<Format>().unwrap().to_string(), text);
        }
        for text in ["", "+kv8", "fp16", "int4 + kv8", "INT4"] {
            assert!(text.parse::<Format>().unwrap_err().to_string().contains("int4"), "{text}");
        }
        assert_eq!(Format::INT4.quantization(), Quantization::Int4);
        assert_eq!((Format::BF16_KV8.kv_bytes(), Format::BF16.kv_bytes(), Format::F32.kv_bytes()), (1, 2, 4));
    }
}
