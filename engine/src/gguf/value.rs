//! Values of a file's keys.

use super::GgufError;
use super::reader::Reader;

/// Elements of one list: vocabularies have some hundred thousand tokens and merges.
const LONGEST: usize = 1 << 22;
/// Lists may lie in lists so deep; real files have none.
const DEEPEST: usize = 4;

/// A value; numbers of all widths are widened.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Without a sign.
    Unsigned(u64),
    /// With a sign.
    Signed(i64),
    /// With a fraction.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Text.
    Text(String),
    /// Many of one kind.
    List(Vec<Self>),
}

impl Value {
    pub(super) fn read(reader: &mut Reader<'_>, key: &str) -> Result<Self, GgufError> {
        let what = format!("the value of '{key}'");
        let kind = reader.u32(&what)?;
        Self::read_kind(reader, kind, key, &what, 0)
    }

    fn read_kind(reader: &mut Reader<'_>, kind: u32, key: &str, what: &str, depth: usize) -> Result<Self, GgufError> {
        Ok(match kind {
            0 => Self::Unsigned(u8::from_le_bytes(reader.array(what)?).into()),
            1 => Self::Signed(i8::from_le_bytes(reader.array(what)?).into()),
            2 => Self::Unsigned(u16::from_le_bytes(reader.array(what)?).into()),
            3 => Self::Signed(i16::from_le_bytes(reader.array(what)?).into()),
            4 => Self::Unsigned(reader.u32(what)?.into()),
            5 => Self::Signed(i32::from_le_bytes(reader.array(what)?).into()),
            6 => Self::Float(f32::from_le_bytes(reader.array(what)?).into()),
            7 => Self::Bool(reader.array::<1>(what)? != [0]),
            8 => Self::Text(reader.text(what)?),
            9 => {
                if depth == DEEPEST {
                    return Err(GgufError::Nested(key.to_owned()));
                }
                let inner = reader.u32(what)?;
                let count = reader.count(what, least_bytes(inner))?;
                if count > LONGEST {
                    let problem = format!("a list has at most {LONGEST} elements");
                    return Err(GgufError::Number {
                        what: format!("the length of '{key}'"),
                        value: count as u64,
                        problem,
                    });
                }
                let mut list = Vec::new();
                for _ in 0..count {
                    list.push(Self::read_kind(reader, inner, key, what, depth + 1)?);
                }
                Self::List(list)
            }
            10 => Self::Unsigned(reader.u64(what)?),
            11 => Self::Signed(i64::from_le_bytes(reader.array(what)?)),
            12 => Self::Float(f64::from_le_bytes(reader.array(what)?)),
            other => {
                let problem = "there is no value type of that number".to_owned();
                return Err(GgufError::Number { what: format!("the type of '{key}'"), value: other.into(), problem });
            }
        })
    }

    /// As a number without sign or fraction.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(value) => Some(*value),
            Self::Signed(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// As any number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Unsigned(value) => Some(*value as f64),
            Self::Signed(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// As text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// As yes or no.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// As a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}

/// How few bytes a value of a kind can take up.
fn least_bytes(kind: u32) -> u64 {
    match kind {
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        9 => 12,
        _ => 1,
    }
}
