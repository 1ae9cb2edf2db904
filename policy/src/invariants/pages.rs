//! An engine without jobs holds no pages, but for what is cached and free to be taken.

use protocol::engine::Load;
use protocol::units::Blocks;

use super::{Breach, Invariant, holds};

/// Nothing runs or waits, and no block is used.
///
/// # Errors
/// Something does.
pub fn pages_free(load: &Load) -> Result<(), Breach> {
    let Load { running, waiting, blocks_used, .. } = load;
    holds(Invariant::PagesFree, (*running, *waiting, *blocks_used) == (0, 0, Blocks::ZERO), || {
        format!("{running} jobs run and {waiting} wait, with {blocks_used} blocks used, where nobody wants any")
    })
}
