//! What a person types: one file per command, each with its options.

pub(crate) mod chaos;
pub(crate) mod cost;
pub(crate) mod generate;
pub(crate) mod input;
pub(crate) mod inspect;
pub(crate) mod plan;
pub(crate) mod replay;
pub(crate) mod scale;
pub(crate) mod stack;
