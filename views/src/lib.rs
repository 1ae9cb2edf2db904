//! How keys, budgets, usage and decisions look to people and programs: as JSON, as CSV, as text that is read. The
//! same over HTTP and on the command line.
//!
//! Rules: money is decimal text in the cluster's currency, times are RFC 3339 in UTC, names of fields are a promise.
//! What is read is read exactly: a field that is not known, or an amount that is no text, is an error. Nothing here
//! has a clock; where now matters, it is passed in.

pub mod budgets;
pub mod decisions;
pub mod keys;
pub mod moment;
pub mod money;
pub mod scale;
pub mod usage;
