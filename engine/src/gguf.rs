//! GGUF files: the container. Versions 2 and 3, little-endian. Keys and the tensor
//! table are read at once, a tensor when it is asked for.
//!
//! Rules: the file is not to be trusted. Every count, length and offset is checked against the bytes
//! that are there before anything is allocated or sliced, so a damaged file is an error that names the
//! key or tensor, never a crash. What the keys mean is [`model`]'s business.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use crate::source::ModelFile;

pub(crate) mod codes;
mod dequant;
pub mod model;
mod reader;
mod value;

pub use dequant::TensorType;
pub use value::Value;

use reader::Reader;

/// Tensors have at most so many dimensions.
const MOST_DIMENSIONS: u32 = 4;
/// The shortest a key can be written: an empty name, a type, one byte.
const LEAST_KEY_BYTES: u64 = 8 + 4 + 1;
/// The shortest a tensor can be described: an empty name, no dimension, type, offset.
const LEAST_TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;

/// So much of a file is read for its tables at first; vocabularies take up a few times that.
const FIRST_READ: u64 = 1 << 20;
/// And no more than this in the end, whatever lengths a damaged file claims.
const LARGEST_FRONT: u64 = 1 << 29;

/// A damaged or unsupported container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GgufError {
    /// Not this format at all.
    #[error("not a GGUF file: it begins with {0:02x?} instead of 'GGUF'")]
    Magic([u8; 4]),
    /// Another version.
    #[error("GGUF version {0} is not supported: only 2 and 3 are; convert the model again")]
    Version(u32),
    /// Written on a big-endian machine.
    #[error("a big-endian GGUF file is not supported: convert the model on a little-endian machine")]
    BigEndian,
    /// The file ends too soon.
    #[error("the file ends at byte {end} while reading {what} at byte {at}: it is cut off or damaged")]
    CutOff {
        /// What was being read.
        what: String,
        /// Where.
        at: u64,
        /// The file's length.
        end: u64,
    },
    /// Text that is not UTF-8.
    #[error("{what} at byte {at} is not UTF-8")]
    NotText {
        /// What was being read.
        what: String,
        /// Where.
        at: u64,
    },
    /// A number that makes no sense where it stands.
    #[error("{what} is {value}: {problem}")]
    Number {
        /// What was being read.
        what: String,
        /// What was found.
        value: u64,
        /// Why it cannot be.
        problem: String,
    },
    /// A name twice.
    #[error("'{0}' is there twice")]
    Twice(String),
    /// Lists in lists.
    #[error("the key '{0}' holds lists nested too deeply")]
    Nested(String),
}

/// Where a tensor lies and how it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Outermost dimension first: the reverse of the file's order.
    pub shape: Vec<usize>,
    /// How its numbers are stored; the file's number, if it is not one we know.
    pub dtype: Result<TensorType, u32>,
    /// From the beginning of the data.
    offset: u64,
}

/// An open file.
#[derive(Debug)]
pub struct Gguf {
    file: ModelFile,
    /// Keys and values.
    pub metadata: BTreeMap<String, Value>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
    data: u64,
}

/// What stands before the tensors.
struct Tables {
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
    data: u64,
}

impl Gguf {
    /// Opens a file and reads its tables.
    ///
    /// # Errors
    /// The system's word, or what is wrong with the file.
    pub fn open(path: &Path) -> std::io::Result<Result<Self, GgufError>> {
        Self::read(File::open(path)?, FIRST_READ)
    }

    /// Reads the tables from a front of the file that doubles until they are whole.
    fn read(file: File, first: u64) -> std::io::Result<Result<Self, GgufError>> {
        let file = ModelFile::new(file)?;
        let length = file.length();
        let (mut front, mut target) = (Vec::new(), first.max(1));
        let tables = loop {
            let begun = front.len() as u64;
            file.extend(&mut front, begun..target.min(length))?;
            match Tables::read(&front, length) {
                Ok(tables) => break tables,
                Err(GgufError::CutOff { end, .. }) if end < length && end < LARGEST_FRONT => target *= 2,
                Err(GgufError::CutOff { what, end, .. }) if end < length => {
                    let problem = format!("keys and tables take up at most {LARGEST_FRONT} bytes");
                    return Ok(Err(GgufError::Number { what: format!("the place of {what}"), value: end, problem }));
                }
                Err(error) => return Ok(Err(error)),
            }
        };
        drop(front);
        let Tables { metadata, tensors, data } = tables;
        let gguf = Self { file, metadata, tensors, data };
        for name in gguf.tensors.keys() {
            if let Err(error) = gguf.range(name) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(gguf))
    }

    /// The bytes of a tensor.
    ///
    /// # Errors
    /// The system's word; there is no such tensor, or its type is not known.
    pub fn tensor_bytes(&self, name: &str) -> std::io::Result<Vec<u8>> {
        self.file.bytes(self.place(name)?)
    }

