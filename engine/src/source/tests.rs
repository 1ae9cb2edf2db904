use super::*;

#[test]
fn interleaved_rows_become_halves_per_head_as_they_are_stored() {
    // Two heads of four rows, one column.
    let floats = [0.0f32, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0];
    let bytes = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
    let mut stored = Stored { shape: vec![8, 1], dtype: TensorType::F32, bytes };
    stored.split_halves(4);
    let mut row = [0.0];
    stored.dequantise_row(5, &mut row);
    assert_eq!((stored.row(9), row), (&[][..], [12.0]));
    assert_eq!(stored.widen().data, [0.0, 2.0, 1.0, 3.0, 10.0, 12.0, 11.0, 13.0]);
}

#[test]
fn what_is_no_model_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.bin");
    std::fs::write(&file, "x").unwrap();
    assert!(matches!(open(&file), Err(LoadError::NotAModel(_))));
    assert!(matches!(open(&folder.path().join("absent.gguf")), Err(LoadError::Io { .. })));
}

#[test]
fn numbers_that_cannot_be_are_refused_by_key() {
    let good = ModelConfig {
        architecture: Architecture::Llama,
        layers: 2,
        hidden: 8,
        heads: 4,
        kv_heads: 2,
        head_dim: 2,
        ffn: 16,
        vocabulary: 32,
        context: 64,
        norm_eps: 1e-5,
        rope: Rope { theta: 10_000.0, scaling: RopeScaling::None },
        tied: true,
        qkv_bias: false,
        qk_norm: false,
        window: None,
    };
    let name = |key: &'static str| key.to_owned();
    assert_eq!(good.check(name), Ok(()));
    let wrong = [
        ("layers", ModelConfig { layers: 0, ..good.clone() }),
        ("vocabulary", ModelConfig { vocabulary: usize::MAX, ..good.clone() }),
        ("kv_heads", ModelConfig { kv_heads: 3, ..good.clone() }),
        ("head_dim", ModelConfig { head_dim: 3, ..good.clone() }),
        ("norm_eps", ModelConfig { norm_eps: f64::NAN, ..good.clone() }),
        ("theta", ModelConfig { rope: Rope { theta: 0.0, scaling: RopeScaling::None }, ..good.clone() }),
        (
            "scaling",
            ModelConfig { rope: Rope { theta: 1e4, scaling: RopeScaling::Linear { factor: 0.0 } }, ..good.clone() },
        ),
        (
            "scaling",
            ModelConfig { rope: Rope { theta: 1e4, scaling: RopeScaling::Factors(vec![1.0; 2]) }, ..good.clone() },
        ),
        ("window", ModelConfig { window: Some(0), ..good.clone() }),
    ];
    for (key, config) in wrong {
        assert_eq!(config.check(name).unwrap_err().key, key);
    }
}
