//! The words of models: fetched from a node once per tokenizer, checked by their hash, kept.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use protocol::codec;
use protocol::frame::Frame;
use protocol::message::FetchText;
use text::bundle::TextBundle;
use text::{Text, TextError};
use tokio::sync::OnceCell;
use transport::connection::Connection;
use transport::error::Lost;
use transport::frames::{RecvError, SendError};

/// The longest bundle: the largest tokenizers in use take two thirds of it.
const LONGEST: usize = codec::MAX_BODY;
/// A bundle of so many bytes is built where its last piece is read: that takes about a millisecond, and the order of
/// what happens then depends on no other thread (simulated time relies on it).
const SMALL: usize = 64 << 10;
/// How long each piece may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Words that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// The connection is gone.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The question could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The answer could not be read.
    #[error(transparent)]
    Recv(#[from] RecvError),
    /// The node does not have them.
    #[error("the node has no tokenizer of that hash")]
    Absent,
    /// Longer than any should be.
    #[error("the tokenizer has more than {LONGEST} bytes")]
    TooLong,
    /// The bytes are no bundle.
    #[error("the tokenizer cannot be read: {0}")]
    Decode(#[from] codec::DecodeError),
    /// The bundle is another one than was asked for.
    #[error("the node sent another tokenizer than it named")]
    Hash,
    /// The bundle holds no working tokenizer.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The thread that was to build it is gone.
    #[error("the tokenizer could not be built: {0}")]
    Build(String),
}

/// All words that were needed so far, by hash.
#[derive(Debug, Default)]
pub struct Texts {
    cells: DashMap<[u8; 32], Arc<OnceCell<Arc<Text>>>>,
}

impl Texts {
    /// The words of a hash; fetched over this connection if they are not here. Whoever asks meanwhile
    /// waits for the same fetch; a fetch that failed is tried again by the next.
    ///
    /// # Errors
    /// Words that cannot be had.
    pub async fn get(&self, hash: [u8; 32], connection: Arc<dyn Connection>) -> Result<Arc<Text>, TextsError> {
        let cell = Arc::clone(&self.cells.entry(hash).or_default());
        cell.get_or_try_init(|| fetch(hash, connection)).await.cloned()
    }

    /// The words of a hash, if they are here.
    pub fn known(&self, hash: [u8; 32]) -> Option<Arc<Text>> {
        self.cells.get(&hash).and_then(|cell| cell.get().cloned())
    }
}

async fn fetch(hash: [u8; 32], connection: Arc<dyn Connection>) -> Result<Arc<Text>, TextsError> {
    let (mut writer, mut reader) = connection.open().await?;
    writer.send(FetchText { hash }).await?;
    writer.finish();
    let mut bytes = Vec::new();
    loop {
        let chunk = match reader.recv_within(PATIENCE, "a part of a tokenizer").await {
            Ok(Frame::TextChunk(chunk)) => chunk,
            Ok(other) => {
                return Err(RecvError::Unexpected { wanted: "a part of a tokenizer", got: other.kind() }.into());
            }
            Err(RecvError::Missing(_)) if bytes.is_empty() => return Err(TextsError::Absent),
            Err(error) => return Err(error.into()),
        };
        bytes.extend_from_slice(&chunk.bytes);
        if bytes.len() > LONGEST {
            return Err(TextsError::TooLong);
        }
        if chunk.last {
            break;
        }
    }
    if bytes.len() <= SMALL {
        let text = std::panic::catch_unwind(|| built(&bytes, hash));
        return text.unwrap_or_else(|_| Err(TextsError::Build("it panicked".to_owned())));
    }
    // Building takes up to a second for large vocabularies.
    let text = tokio::task::spawn_blocking(move || built(&bytes, hash));
    text.await.map_err(|error| TextsError::Build(error.to_string()))?
}

fn built(bytes: &[u8], hash: [u8; 32]) -> Result<Arc<Text>, TextsError> {
    let bundle: TextBundle = codec::decode(bytes)?;
    if bundle.hash() != hash {
        return Err(TextsError::Hash);
    }
    Ok(Arc::new(Text::new(bundle)?))
}
