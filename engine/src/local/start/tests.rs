use protocol::units::ByteSize;

use super::*;
use crate::local::tiny::{Tiny, config, options};

fn refusal(options: &EngineOptions) -> String {
    LocalEngine::from_source(&Tiny::new(config()), options).unwrap_err().to_string()
}

#[test]
fn a_cache_that_holds_no_block_says_what_one_takes() {
    let text = refusal(&EngineOptions { kv: KvSize::Memory(ByteSize(100)), ..options() });
    // Two layers, two heads, eight tokens of eight numbers of four bytes, keys and values.
    assert_eq!(text, "kv_memory comes to 100 bytes, one block of 8 tokens takes 2048: give at least that");
}

#[test]
fn a_cache_beyond_memory_says_what_is_free() {
    let text = refusal(&EngineOptions { kv: KvSize::Memory(ByteSize(1 << 60)), ..options() });
    assert!(text.starts_with("kv_memory is 1048576TiB, ") && text.contains("free beside the weights"), "{text}");
}

#[test]
fn a_share_of_what_is_free_is_turned_into_blocks() {
    let share = EngineOptions { kv: KvSize::Share(50), ..options() };
    assert_eq!(blocks(&share, 1_000, Some(100_000)).unwrap(), 50);
    assert!(matches!(blocks(&share, 1_000, None), Err(StartError::NoShare(_))));
    let engine = LocalEngine::from_source(&Tiny::new(config()), &EngineOptions { kv: KvSize::Share(1), ..options() });
    assert!(engine.unwrap().card.blocks > Blocks(1));
}

#[test]
fn weights_beyond_memory_name_a_smaller_format() {
    let mut plan = native::Plan {
        isa: Isa::PORTABLE,
        threads: 1,
        dtype: Dtype::F32,
        quantization: Quantization::None,
        context: 8,
        rows: 8,
        kv: KvFormat::F32,
        block: 8,
        batch_invariant: true,
    };
    let (config, options) = (ModelConfig { ffn: 1 << 20, ..config() }, options());
    let needed = plan.weight_bytes(&config);
    assert!(room(&config, &options, plan, Some(needed)).is_ok() && room(&config, &options, plan, None).is_ok());
    let text = room(&config, &options, plan, Some(needed - 1)).unwrap_err().to_string();
    assert!(text.contains("as f32") && text.contains("quantization = \"int8\" needs"), "{text}");
    let text = room(&config, &options, plan, Some(needed / 5)).unwrap_err().to_string();
    assert!(text.contains("quantization = \"int4\" needs"), "{text}");
    let text = room(&config, &options, plan, Some(1)).unwrap_err().to_string();
    assert!(text.contains("even quantization = \"int4\" needs"), "{text}");
    plan.quantization = Quantization::Int4;
    assert!(plan.weight_bytes(&config) * 6 < needed);
}

#[test]
fn quantised_formats_are_for_the_cpu_kernels() {
    let libtorch = EngineOptions { backend: Backend::Libtorch, ..options() };
    let text = refusal(&EngineOptions { quantization: Quantization::Int4, ..libtorch.clone() });
    assert_eq!(text, "quantization is \"int4\", which is for the CPU: on 'cpu' write \"none\"");
    let text = refusal(&EngineOptions { kv_quantization: KvQuantization::Int8, ..libtorch });
    assert!(text.starts_with("kv_quantization is \"int8\""), "{text}");
}

#[test]
fn a_device_that_is_not_there_is_named() {
    for name in ["tpu", "cuda:99"] {
        let text = refusal(&EngineOptions { device: name.into(), ..options() });
        assert!(text.contains(name), "{text}");
    }
}
