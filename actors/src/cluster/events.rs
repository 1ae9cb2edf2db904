//! The events stream of a link, on the coordinator's side: what a node says of its caches goes into the index.
//!
//! Rules: whatever is wrong with it harms only itself. What was lost is asked for anew; what cannot be read ends
//! the stream, and the node is then placed by its load alone until it connects again.

use policy::index::Outcome;
use protocol::cache::{CacheBatch, CacheResync};
use protocol::frame::Frame;
use transport::error::Code;
use transport::frames::{FrameReader, FrameWriter};

use super::index::IndexedNode;

/// Listens until the stream ends; from then on nothing is known of the node's caches.
pub(super) async fn listen(name: &str, node: &IndexedNode, writer: FrameWriter, reader: FrameReader) {
    hear(name, node, writer, reader).await;
    node.unheard();
}

async fn hear(name: &str, node: &IndexedNode, mut writer: FrameWriter, mut reader: FrameReader) {
    loop {
        let batch = match reader.recv().await {
            Ok(Some(Frame::CacheBatch(batch))) => batch,
            Ok(Some(other)) => {
                tracing::warn!(
                    "node {name}: {:?} on the events stream; its prefixes are not known any more",
                    other.kind()
                );
                reader.stop(Code::Unexpected);
                writer.reset(Code::Unexpected);
                return;
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!("node {name}: the events stream has ended: {error}");
                return;
            }
        };
        if !take(name, node, batch, &mut writer).await {
            return;
        }
    }
}

async fn take(name: &str, node: &IndexedNode, batch: CacheBatch, writer: &mut FrameWriter) -> bool {
    match node.apply(&batch) {
        Outcome::Taken | Outcome::Ignored => true,
        Outcome::Resync(reason) => {
            tracing::warn!("node {name}: events of {} ({}): all is asked for anew", batch.model, reason.as_str());
            writer.send(CacheResync { model: batch.model }).await.is_ok()
        }
    }
}
