//! What the bytes of a file must be, and what they are.
//!
//! SHA-256 throughout. The Hugging Face hub gives it for large files only; of small ones it knows git's name, a SHA-1
//! over a head and the bytes, which is checked as well, for what it is worth.

use std::fs::File;
use std::io::{self, Read};

use protocol::files::Sha256;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use sha2::Digest as _;

/// Read at once when a file is hashed.
const BLOCK: usize = 1 << 20;

/// How git names bytes.
pub(crate) type GitName = [u8; 20];

/// What a file must be; nothing is known of it if both are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expect {
    pub(crate) sha256: Option<Sha256>,
    pub(crate) git: Option<GitName>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) sha256: Sha256,
    pub(crate) git: GitName,
}

/// What was wanted and what came, each with the name of its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) wanted: String,
    pub(crate) got: String,
}

impl Expect {
    pub(crate) fn is_known(&self) -> bool {
        self.sha256.is_some() || self.git.is_some()
    }

    pub(crate) fn check(&self, found: &Found) -> Result<(), Mismatch> {
        let pair = |name: &str, wanted: String, got: String| Mismatch {
            wanted: format!("{name} {wanted}"),
            got: format!("{name} {got}"),
        };
        if let Some(wanted) = self.sha256.filter(|wanted| *wanted != found.sha256) {
            return Err(pair("sha256", wanted.to_string(), found.sha256.to_string()));
        }
        if let Some(wanted) = self.git.filter(|wanted| *wanted != found.git) {
            return Err(pair("git sha1", hex(&wanted), hex(&found.git)));
        }
        Ok(())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes bytes in as they come.
#[derive(Clone)]
pub(crate) struct Hasher {
    sha256: sha2::Sha256,
    git: Context,
}

impl Hasher {
    /// For a file of so many bytes: git's name begins with their number.
    pub(crate) fn new(size: u64) -> Self {
        let mut git = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        git.update(format!("blob {size}\0").as_bytes());
        Self { sha256: sha2::Sha256::new(), git }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.git.update(bytes);
    }

    pub(crate) fn finish(self) -> Found {
        let mut git = GitName::default();
        git.copy_from_slice(self.git.finish().as_ref());
        Found { sha256: Sha256(self.sha256.finalize().into()), git }
    }
}

/// Takes in the first `length` bytes of a file. Blocks.
pub(crate) fn read(file: &mut File, length: u64, hasher: &mut Hasher) -> io::Result<()> {
    let mut rest = file.take(length);
    let mut block = vec![0; BLOCK];
    let mut taken = 0;
    loop {
        match rest.read(&mut block)? {
            0 if taken == length => return Ok(()),
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter")),
            count => {
                hasher.update(block.get(..count).unwrap_or_default());
                taken += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Found {
        let mut hasher = Hasher::new(bytes.len() as u64);
        bytes.chunks(2).for_each(|chunk| hasher.update(chunk));
        hasher.finish()
    }

    #[test]
    fn hashes_are_those_of_sha256sum_and_git() {
        let found = of(b"hello\n");
        assert_eq!(found.sha256.to_string(), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        assert_eq!(hex(&found.git), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(hex(&of(b"").git), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    }

    #[test]
    fn every_hash_that_is_known_must_agree() {
        let (right, wrong) = (of(b"right"), of(b"wrong"));
        let both = Expect { sha256: Some(right.sha256), git: Some(right.git) };
        assert_eq!(both.check(&right), Ok(()));
        let mismatch = both.check(&wrong).unwrap_err();
        assert_eq!(mismatch.wanted, format!("sha256 {}", right.sha256));
        assert_eq!(mismatch.got, format!("sha256 {}", wrong.sha256));
        let git = Expect { git: Some(right.git), sha256: None };
        assert!(git.check(&wrong).unwrap_err().wanted.starts_with("git sha1 "));
        assert_eq!(Expect::default().check(&wrong), Ok(()));
    }
}
