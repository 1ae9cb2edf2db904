//! Who computes a step: our own kernels, or libtorch.

use protocol::engine::EngineError;
use tch::TchError;

use crate::batch::Batch;
use crate::blocks::BlockId;
use crate::native::Native;
use crate::profile::{Part, Profile};
use crate::torch::{Decoder, KvCache};

/// A decoder with its cache.
#[derive(Debug)]
pub(super) enum Model {
    Kernels(Box<Native>),
    Libtorch { decoder: Decoder, cache: KvCache },
}

/// Logits of the rows that were asked for, one after the other.
pub(super) enum Logits<'a> {
    Borrowed(&'a mut [f32]),
    Owned(Vec<f32>),
}

impl Logits<'_> {
    pub(super) fn all(&mut self) -> &mut [f32] {
        match self {
            Self::Borrowed(logits) => logits,
            Self::Owned(logits) => logits,
        }
    }
}

impl Model {
    /// Computes a batch. `begun` are blocks that it begins and does not fill.
    pub(super) fn forward(
        &mut self,
        batch: &Batch,
        begun: &[BlockId],
        profile: &mut Profile,
    ) -> Result<Logits<'_>, EngineError> {
        match self {
            Self::Kernels(native) => Ok(Logits::Borrowed(native.forward(batch, profile))),
            Self::Libtorch { decoder, cache } => {
                cache.clear(begun).map_err(|error| device_error("clearing blocks", &error))?;
                let logits = decoder.forward(batch, cache).map_err(|error| device_error("forward", &error))?;
                let numbers = logits.f_flatten(0, -1).and_then(|logits| Vec::<f32>::try_from(&logits));
                let logits = numbers.map_err(|error| device_error("reading the logits", &error))?;
                profile.lap(Part::Products);
                Ok(Logits::Owned(logits))
            }
        }
    }

    /// Whether [`Model::forward`] wants to know which blocks are begun. Our kernels never read what was not
    /// written; libtorch does, behind a mask, which hides no NaN.
    pub(super) fn needs_begun(&self) -> bool {
        matches!(self, Self::Libtorch { .. })
    }

    /// Zeroes blocks that hold numbers that are none.
    pub(super) fn clear(&mut self, blocks: &[BlockId]) -> Result<(), EngineError> {
        match self {
            Self::Kernels(_) => Ok(()),
            Self::Libtorch { cache, .. } => {
                cache.clear(blocks).map_err(|error| device_error("clearing blocks", &error))
            }
        }
    }
}

fn device_error(operation: &str, error: &TchError) -> EngineError {
    EngineError::Device { operation: operation.to_owned(), reason: error.to_string() }
}
