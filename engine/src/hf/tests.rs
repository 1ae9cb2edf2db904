use safetensors::serialize;
use safetensors::tensor::TensorView;
use serde_json::json;

use super::*;
use crate::source::Architecture;

struct Folder(tempfile::TempDir);

impl Folder {
    /// A Qwen2 model of one layer, whose weights lie in two files.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.json("config.json", &Self::config());
        folder.json(
            "model.safetensors.index.json",
            &json!({ "weight_map": { "a": "one.safetensors", "b": "two.safetensors" } }),
        );
        let f32s = |count: usize| (0..count).flat_map(|n| (n as f32).to_le_bytes()).collect::<Vec<u8>>();
        folder.weights("one.safetensors", &[("model.embed_tokens.weight", Dtype::F32, vec![3, 8], f32s(24))]);
        let bf16 = [0x80, 0x3f].repeat(8);
        folder.weights(
            "two.safetensors",
            &[
                ("model.norm.weight", Dtype::BF16, vec![8], bf16),
                ("model.layers.0.self_attn.q_proj.bias", Dtype::F32, vec![8], f32s(8)),
            ],
        );
        folder
    }

    fn config() -> Value {
        json!({
            "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "num_hidden_layers": 1, "hidden_size": 8,
            "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16, "vocab_size": 3,
            "max_position_embeddings": 32, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "sliding_window": 8,
            "use_sliding_window": false, "eos_token_id": 1,
        })
    }

    fn json(&self, name: &str, value: &Value) {
        std::fs::write(self.0.path().join(name), value.to_string()).unwrap();
    }

    fn weights(&self, name: &str, tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) {
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
        std::fs::write(self.0.path().join(name), serialize(views, None).unwrap()).unwrap();
    }

    fn open(&self) -> Result<HfModel, LoadError> {
        HfModel::open(self.0.path())
    }

    fn error(&self) -> String {
        self.open().unwrap_err().to_string()
    }
}

#[test]
fn shards_are_one_model_and_numbers_are_widened() {
    let model = Folder::new().open().unwrap();
    let config = model.config();
    assert_eq!((config.architecture, config.head_dim, config.window), (Architecture::Qwen2, 4, None));
    assert!(config.tied && config.qkv_bias && !config.qk_norm);
    assert_eq!(model.weights(Role::Embedding).unwrap().unwrap().data[5], 5.0);
    assert_eq!(model.weights(Role::OutputNorm).unwrap().unwrap().data, [1.0; 8]);
    assert!(model.weights(Role::Head).unwrap().is_none());
}

#[test]
fn a_configuration_that_cannot_be_is_named_by_its_key() {
    let with = |key: &str, value: Value| {
        let folder = Folder::new();
        let mut config = Folder::config();
        config[key] = value;
        folder.json("config.json", &config);
        folder.error()
    };
    assert!(with("architectures", json!(["GPTNeoX"])).contains("architectures is 'GPTNeoX'"));
    assert!(with("hidden_act", json!("gelu")).contains("hidden_act is 'gelu'"));
    assert!(with("num_key_value_heads", json!(0)).contains("num_key_value_heads is 0"));
    assert!(with("num_attention_heads", json!(3)).contains("num_attention_heads is 3"));
    assert!(with("tie_word_embeddings", json!(false)).contains("'lm_head.weight'"));
    assert!(with("partial_rotary_factor", json!(0.5)).contains("partial_rotary_factor is 0.5"));
    let quantised = with("quantization_config", json!({ "quant_method": "gptq", "bits": 4 }));
    assert!(quantised.contains("config.json: quantization_config.quant_method is \"gptq\""), "{quantised}");
    assert!(with("hidden_size", json!("wide")).contains("hidden_size is \"wide\""));
    assert!(with("rope_scaling", json!({ "rope_type": "yarn" })).contains("rope_scaling.rope_type is 'yarn'"));
    assert!(with("rope_scaling", json!({ "rope_type": "llama3" })).contains("rope_scaling.factor is missing"));
}

#[test]
fn damaged_and_missing_files_are_named() {
    let folder = Folder::new();
    std::fs::write(folder.0.path().join("two.safetensors"), b"short").unwrap();
    assert!(folder.error().contains("two.safetensors"));
    std::fs::remove_file(folder.0.path().join("two.safetensors")).unwrap();
    assert!(folder.error().contains("two.safetensors"));
    std::fs::write(folder.0.path().join("config.json"), b"{").unwrap();
    assert!(folder.error().contains("config.json"));
    let folder = Folder::new();
    folder.json("model.safetensors.index.json", &json!({ "weight_map": { "a": "../secret" } }));
    assert!(folder.error().contains("'../secret'"));
    assert!(matches!(HfModel::open(tempfile::tempdir().unwrap().path()), Err(LoadError::NotAModel(_))));
}

