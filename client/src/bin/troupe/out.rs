//! Standard output, written at once, so that an answer is seen as it comes.

use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

/// Standard output.
#[derive(Debug)]
pub(crate) struct Out {
    stream: io::Stdout,
}

impl Out {
    pub(crate) fn new() -> Self {
        Self { stream: io::stdout() }
    }

    /// Writes and flushes.
    ///
    /// # Errors
    /// The reader is gone, or the disk is full.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        let mut stream = self.stream.lock();
        stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).map_err(Failure::Output)
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.stream.is_terminal()
    }
}
