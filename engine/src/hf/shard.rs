//! One `*.safetensors` file: eight bytes of length, a table in JSON, the tensors one after the other.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use safetensors::tensor::TensorInfo;
use serde::Deserialize;
use serde_json::Value;

use crate::source::{LoadError, ModelFile};

/// Bytes before the table: its length.
const LENGTH_BYTES: u64 = 8;
/// The one entry of a table that is no tensor.
const METADATA: &str = "__metadata__";
/// Tables are smaller; the format itself says so.
const LONGEST_TABLE: u64 = 100_000_000;

/// An open file and its table.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    /// Shapes, types and places; every place lies inside of the file and fits shape and type.
    pub(super) tensors: BTreeMap<String, TensorInfo>,
    file: ModelFile,
    /// Where the first tensor begins.
    data: u64,
}

impl Shard {
    pub(super) fn open(path: PathBuf) -> Result<Self, LoadError> {
        let io = |source| LoadError::Io { path: path.clone(), source };
        let fault = |problem: String| LoadError::Folder { path: path.clone(), problem };
        let file = ModelFile::open(&path).map_err(io)?;
        let length = file.length();
        if length < LENGTH_BYTES {
            return Err(fault(format!("cut off or damaged: it has {length} bytes, fewer than a table's length takes")));
        }
        let first = file.bytes(0..LENGTH_BYTES).map_err(io)?;
        let table = first.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let room = (length - LENGTH_BYTES).min(LONGEST_TABLE);
        if table > room {
            return Err(fault(format!(
                "cut off or damaged: its table is said to take {table} bytes, at most {room} can be"
            )));
        }
        let data = LENGTH_BYTES + table;
        let json = file.bytes(LENGTH_BYTES..data).map_err(io)?;
        let table: BTreeMap<String, Value> =
            serde_json::from_slice(&json).map_err(|error| fault(format!("cut off or damaged: {error}")))?;
        let mut tensors = BTreeMap::new();
        for (name, value) in table {
            if name != METADATA {
                let info = TensorInfo::deserialize(&value)
                    .map_err(|error| fault(format!("cut off or damaged: the tensor '{name}': {error}")))?;
                tensors.insert(name, info);
            }
        }
        check(&tensors, length - data).map_err(|problem| fault(format!("cut off or damaged: {problem}")))?;
        Ok(Self { path, tensors, file, data })
    }

    /// All bytes of a tensor of the table.
    pub(super) fn bytes(&self, name: &str, info: &TensorInfo) -> Result<Vec<u8>, LoadError> {
        self.file.bytes(self.range(info)).map_err(|error| LoadError::tensor_io(&self.path, name, &error))
    }

    /// Some bytes of it.
    pub(super) fn sample(&self, info: &TensorInfo, most: u64) -> Vec<u8> {
        self.file.sample(&self.range(info), most).unwrap_or_default()
    }

    pub(super) fn fault(&self, problem: String) -> LoadError {
        LoadError::Folder { path: self.path.clone(), problem }
    }

    fn range(&self, info: &TensorInfo) -> Range<u64> {
        let (start, end) = info.data_offsets;
        self.data + start as u64..self.data + end as u64
    }
}

/// Tensors lie side by side and fill the file, as the format asks: no byte has two meanings or none.
fn check(tensors: &BTreeMap<String, TensorInfo>, room: u64) -> Result<(), String> {
    let mut places: Vec<_> = tensors.iter().collect();
    places.sort_by_key(|(_, info)| info.data_offsets);
    let mut at = 0;
    for (name, info) in places {
        let (start, end) = info.data_offsets;
        let elements = info.shape.iter().try_fold(1usize, |product, dimension| product.checked_mul(*dimension));
        let bits = elements.and_then(|elements| elements.checked_mul(info.dtype.bitsize()));
        let bytes = bits.filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8);
        if bytes.is_none() || end.checked_sub(start) != bytes {
            return Err(format!(
                "the tensor '{name}' lies at bytes {start} to {end}, which does not fit {:?} of {:?}",
                info.shape, info.dtype
            ));
        }
        if start != at {
            return Err(format!("the tensor '{name}' begins at byte {start} of the data instead of {at}"));
        }
        if end as u64 > room {
            return Err(format!("the tensor '{name}' ends at byte {end} of the data, of which there are {room}"));
        }
        at = end;
    }
    if at as u64 != room {
        return Err(format!("{room} bytes follow the table, which describes {at}"));
    }
    Ok(())
}