    /// A few bytes from its middle.
    fn tensor_sample(&self, name: &str, most: u64) -> std::io::Result<Vec<u8>> {
        self.file.sample(&self.place(name)?, most)
    }

    fn place(&self, name: &str) -> std::io::Result<Range<u64>> {
        let nothing = || std::io::Error::new(ErrorKind::NotFound, format!("the tensor '{name}' has no place"));
        self.range(name).ok().flatten().ok_or_else(nothing)
    }

    fn range(&self, name: &str) -> Result<Option<Range<u64>>, GgufError> {
        let Some(info) = self.tensors.get(name) else { return Ok(None) };
        let Ok(dtype) = info.dtype else { return Ok(None) };
        let elements = info.shape.iter().try_fold(1usize, |product, dimension| product.checked_mul(*dimension));
        let row = info.shape.last().copied().unwrap_or(1);
        let length = elements.filter(|_| row.is_multiple_of(dtype.block())).and_then(|n| dtype.bytes(n));
        let length = length.ok_or_else(|| GgufError::Number {
            what: format!("the row length of the tensor '{name}'"),
            value: row as u64,
            problem: format!("{dtype:?} stores blocks of {} numbers", dtype.block()),
        })?;
        let all = self.file.length();
        let start = self.data.checked_add(info.offset);
        let end = start.and_then(|start| start.checked_add(length as u64)).filter(|end| *end <= all);
        let (Some(start), Some(end)) = (start, end) else {
            let at = start.unwrap_or(u64::MAX);
            return Err(GgufError::CutOff { what: format!("the tensor '{name}' ({length} bytes)"), at, end: all });
        };
        Ok(Some(start..end))
    }
}

impl Tables {
    /// Reads them from a front of a file of some length.
    fn read(front: &[u8], length: u64) -> Result<Self, GgufError> {
        let mut reader = Reader::new(front, length);
        let magic = reader.array::<4>("the magic number")?;
        if &magic != b"GGUF" {
            return Err(GgufError::Magic(magic));
        }
        let version = reader.u32("the version")?;
        match version {
            2 | 3 => {}
            swapped if matches!(swapped.swap_bytes(), 1..=3) => return Err(GgufError::BigEndian),
            other => return Err(GgufError::Version(other)),
        }
        let tensor_count = reader.count("the number of tensors", LEAST_TENSOR_BYTES)?;
        let key_count = reader.count("the number of keys", LEAST_KEY_BYTES)?;
        let mut metadata = BTreeMap::new();
        for _ in 0..key_count {
            let key = reader.text("a key")?;
            let value = Value::read(&mut reader, &key)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(GgufError::Twice(key));
            }
        }
        // A value that is no whole number is refused as 0 is.
        let alignment = match metadata.get("general.alignment").map(|value| value.as_u64().unwrap_or(0)) {
            None => 32,
            Some(value) if value.is_power_of_two() && value <= 1 << 20 => value,
            Some(value) => {
                let problem = "expected a power of two up to 1048576".to_owned();
                return Err(GgufError::Number { what: "general.alignment".into(), value, problem });
            }
        };
        let mut tensors = BTreeMap::new();
        for _ in 0..tensor_count {
            let (name, info) = read_info(&mut reader, alignment)?;
            if tensors.insert(name.clone(), info).is_some() {
                return Err(GgufError::Twice(name));
            }
        }
        let data = reader.position().next_multiple_of(alignment);
        Ok(Self { metadata, tensors, data })
    }
}

fn read_info(reader: &mut Reader<'_>, alignment: u64) -> Result<(String, TensorInfo), GgufError> {
    let name = reader.text("a tensor's name")?;
    let what = |part: &str| format!("{part} of the tensor '{name}'");
    let dimensions = reader.u32(&what("the number of dimensions"))?;
    if dimensions > MOST_DIMENSIONS {
        let problem = format!("at most {MOST_DIMENSIONS} are possible");
        return Err(GgufError::Number { what: what("the number of dimensions"), value: dimensions.into(), problem });
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let value = reader.u64(&what("a dimension"))?;
        match usize::try_from(value) {
            Ok(dimension) if (1..=1 << 40).contains(&value) => shape.push(dimension),
            _ => {
                let problem = "expected 1 to 2^40".to_owned();
                return Err(GgufError::Number { what: what("a dimension"), value, problem });
            }
        }
    }
    shape.reverse();
    let number = reader.u32(&what("the type"))?;
    let offset = reader.u64(&what("the offset"))?;
    if !offset.is_multiple_of(alignment) {
        let problem = format!("it must be a multiple of {alignment}");
        return Err(GgufError::Number { what: what("the offset"), value: offset, problem });
    }
    Ok((name, TensorInfo { shape, dtype: TensorType::from_number(number).ok_or(number), offset }))
}

#[cfg(test)]
mod tests;
