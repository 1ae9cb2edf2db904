use proptest::prelude::*;

use super::super::tests::{Maker, parse};
use super::*;

/// One layer of width 4 with two heads.
fn tiny() -> Maker {
    let tensor = |maker: Maker, name: &str, dimensions: &[u64]| {
        let count: u64 = dimensions.iter().product();
        let values: Vec<u8> = (0..count).flat_map(|n| (n as f32).to_le_bytes()).collect();
        maker.tensor(name, dimensions, 0, &values)
    };
    let maker = Maker::default()
        .text("general.architecture", "llama")
        .u32("llama.block_count", 1)
        .u32("llama.context_length", 16)
        .u32("llama.embedding_length", 8)
        .u32("llama.feed_forward_length", 4)
        .u32("llama.attention.head_count", 2)
        .u32("llama.attention.head_count_kv", 1);
    let maker = tensor(maker, "token_embd.weight", &[8, 3]);
    tensor(maker, "blk.0.attn_q.weight", &[8, 8])
}

fn open(maker: &Maker) -> Result<GgufModel, LoadError> {
    GgufModel::new(Path::new("m.gguf"), parse(&maker.bytes()).unwrap())
}

#[test]
fn a_configuration_is_read_and_rotary_rows_are_reordered() {
    let model = open(&tiny()).unwrap();
    let config = model.config();
    assert_eq!((config.head_dim, config.vocabulary, config.kv_heads, config.tied), (4, 3, 1, true));
    let q = model.weights(Role::Layer(0, Part::Q)).unwrap().unwrap();
    let first: Vec<f32> = q.data.chunks(8).map(|row| row[0] / 8.0).collect();
    assert_eq!(first, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert!(model.weights(Role::Layer(0, Part::K)).unwrap().is_none());
}

#[test]
fn what_is_not_supported_is_named() {
    let error = |maker: &Maker| open(maker).unwrap_err().to_string();
    let other = Maker::default().text("general.architecture", "mamba");
    assert!(error(&other).contains("general.architecture is 'mamba'"));
    assert!(error(&Maker::default()).contains("general.architecture is missing"));
    let scaled = tiny().text("llama.rope.scaling.type", "yarn");
    assert!(error(&scaled).contains("llama.rope.scaling.type is 'yarn'"));
    assert!(error(&tiny().u32("split.count", 3)).contains("split.count is 3"));
    assert!(error(&tiny().u32("llama.expert_count", 8)).contains("llama.expert_count is 8"));
    let bias = tiny().tensor("blk.0.attn_output.bias", &[8], 0, &[0; 32]);
    assert!(error(&bias).contains("blk.0.attn_output.bias"));
    assert!(open(&tiny().tensor("blk.0.attn_q.bias", &[8], 0, &[0; 32])).unwrap().config().qkv_bias);
    assert!(error(&tiny().u32("llama.attention.key_length", 3)).contains("llama.attention.key_length"));
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let error = |maker: Maker, role: Role| open(&maker).unwrap().weights(role).unwrap_err().to_string();
    let k = Role::Layer(0, Part::K);
    let shape = error(tiny().tensor("blk.0.attn_k.weight", &[8, 3], 0, &[0; 96]), k);
    assert!(shape.contains("'blk.0.attn_k.weight'") && shape.contains("[3, 8]") && shape.contains("[4, 8]"), "{shape}");
}

#[test]
fn an_unknown_scheme_is_named_with_file_tensor_and_what_is_supported() {
    let error = |number: u32| {
        let maker = tiny().tensor("blk.0.attn_k.weight", &[8, 4], number, &[0; 96]);
        open(&maker).unwrap().stored(Role::Layer(0, Part::K)).unwrap_err().to_string()
    };
    let supported =
        "which is not supported; supported are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K";
    let stored = "m.gguf: the tensor 'blk.0.attn_k.weight' is stored as";
    assert_eq!(error(16), format!("{stored} IQ2_XXS (ggml type 16), {supported}"));
    assert_eq!(error(77), format!("{stored} ggml type 77, {supported}"));
    // The list is of all that can be read.
    let known = (0..256).filter_map(TensorType::from_number).map(|dtype| format!("{dtype:?}"));
    assert!(known.into_iter().all(|name| SUPPORTED.split(", ").any(|supported| supported == name)));
}

proptest! {
    #[test]
    fn a_damaged_model_never_crashes(places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let words = tiny().text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "gpt-2");
        let mut bytes = words.texts("tokenizer.ggml.tokens", &["a", "b", "ab"]).texts("tokenizer.ggml.merges", &["a b"]).bytes();
        for (place, value) in places {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(file) = parse(&bytes)
            && let Ok(model) = GgufModel::new(Path::new("m.gguf"), file)
        {
            let _ = model.bundle().map(text::Text::new);
            for role in [Role::Embedding, Role::Head, Role::Layer(0, Part::Q), Role::Layer(usize::MAX, Part::K)] {
                if let Ok(Some(weights)) = model.weights(role) {
                    prop_assert_eq!(weights.data.len(), weights.shape.iter().product::<usize>());
                }
            }
            model.fingerprint();
        }
    }
}

#[test]
fn fingerprints_tell_weights_apart() {
    let one = open(&tiny()).unwrap().fingerprint();
    assert_eq!(one, open(&tiny()).unwrap().fingerprint());
    let other = tiny().tensor("output_norm.weight", &[8], 0, &[1; 32]);
    assert_ne!(one, open(&other).unwrap().fingerprint());
}

#[test]
fn a_model_that_is_cut_short_after_opening_is_an_error_of_the_system() {
    let path = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap().into_temp_path();
    std::fs::write(&path, tiny().bytes()).unwrap();
    let model = GgufModel::open(&path).unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(length - 100).unwrap();
    let error = model.stored(Role::Layer(0, Part::Q)).unwrap_err();
    assert!(matches!(error, LoadError::Io { .. }) && error.to_string().contains("'blk.0.attn_q.weight'"), "{error}");
    model.fingerprint();
}

#[test]
fn rows_of_blocks_are_reordered_whole() {
    // Each row is one block whose numbers are the row's.
    let block = |row: u8| [0x00, 0x3c].into_iter().chain([row; 32]);
    let rows: Vec<u8> = (0..4).flat_map(block).collect();
    let maker = Maker::default()
        .text("general.architecture", "llama")
        .u32("llama.block_count", 1)
        .u32("llama.context_length", 16)
        .u32("llama.embedding_length", 32)
        .u32("llama.feed_forward_length", 4)
        .u32("llama.attention.head_count", 8)
        .u32("llama.attention.head_count_kv", 1)
        .tensor("token_embd.weight", &[32, 1], 8, &rows[..34])
        .tensor("blk.0.attn_k.weight", &[32, 4], 8, &rows);
    let stored = open(&maker).unwrap().stored(Role::Layer(0, Part::K)).unwrap().unwrap();
    assert_eq!((stored.rows(), stored.width(), stored.dtype), (4, 32, TensorType::Q8_0));
    let order: Vec<u8> = (0..4).map(|row| stored.row(row)[33]).collect();
    assert_eq!(order, [0, 2, 1, 3]);
    let mut out = [0.0; 32];
    stored.dequantise_row(1, &mut out);
    assert_eq!(out, [2.0; 32]);
}
