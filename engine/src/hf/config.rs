//! `config.json` of a Hugging Face folder.

use serde_json::Value;

use crate::source::{Architecture, ConfigFault, ModelConfig, Rope, RopeScaling};

/// Reads the configuration; `has` says which tensors are there.
pub(super) fn read(json: &Value, has: &dyn Fn(&str) -> bool) -> Result<ModelConfig, ConfigFault> {
    let names = json.get("architectures").and_then(Value::as_array);
    let name = names.and_then(|names| names.first()).and_then(Value::as_str).unwrap_or_default();
    let architecture = match name {
        "LlamaForCausalLM" => Architecture::Llama,
        "MistralForCausalLM" => Architecture::Mistral,
        "Qwen2ForCausalLM" => Architecture::Qwen2,
        "Qwen3ForCausalLM" => Architecture::Qwen3,
        "" => return Err(ConfigFault::new("architectures", "is missing or empty")),
        other => {
            let problem = format!(
                "is '{other}': LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM are supported"
            );
            return Err(ConfigFault::new("architectures", problem));
        }
    };
    if let Some(activation) = json.get("hidden_act").and_then(Value::as_str)
        && activation != "silu"
    {
        return Err(ConfigFault::new("hidden_act", format!("is '{activation}': only 'silu' is supported")));
    }
    for unsupported in ["attention_bias", "mlp_bias"] {
        if architecture == Architecture::Llama && json.get(unsupported).and_then(Value::as_bool) == Some(true) {
            return Err(ConfigFault::new(unsupported, "is true, which is not supported"));
        }
    }
    if let Some(part) = json.get("partial_rotary_factor").and_then(Value::as_f64)
        && part < 1.0
    {
        return Err(ConfigFault::new(
            "partial_rotary_factor",
            format!("is {part}: only 1, the whole head, is supported"),
        ));
    }
    // Such folders hold codes under names of their own, or numbers that mean nothing without a scale.
    if let Some(scheme) = json.get("quantization_config").filter(|value| !value.is_null()) {
        let method = scheme.get("quant_method").map_or_else(|| scheme.to_string(), Value::to_string);
        let problem = format!("is {method}: only folders of F32, F16 and BF16 are supported, and quantised GGUF files");
        return Err(ConfigFault::new("quantization_config.quant_method", problem));
    }
    // Without this a folder that lost a shard would speak with its embedding.
    let tied = json.get("tie_word_embeddings").and_then(Value::as_bool);
    if tied == Some(false) && !has("lm_head.weight") {
        return Err(ConfigFault::new("tie_word_embeddings", "is false, but the tensor 'lm_head.weight' is missing"));
    }
    let heads = size(json, "num_attention_heads")?;
    let hidden = size(json, "hidden_size")?;
    let head_dim = match optional_size(json, "head_dim")? {
        Some(width) => width,
        None if heads > 0 && hidden.is_multiple_of(heads) => hidden / heads,
        None => {
            let problem = format!("is {heads}, which does not divide hidden_size, {hidden}");
            return Err(ConfigFault::new("num_attention_heads", problem));
        }
    };
    let config = ModelConfig {
        architecture,
        layers: size(json, "num_hidden_layers")?,
        hidden,
        heads,
        kv_heads: optional_size(json, "num_key_value_heads")?.unwrap_or(heads),
        head_dim,
        ffn: size(json, "intermediate_size")?,
        vocabulary: size(json, "vocab_size")?,
        context: size(json, "max_position_embeddings")?,
        norm_eps: json.get("rms_norm_eps").and_then(Value::as_f64).unwrap_or(1e-6),
        rope: rope(json)?,
        tied: tied == Some(true) || !has("lm_head.weight"),
        qkv_bias: has("model.layers.0.self_attn.q_proj.bias"),
        qk_norm: has("model.layers.0.self_attn.q_norm.weight"),
        window: window(json, architecture)?,
    };
    config.check(|field| key_of(field).to_owned())?;
    Ok(config)
}

fn key_of(field: &str) -> &str {
    match field {
        "layers" => "num_hidden_layers",
        "hidden" => "hidden_size",
        "heads" => "num_attention_heads",
        "kv_heads" => "num_key_value_heads",
        "ffn" => "intermediate_size",
        "vocabulary" => "vocab_size",
        "context" => "max_position_embeddings",
        "norm_eps" => "rms_norm_eps",
        "theta" => "rope_theta",
        "scaling" => "rope_scaling",
        "window" => "sliding_window",
        other => other,
    }
}

fn optional_size(json: &Value, key: &str) -> Result<Option<usize>, ConfigFault> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let size = value.as_u64().and_then(|value| usize::try_from(value).ok());
            size.map(Some).ok_or_else(|| ConfigFault::new(key, format!("is {value}: expected a whole number")))
        }
    }
}

fn size(json: &Value, key: &str) -> Result<usize, ConfigFault> {
    optional_size(json, key)?.ok_or_else(|| ConfigFault::new(key, "is missing"))
}

/// Qwen files name a window and switch it off beside it.
fn window(json: &Value, architecture: Architecture) -> Result<Option<usize>, ConfigFault> {
    let used = json.get("use_sliding_window").and_then(Value::as_bool);
    let first = optional_size(json, "max_window_layers")?.unwrap_or(0);
    if used == Some(true) && first > 0 {
        return Err(ConfigFault::new(
            "max_window_layers",
            format!("is {first}: a window in some layers alone is not supported"),
        ));
    }
    let used = used.unwrap_or(architecture == Architecture::Mistral);
    Ok(optional_size(json, "sliding_window")?.filter(|_| used))
}

/// Newer files put everything below `rope_parameters`, older ones beside `rope_scaling`.
fn rope(json: &Value) -> Result<Rope, ConfigFault> {
    let new = json.get("rope_parameters").filter(|value| value.is_object());
    let scaling = new.or_else(|| json.get("rope_scaling").filter(|value| value.is_object()));
    let theta = new.and_then(|new| new.get("rope_theta")).or_else(|| json.get("rope_theta"));
    let theta = theta.and_then(Value::as_f64).unwrap_or(10_000.0);
    let Some(scaling) = scaling else { return Ok(Rope { theta, scaling: RopeScaling::None }) };
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type")).and_then(Value::as_str).unwrap_or("default");
    let number = |key: &str| {
        let value = scaling.get(key).and_then(Value::as_f64);
        value.ok_or_else(|| ConfigFault::new(format!("rope_scaling.{key}"), "is missing"))
    };
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: number("factor")? },
        "llama3" => RopeScaling::Llama3 {
            factor: number("factor")?,
            low: number("low_freq_factor")?,
            high: number("high_freq_factor")?,
            original: number("original_max_position_embeddings")?,
        },
        other => {
            let problem = format!("is '{other}': default, linear and llama3 are supported");
            return Err(ConfigFault::new("rope_scaling.rope_type", problem));
        }
    };
    Ok(Rope { theta, scaling })
}
