//! What can be measured: a module per subcommand.

pub(crate) mod engine;
pub(crate) mod peers;
pub(crate) mod perplexity;
pub(crate) mod techniques;
