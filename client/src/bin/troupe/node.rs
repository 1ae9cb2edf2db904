//! `troupe node`: what an operator wants of a node.

use client::{Client, OrderAction};
use protocol::units::Span;

use crate::failure::Failure;
use crate::out::Out;

/// Drain a node, or let it take work again.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// Give it nothing new; what still runs after the limit goes on on other nodes, without a break.
    Drain {
        /// Its name, or its id.
        node: String,
        /// How long running answers may go on there.
        #[arg(long, value_name = "TIME", default_value = "30s")]
        limit: Span,
    },
    /// Give it work again.
    Resume {
        /// Its name, or its id.
        node: String,
    },
}

/// Runs it.
///
/// # Errors
/// There is no such node, or the cluster does not answer.
pub(crate) async fn run(client: &Client, options: &Options, out: &mut Out) -> Result<(), Failure> {
    let (node, action) = match &options.order {
        Order::Drain { node, limit } => (node, OrderAction::Drain { limit: limit.0 }),
        Order::Resume { node } => (node, OrderAction::Resume),
    };
    let said = client.order(node, action).await?;
    out.write(&format!("{said}\n"))
}
