//! What routing saves on a day of requests, and what it costs in quality.
//!
//! Rules:
//! - What decides is the code of the cluster: `policy::complexity` scores and chooses the tier, `policy::choice` the
//!   model, `policy::complexity::tiers::cascade()` whether an answer is asked again, `policy::prices` and
//!   `protocol::money` what it costs, `policy::ledger` whether it may, and who is told.
//! - Quality is measured on labelled prompts that the weights have not seen: the fifth that `training` holds out.
//!   What the data has no scores of has no quality.
//! - Time is virtual, randomness the seed's: the same seed gives the same bytes.
//!
//! Left to others: how fast anything is (`replay`), and how the weights were learned (`training`).

pub mod bank;
pub mod compared;
pub mod day;
pub mod json;
pub mod measure;
pub mod offers;
pub mod plot;
pub mod policies;
pub mod prompts;
pub mod ran;
pub mod report;
pub mod run;
pub mod setting;
