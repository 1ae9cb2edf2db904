//! Models of others: what their failures mean, when they may be asked, who stands in for them, and whether what
//! they count is believed.
//!
//! Rules: nothing here knows HTTP or a provider's JSON; the crate `providers` turns those into what is decided here.

pub mod failure;
pub mod fallback;
pub mod headers;
pub mod limits;
pub mod usage;
