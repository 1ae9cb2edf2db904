//! A file of weights, read in places.
//!
//! Rules: it is not mapped into memory, so that a file that another process shortens is an error and not
//! the end of this process. Nothing beyond the length it had when it was opened is asked for, and no
//! more memory is taken than that.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::path::Path;

/// An open file and its length.
#[derive(Debug)]
pub(crate) struct ModelFile {
    file: File,
    length: u64,
}

impl ModelFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::new(File::open(path)?)
    }

    pub(crate) fn new(file: File) -> Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    /// As it was when the file was opened.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The bytes of a range.
    pub(crate) fn bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.extend(&mut bytes, range)?;
        Ok(bytes)
    }

    /// Appends the bytes of a range.
    pub(crate) fn extend(&self, bytes: &mut Vec<u8>, range: Range<u64>) -> Result<()> {
        let short = || {
            let problem = format!("bytes {} to {} are not there: the file is cut short", range.start, range.end);
            Error::new(ErrorKind::UnexpectedEof, problem)
        };
        let count = range.end.checked_sub(range.start).filter(|_| range.end <= self.length).ok_or_else(short)?;
        let count = usize::try_from(count).map_err(|_| short())?;
        let before = bytes.len();
        if before == 0 {
            // Pages that the system gives are zero already.
            *bytes = vec![0; count];
        } else {
            bytes.resize(before + count, 0);
        }
        let read = self.read(range.start, &mut bytes[before..]);
        read.map_err(|error| if error.kind() == ErrorKind::UnexpectedEof { short() } else { error })
    }

    /// A few bytes from the middle of a range, to tell one file from another.
    pub(crate) fn sample(&self, range: &Range<u64>, most: u64) -> Result<Vec<u8>> {
        let middle = range.start + (range.end - range.start) / 2;
        self.bytes(middle..(middle + most).min(range.end))
    }

    #[cfg(unix)]
    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, out, at)
    }

    /// Moves the file's one position: a model is loaded by one thread.
    #[cfg(not(unix))]
    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(out)
    }
}
