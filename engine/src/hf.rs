//! A model as a Hugging Face folder: `config.json`, `*.safetensors`, `tokenizer.json` and its companions.
//!
//! Rules as for GGUF: files are not to be trusted, faults name file, key or tensor. The safetensors
//! container is [`shard`]'s business; several shards are one model through their index.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde_json::Value;
use text::bundle::TextBundle;

use crate::source::{LoadError, ModelConfig, Part, Role, Stored, TensorType, WeightSource, refuse_biases};

mod config;
mod shard;
mod words;

use shard::Shard;

const SUPPORTED: &str = "F32, F16, BF16";
/// Bytes of each tensor that go into the fingerprint.
const SAMPLE: u64 = 64;
/// JSON files of a model are small; a larger one is not what it claims.
const LONGEST_JSON: u64 = 64 << 20;

/// An open folder.
#[derive(Debug)]
pub struct HfModel {
    folder: PathBuf,
    config: ModelConfig,
    shards: Vec<Shard>,
    /// Which shard holds a tensor.
    places: BTreeMap<String, usize>,
}

impl HfModel {
    /// Opens a folder and reads its configuration and the tables of its weights.
    ///
    /// # Errors
    /// A file that is missing or damaged, or a model of a kind that is not supported.
    pub fn open(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join("config.json");
        let json = read_json(&path)?.ok_or_else(|| LoadError::NotAModel(folder.to_owned()))?;
        let mut shards = Vec::new();
        let mut places = BTreeMap::new();
        for path in shard_paths(folder)? {
            let shard = Shard::open(path)?;
            for name in shard.tensors.keys() {
                if places.insert(name.to_owned(), shards.len()).is_some() {
                    return Err(shard.fault(format!("the tensor '{name}' is in another file too")));
                }
            }
            shards.push(shard);
        }
        let has = |name: &str| places.contains_key(name);
        let biases = refuse_biases(places.keys(), &["q_proj", "k_proj", "v_proj"]);
        let config =
            biases.and_then(|()| config::read(&json, &has)).map_err(|fault| LoadError::Config { path, fault })?;
        Ok(Self { folder: folder.to_owned(), config, shards, places })
    }
}

impl WeightSource for HfModel {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn bundle(&self) -> Result<TextBundle, LoadError> {
        words::bundle(&self.folder)
    }

    fn stored(&self, role: Role) -> Result<Option<Stored>, LoadError> {
        let name = tensor_name(role);
        let Some(shard) = self.places.get(&name).and_then(|place| self.shards.get(*place)) else { return Ok(None) };
        let Some(info) = shard.tensors.get(&name) else { return Ok(None) };
        let expected = role.shape(&self.config);
        if info.shape != expected {
            let found = info.shape.clone();
            return Err(LoadError::Shape { path: shard.path.clone(), name, found, expected });
        }
        let dtype = tensor_type(info.dtype).ok_or_else(|| LoadError::Dtype {
            path: shard.path.clone(),
            name: name.clone(),
            dtype: format!("{:?}", info.dtype),
            supported: SUPPORTED,
        })?;
        Ok(Some(Stored { shape: expected, dtype, bytes: shard.bytes(&name, info)? }))
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?}", self.config).as_bytes());
        for (name, place) in &self.places {
            let Some(shard) = self.shards.get(*place) else { continue };
            let Some(info) = shard.tensors.get(name) else { continue };
            hasher.update(format!("{name}\0{:?}{:?}", info.shape, info.dtype).as_bytes());
            hasher.update(&shard.sample(info, SAMPLE));
        }
        *hasher.finalize().as_bytes()
    }
}

fn tensor_type(dtype: Dtype) -> Option<TensorType> {
    match dtype {
        Dtype::F32 => Some(TensorType::F32),
        Dtype::F16 => Some(TensorType::F16),
        Dtype::BF16 => Some(TensorType::BF16),
        _ => None,
    }
}

/// The weight files, by the index if there is one.
fn shard_paths(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let index = folder.join("model.safetensors.index.json");
    let Some(json) = read_json(&index)? else { return Ok(vec![folder.join("model.safetensors")]) };
    let fault = |problem: &str| LoadError::Folder { path: index.clone(), problem: problem.to_owned() };
    let map = json.get("weight_map").and_then(Value::as_object).ok_or_else(|| fault("it has no weight_map"))?;
    let mut names: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Err(fault("its weight_map names no file"));
    }
    // A name is a file of this folder, not a way out of it.
    if let Some(name) = names.iter().find(|name| Path::new(name).components().count() != 1 || name.starts_with("..")) {
        return Err(fault(&format!("its weight_map names '{name}', which is not a file of this folder")));
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// A JSON file of the folder, or none if it is not there.
fn read_json(path: &Path) -> Result<Option<Value>, LoadError> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    let json = serde_json::from_str(&text);
    json.map(Some)
        .map_err(|error| LoadError::Folder { path: path.to_owned(), problem: format!("not valid JSON: {error}") })
}

fn read_text(path: &Path) -> Result<Option<String>, LoadError> {
    let io = |source| LoadError::Io { path: path.to_owned(), source };
    let length = match std::fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    if length > LONGEST_JSON {
        let problem = format!("has {length} bytes: at most {LONGEST_JSON} are expected");
        return Err(LoadError::Folder { path: path.to_owned(), problem });
    }
    std::fs::read_to_string(path).map(Some).map_err(io)
}

fn tensor_name(role: Role) -> String {
    match role {
        Role::Embedding => "model.embed_tokens.weight".into(),
        Role::OutputNorm => "model.norm.weight".into(),
        Role::Head => "lm_head.weight".into(),
        Role::Layer(layer, part) => {
            let name = match part {
                Part::AttentionNorm => "input_layernorm.weight",
                Part::Q => "self_attn.q_proj.weight",
                Part::K => "self_attn.k_proj.weight",
                Part::V => "self_attn.v_proj.weight",
                Part::QBias => "self_attn.q_proj.bias",
                Part::KBias => "self_attn.k_proj.bias",
                Part::VBias => "self_attn.v_proj.bias",
                Part::QNorm => "self_attn.q_norm.weight",
                Part::KNorm => "self_attn.k_norm.weight",
                Part::Output => "self_attn.o_proj.weight",
                Part::FfnNorm => "post_attention_layernorm.weight",
                Part::Gate => "mlp.gate_proj.weight",
                Part::Up => "mlp.up_proj.weight",
                Part::Down => "mlp.down_proj.weight",
            };
            format!("model.layers.{layer}.{name}")
        }
    }
}

#[cfg(test)]
mod tests;
