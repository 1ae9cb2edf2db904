use std::io::Write;

use super::*;
use proptest::prelude::*;

/// Writes small files by hand.
#[derive(Clone, Default)]
pub(super) struct Maker {
    keys: Vec<u8>,
    key_count: u64,
    tensors: Vec<u8>,
    tensor_count: u64,
    data: Vec<u8>,
}

impl Maker {
    fn name(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    }

    fn key(mut self, name: &str, kind: u32, value: &[u8]) -> Self {
        Self::name(&mut self.keys, name);
        self.keys.extend(kind.to_le_bytes());
        self.keys.extend(value);
        self.key_count += 1;
        self
    }

    pub(super) fn u32(self, name: &str, value: u32) -> Self {
        self.key(name, 4, &value.to_le_bytes())
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        let mut bytes = Vec::new();
        Self::name(&mut bytes, value);
        self.key(name, 8, &bytes)
    }

    pub(super) fn texts(self, name: &str, values: &[&str]) -> Self {
        let mut bytes = 8u32.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| Self::name(&mut bytes, value));
        self.key(name, 9, &bytes)
    }

    pub(super) fn tensor(mut self, name: &str, dimensions: &[u64], kind: u32, data: &[u8]) -> Self {
        Self::name(&mut self.tensors, name);
        self.tensors.extend((dimensions.len() as u32).to_le_bytes());
        dimensions.iter().for_each(|dimension| self.tensors.extend(dimension.to_le_bytes()));
        self.tensors.extend(kind.to_le_bytes());
        self.tensors.extend((self.data.len() as u64).to_le_bytes());
        self.data.extend(data);
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        self.tensor_count += 1;
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend(self.tensor_count.to_le_bytes());
        out.extend(self.key_count.to_le_bytes());
        out.extend(&self.keys);
        out.extend(&self.tensors);
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(&self.data);
        out
    }
}

/// Reads what a file of these bytes holds, by way of ever larger fronts.
pub(super) fn parse(bytes: &[u8]) -> Result<Gguf, GgufError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Gguf::read(file, 16).unwrap()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn small() -> Maker {
    Maker::default()
        .text("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .texts("tokenizer.ggml.tokens", &["a", "b"])
        .tensor("t", &[2, 3], 0, &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
}

#[test]
fn keys_and_tensors_are_read_with_the_outermost_dimension_first() {
    let file = parse(&small().bytes()).unwrap();
    assert_eq!(file.metadata["llama.block_count"].as_u64(), Some(2));
    assert_eq!(file.metadata["tokenizer.ggml.tokens"].as_list().unwrap()[1].as_text(), Some("b"));
    assert_eq!(file.tensors["t"].shape, [3, 2]);
    let values = TensorType::F32.dequantise(&file.tensor_bytes("t").unwrap());
    assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn what_is_no_such_file_is_said_so() {
    let error = |bytes: &[u8]| parse(bytes).unwrap_err();
    assert_eq!(error(b"GGML...."), GgufError::Magic(*b"GGML"));
    let mut other = small().bytes();
    other[4] = 1;
    assert_eq!(error(&other), GgufError::Version(1));
    other[4..8].copy_from_slice(&3u32.to_be_bytes());
    assert_eq!(error(&other), GgufError::BigEndian);
    let version2 = {
        let mut bytes = small().bytes();
        bytes[4] = 2;
        bytes
    };
    assert!(parse(&version2).is_ok());
}

#[test]
fn faults_name_the_key_or_the_tensor() {
    let error = |maker: Maker| parse(&maker.bytes()).unwrap_err().to_string();
    assert!(error(small().key("odd", 99, &[])).contains("'odd'"));
    assert!(error(small().u32("llama.block_count", 3)).contains("'llama.block_count'"));
    assert!(error(small().u32("general.alignment", 7)).contains("general.alignment"));
    assert!(error(small().text("general.alignment", "32")).contains("general.alignment"));
    assert!(error(small().tensor("far", &[1 << 30], 0, &[])).contains("'far'"));
    assert!(error(small().tensor("huge", &[u64::MAX, 2], 0, &[])).contains("'huge'"));
    assert!(error(small().tensor("flat", &[2, 2, 2, 2, 2], 0, &[])).contains("'flat'"));
    // Rows of 33 numbers do not fill blocks of 32.
    assert!(error(small().tensor("uneven", &[33], 8, &[0; 64])).contains("'uneven'"));
    let mut nested = Vec::new();
    for _ in 0..9 {
        nested.extend(9u32.to_le_bytes());
        nested.extend(1u64.to_le_bytes());
    }
    assert!(error(small().key("deep", 9, &nested)).contains("deep"));
}

#[test]
fn a_claim_that_the_file_has_no_room_for_is_refused_before_memory_is_taken() {
    let mut bytes = small().bytes();
    bytes[8..16].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
    assert!(matches!(parse(&bytes), Err(GgufError::Number { .. })));
    let list = [8u32.to_le_bytes().to_vec(), u64::MAX.to_le_bytes().to_vec()].concat();
    assert!(matches!(parse(&small().key("list", 9, &list).bytes()), Err(GgufError::Number { .. })));
}

#[test]
fn every_truncation_is_an_error() {
    let whole = small().bytes();
    // The last block is padding: what lies before it is needed.
    for length in 0..whole.len() - 8 {
        assert!(parse(&whole[..length]).is_err(), "cut at {length}");
    }
}

proptest! {
    #[test]
    fn damage_never_crashes(places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = small().bytes();
        for (place, value) in places {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(file) = parse(&bytes) {
            for (name, info) in &file.tensors {
                if let (Ok(dtype), Ok(bytes)) = (info.dtype, file.tensor_bytes(name)) {
                    dtype.dequantise(&bytes);
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_cut_short_while_it_is_open_is_an_error() {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    std::fs::write(&path, small().bytes()).unwrap();
    let file = Gguf::open(&path).unwrap().unwrap();
    assert_eq!(file.tensor_bytes("t").unwrap().len(), 24);
    File::options().write(true).open(&path).unwrap().set_len(file.data + 4).unwrap();
    let error = file.tensor_bytes("t").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("cut short"), "{error}");
}
