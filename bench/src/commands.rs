//! What can be measured: a module per subcommand.

pub(crate) mod calibrate;
pub(crate) mod engine;
pub(crate) mod peers;
pub(crate) mod perplexity;
pub(crate) mod techniques;
