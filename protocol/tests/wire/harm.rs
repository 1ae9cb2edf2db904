//! Hostile bytes: a bounded run of what the fuzz target runs, and the memory a lie about a length costs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use protocol::frame::fuzz::check_decode;
use protocol::frame::{Frame, Kind, LENGTH_BYTES, ReadError};

use crate::golden;

/// Mutated seeds in one run.
const RUNS: u32 = 20_000;
/// The most that may be asked of the allocator at once for a short body that claims to be long. serde
/// reserves at most 1 MiB before it has seen elements.
const RESERVE: usize = 2 << 20;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// Remembers each thread's largest allocation.
struct Watching;

#[global_allocator]
static WATCHING: Watching = Watching;

#[expect(unsafe_code, reason = "an allocator that watches can only be written so")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no cell any more; then nothing is measured.
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// xorshift64: the same mutations in every run.
struct Generator(u64);

impl Generator {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        // Often a byte that means something to the codec: a long integer, or a small number.
        match self.below(4) {
            0 => [0xfb, 0xfc, 0xfd, 0xfe, 0xff, 0x00, 0x01, 0x7f][self.below(8)],
            _ => u8::try_from(self.below(256)).unwrap(),
        }
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.insert(at, self.byte()),
                1 => bytes.truncate(at),
                2 => bytes.extend_from_slice(&other[self.below(other.len())..]),
                _ => {
                    let byte = self.byte();
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
            }
        }
        // Mostly with a length that fits, so that the body is read at all.
        if self.below(8) != 0 && bytes.len() > LENGTH_BYTES {
            let length = u32::try_from(bytes.len() - LENGTH_BYTES).unwrap();
            bytes[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        }
    }
}

#[test]
fn mutated_frames_do_no_harm() {
    let seeds = golden::all();
    let mut generator = Generator(0x7472_6f75_7065);
    let mut read = 0;
    LARGEST.set(0);
    for _ in 0..RUNS {
        let mut bytes = seeds[generator.below(seeds.len())].1.clone();
        let other = &seeds[generator.below(seeds.len())].1;
        generator.mutate(&mut bytes, other);
        assert_eq!(check_decode(&bytes), Ok(()), "{bytes:02x?}");
        read += u32::from(matches!(Frame::read(&bytes), Ok(Some(_))));
    }
    assert!(LARGEST.get() <= RESERVE, "{} bytes were asked for at once", LARGEST.get());
    assert!(read > RUNS / 100, "only {read} of {RUNS} mutants were still frames: nothing was tested");
}

#[test]
fn a_body_that_lies_about_its_length_costs_little() {
    // Every kind, with a body that begins with the largest lengths the codec can write.
    for kind in Kind::ALL {
        for lie in [[0xff; 20], [0xfd; 20], [0xfc; 20], [0xfb; 20]] {
            LARGEST.set(0);
            let _ = Frame::read_body(*kind, &lie);
            assert!(LARGEST.get() <= RESERVE, "{kind:?} asked for {} bytes", LARGEST.get());
        }
        // Lengths that a frame may have, but not this one: eight mebibytes, wherever a text may begin.
        for skipped in 0..8 {
            let mut lie = vec![0; skipped];
            lie.extend([0xfc, 0, 0, 0x80, 0].repeat(4));
            LARGEST.set(0);
            let _ = Frame::read_body(*kind, &lie);
            assert!(LARGEST.get() <= RESERVE, "{kind:?} asked for {} bytes", LARGEST.get());
        }
    }
}

#[test]
fn limits_hold_before_the_body_has_come() {
    for kind in Kind::ALL {
        let number = *kind as u16;
        let longest = u32::try_from(kind.limit() + 2).unwrap();
        assert_eq!(Frame::check_head(longest, number), Ok((*kind, kind.limit())));
        let too_long = ReadError::TooLong { length: kind.limit() + 1, limit: kind.limit() };
        assert_eq!(Frame::check_head(longest + 1, number), Err(too_long.clone()));
        let mut head = (longest + 1).to_le_bytes().to_vec();
        head.extend(number.to_le_bytes());
        assert_eq!(Frame::read(&head), Err(too_long));
    }
    assert_eq!(Frame::read(&[1, 0, 0, 0]), Err(ReadError::TooShort(1)));
    assert_eq!(Frame::check_head(2, 15), Err(ReadError::UnknownKind(15)));
    assert!(matches!(Frame::read(&[0xff; 4]), Err(ReadError::TooLong { .. })));
}
