//! From a model file to tensors on a device.

use tch::{Device, Kind, TchError, Tensor};

use super::rope::Rotary;
use super::{Decoder, Layer};
use crate::source::{LoadError, Part, Role, WeightSource};

/// A model that could not be brought onto the device.
#[derive(Debug, thiserror::Error)]
pub enum LoadModelError {
    /// The file is at fault.
    #[error(transparent)]
    File(#[from] LoadError),
    /// A tensor that every such model has is not there.
    #[error("the model has no tensor for {0:?}")]
    Missing(Role),
    /// libtorch is at fault, or the device is full.
    #[error("the device refuses the model: {0}")]
    Device(#[from] TchError),
}

/// Brings a model onto a device. Positions below `context` can be computed.
pub(crate) fn load(
    source: &dyn WeightSource,
    context: usize,
    dtype: Kind,
    device: Device,
) -> Result<Decoder, LoadModelError> {
    let config = source.config().clone();
    let loader = Loader { source, dtype, device };
    let embedding = loader.matrix(Role::Embedding)?;
    let head = if config.tied { embedding.shallow_clone() } else { loader.matrix(Role::Head)? };
    let layers = (0..config.layers).map(|number| loader.layer(number)).collect::<Result<_, _>>()?;
    Ok(Decoder {
        norm: loader.vector(Role::OutputNorm)?,
        rotary: Rotary::new(&config, context, device)?,
        config,
        dtype,
        embedding,
        layers,
        head,
    })
}

struct Loader<'a> {
    source: &'a dyn WeightSource,
    dtype: Kind,
    device: Device,
}

impl Loader<'_> {
    fn layer(&self, number: usize) -> Result<Layer, LoadModelError> {
        let role = |part: Part| Role::Layer(number, part);
        let config = self.source.config();
        let join = |parts: &[Part]| -> Result<Tensor, LoadModelError> {
            let tensors: Vec<Tensor> = parts.iter().map(|part| self.matrix(role(*part))).collect::<Result<_, _>>()?;
            Ok(Tensor::f_cat(&tensors, 0)?)
        };
        let norm = |part: Part| if config.qk_norm { self.vector(role(part)).map(Some) } else { Ok(None) };
        Ok(Layer {
            attention_norm: self.vector(role(Part::AttentionNorm))?,
            qkv: join(&[Part::Q, Part::K, Part::V])?,
            qkv_bias: if config.qkv_bias { Some(join(&[Part::QBias, Part::KBias, Part::VBias])?) } else { None },
            q_norm: norm(Part::QNorm)?,
            k_norm: norm(Part::KNorm)?,
            output: self.matrix(role(Part::Output))?,
            ffn_norm: self.vector(role(Part::FfnNorm))?,
            gate_up: join(&[Part::Gate, Part::Up])?,
            down: self.matrix(role(Part::Down))?,
        })
    }

    /// In the model's arithmetic.
    fn matrix(&self, role: Role) -> Result<Tensor, LoadModelError> {
        self.tensor(role, self.dtype)
    }

    /// Weights of norms stay f32: they are small, and norms are computed so.
    fn vector(&self, role: Role) -> Result<Tensor, LoadModelError> {
        self.tensor(role, Kind::Float)
    }

    fn tensor(&self, role: Role, kind: Kind) -> Result<Tensor, LoadModelError> {
        let weights = self.source.weights(role)?.ok_or(LoadModelError::Missing(role))?;
        let shape: Vec<i64> = weights.shape.iter().map(|dimension| *dimension as i64).collect();
        Ok(Tensor::from_slice(&weights.data).f_reshape(shape)?.f_to_kind(kind)?.f_to_device(self.device)?)
    }
}