#[test]
fn tensors_of_the_wrong_shape_or_type_are_named() {
    let folder = Folder::new();
    folder.weights("one.safetensors", &[("model.embed_tokens.weight", Dtype::F32, vec![2, 8], vec![0; 64])]);
    let error = folder.open().unwrap().weights(Role::Embedding).unwrap_err().to_string();
    assert!(error.contains("'model.embed_tokens.weight'") && error.contains("[2, 8]"), "{error}");
    folder.weights("one.safetensors", &[("model.embed_tokens.weight", Dtype::I64, vec![3, 8], vec![0; 192])]);
    let error = folder.open().unwrap().weights(Role::Embedding).unwrap_err().to_string();
    let expected = "one.safetensors: the tensor 'model.embed_tokens.weight' is stored as I64, \
                    which is not supported; supported are F32, F16, BF16";
    assert!(error.ends_with(expected), "{error}");
    folder.weights("one.safetensors", &[("model.layers.0.self_attn.o_proj.bias", Dtype::F32, vec![8], vec![0; 32])]);
    assert!(folder.error().contains("model.layers.0.self_attn.o_proj.bias"), "{}", folder.error());
}

#[test]
fn words_come_from_the_tokenizer_and_its_companions() {
    let folder = Folder::new();
    assert!(matches!(folder.open().unwrap().bundle(), Err(LoadError::Tokenizer { .. })));
    let tokenizer = json!({
        "added_tokens": [{ "id": 2, "content": "<end>", "special": true }],
        "model": { "vocab": { "<s>": 0, "x": 1 } },
        "post_processor": { "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }] },
    });
    folder.json("tokenizer.json", &tokenizer);
    let template = json!([{ "name": "tools", "template": "T" }, { "name": "default", "template": "D" }]);
    folder.json(
        "tokenizer_config.json",
        &json!({ "bos_token": "<s>", "eos_token": { "content": "<end>" }, "chat_template": template }),
    );
    folder.json("generation_config.json", &json!({ "eos_token_id": [1, 2] }));
    let bundle = folder.open().unwrap().bundle().unwrap();
    assert_eq!(bundle.eos.iter().map(|id| id.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((bundle.bos.map(|id| id.0), bundle.add_bos), (Some(0), true));
    assert_eq!(bundle.chat_template.as_deref(), Some("D"));
    assert_eq!(bundle.names.eos.as_deref(), Some("<end>"));
    std::fs::write(folder.0.path().join("chat_template.jinja"), "J").unwrap();
    assert_eq!(folder.open().unwrap().bundle().unwrap().chat_template.as_deref(), Some("J"));
}

#[test]
fn a_shard_that_is_cut_short_after_opening_is_an_error_of_the_system() {
    let folder = Folder::new();
    let model = folder.open().unwrap();
    let path = folder.0.path().join("one.safetensors");
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(length - 8).unwrap();
    let error = model.weights(Role::Embedding).unwrap_err();
    assert!(matches!(error, LoadError::Io { .. }), "{error}");
    assert!(error.to_string().contains("'model.embed_tokens.weight'"), "{error}");
    model.fingerprint();
}

#[test]
fn a_table_that_does_not_fit_its_file_is_refused() {
    let folder = Folder::new();
    let path = folder.0.path().join("one.safetensors");
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(folder.error().contains("one.safetensors"), "cut at {length}");
    }
    std::fs::write(&path, [whole.as_slice(), &[0]].concat()).unwrap();
    assert!(folder.error().contains("97 bytes follow the table"), "{}", folder.error());
    let table = |tensors: Value, bytes: usize| {
        let json = tensors.to_string();
        let file = [&(json.len() as u64).to_le_bytes(), json.as_bytes(), &vec![0; bytes]].concat();
        std::fs::write(&path, file).unwrap();
        folder.error()
    };
    let tensor =
        |shape: Value, from: u64, to: u64| json!({ "dtype": "F32", "shape": shape, "data_offsets": [from, to] });
    let unknown = json!({ "a": { "dtype": "Q7", "shape": [1], "data_offsets": [0, 1] } });
    assert!(table(unknown, 1).contains("'a': unknown variant `Q7`"));
    assert!(table(json!({ "a": tensor(json!([2]), 0, 4) }), 4).contains("'a'"));
    assert!(table(json!({ "a": tensor(json!([1]), 4, 8) }), 8).contains("'a'"));
    assert!(table(json!({ "a": tensor(json!([1]), 8, 4) }), 8).contains("'a'"));
    assert!(table(json!({ "a": tensor(json!([u64::MAX, 2]), 0, 8) }), 8).contains("'a'"));
    assert!(table(json!({ "a": tensor(json!([1u64 << 40]), 0, 1 << 42) }), 8).contains("'a'"));
    std::fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
    assert!(folder.error().contains(&u64::MAX.to_string()));
}
