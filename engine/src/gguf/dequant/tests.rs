//! Against values of the reference implementation of the `gguf` package, for one block of each type.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Case {
    r#type: String,
    bytes: String,
    values: Vec<f64>,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn every_type_gives_the_reference_values() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../tests/data/dequant.json")).unwrap();
    let mut seen = 0;
    for case in cases {
        let dtype =
            (0..64).filter_map(TensorType::from_number).find(|dtype| format!("{dtype:?}") == case.r#type).unwrap();
        let values = dtype.dequantise(&unhex(&case.bytes));
        assert_eq!(values.len(), case.values.len(), "{}", case.r#type);
        for (place, (value, expected)) in values.iter().zip(&case.values).enumerate() {
            let error = (f64::from(*value) - expected).abs();
            assert!(error <= 1e-5 * expected.abs().max(1.0), "{} at {place}: {value} for {expected}", case.r#type);
        }
        seen += 1;
    }
    assert_eq!(seen, 10);
    assert_eq!(TensorType::F32.dequantise(&1.5f32.to_le_bytes()), [1.5]);
}

#[test]
fn sizes_count_whole_blocks_and_do_not_overflow() {
    assert_eq!(TensorType::Q4_0.bytes(64), Some(36));
    assert_eq!(TensorType::Q4_0.bytes(33), None);
    assert_eq!(TensorType::F32.bytes(usize::MAX), None);
}
