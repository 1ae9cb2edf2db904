//! Who computes a step: our own kernels, or libtorch.

use protocol::engine::{Card, EngineError};
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
    Libtorch(Box<Libtorch>),
}

/// libtorch's decoder, and its cache.
#[derive(Debug)]
pub(super) struct Libtorch {
    pub(super) decoder: Decoder,
    pub(super) cache: KvCache,
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
            Self::Libtorch(libtorch) => {
                let Libtorch { decoder, cache } = &mut **libtorch;
                cache.clear(begun).map_err(|error| device_error("clearing blocks", &error))?;
                let logits = decoder.forward(batch, cache).map_err(|error| device_error("forward", &error))?;
                let numbers = logits.f_flatten(0, -1).and_then(|logits| Vec::<f32>::try_from(&logits));
                let logits = numbers.map_err(|error| device_error("reading the logits", &error))?;
                profile.lap(Part::Products);
                Ok(Logits::Owned(logits))
            }
        }
    }

    /// For the log at the start.
    pub(super) fn describe(&self, card: &Card) -> Vec<String> {
        let Self::Kernels(native) = self else {
            return vec![format!(
                "computed by libtorch on {} in {}: a token's logits may depend in their last bits on the batch",
                card.device, card.dtype
            )];
        };
        let (isa, threads) = (native.isa(), native.threads());
        let weights = native.weight_bytes() >> 20;
        let mut lines = vec![format!(
            "computed by the {isa} kernels in {} on {threads} threads: {weights} MiB of weights, {} of {} each",
            card.dtype, card.blocks, card.block
        )];
        if let Some(rows) = native.crossover() {
            lines.push(format!(
                "steps of {rows} rows and more go to libtorch, which was faster there: their last bits may depend on the batch"
            ));
        }
        lines.extend(isa.advice().map(str::to_owned));
        lines
    }

    /// Whether [`Model::forward`] wants to know which blocks are begun. Our kernels never read what was not
    /// written; libtorch does, behind a mask, which hides no NaN.
    pub(super) fn needs_begun(&self) -> bool {
        matches!(self, Self::Libtorch(_))
    }

    /// Zeroes blocks that hold numbers that are none.
    pub(super) fn clear(&mut self, blocks: &[BlockId]) -> Result<(), EngineError> {
        match self {
            Self::Kernels(_) => Ok(()),
            Self::Libtorch(libtorch) => {
                libtorch.cache.clear(blocks).map_err(|error| device_error("clearing blocks", &error))
            }
        }
    }
}

fn device_error(operation: &str, error: &TchError) -> EngineError {
    EngineError::Device { operation: operation.to_owned(), reason: error.to_string() }
}
