//! The hash of keys that are random already: themselves.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps whose keys are names of blocks.
pub(crate) type Hashed = BuildHasherDefault<Uniform>;

/// Takes the last number it is given. Keys are bytes of a cryptographic hash, so nobody can choose many that
/// fall together, and hashing them again would find nothing better.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
