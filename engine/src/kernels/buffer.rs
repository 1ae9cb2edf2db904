//! Zeroed memory that vectors can be loaded from without crossing cache lines.
//!
//! Large buffers are mapped, in huge pages where the system has them: weights are read from end to end
//! for every token, and 4 KiB pages would spend that time in page walks. Pages that nobody touched take
//! no memory.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A cache line, and the width of the widest vector.
const LINE: usize = 64;
/// A huge page.
const HUGE: usize = 2 << 20;

/// The system has no memory for a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no {bytes} bytes of memory for it")]
pub struct OutOfMemory {
    /// What was asked for.
    pub bytes: usize,
}

/// Numbers for which all bits zero is zero.
pub(crate) trait Plain: Copy + Send + Sync + 'static {}
impl Plain for u8 {}
impl Plain for i8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for i32 {}
impl Plain for f32 {}

/// A fixed number of zeroed numbers, aligned to a cache line.
pub(crate) struct Buffer<T: Plain> {
    start: NonNull<T>,
    len: usize,
    memory: Memory,
    numbers: PhantomData<T>,
}

enum Memory {
    None,
    Heap(std::alloc::Layout),
    #[cfg(unix)]
    Map {
        base: *mut libc::c_void,
        bytes: usize,
    },
}

// SAFETY: a buffer owns its memory alone, as a `Vec` does, and `T` is plain data.
unsafe impl<T: Plain> Send for Buffer<T> {}
// SAFETY: through a shared reference it can only be read.
unsafe impl<T: Plain> Sync for Buffer<T> {}

impl<T: Plain> Buffer<T> {
    /// So many zeroes.
    pub(crate) fn zeroed(len: usize) -> Result<Self, OutOfMemory> {
        let bytes = len.checked_mul(size_of::<T>()).ok_or(OutOfMemory { bytes: usize::MAX })?;
        let out_of_memory = OutOfMemory { bytes };
        if bytes == 0 {
            return Ok(Self { start: NonNull::dangling(), len: 0, memory: Memory::None, numbers: PhantomData });
        }
        #[cfg(unix)]
        if bytes >= HUGE {
            return Self::mapped(len, bytes).ok_or(out_of_memory);
        }
        let layout = std::alloc::Layout::from_size_align(bytes, LINE).map_err(|_| out_of_memory)?;
        // SAFETY: the layout is not empty.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        let start = NonNull::new(start.cast::<T>()).ok_or(out_of_memory)?;
        Ok(Self { start, len, memory: Memory::Heap(layout), numbers: PhantomData })
    }

    #[cfg(unix)]
    fn mapped(len: usize, bytes: usize) -> Option<Self> {
        let all = bytes.checked_next_multiple_of(HUGE)?.checked_add(HUGE)?;
        // SAFETY: a private, anonymous mapping at a place of the system's choice touches nothing that exists.
        let base = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), all, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return None;
        }
        let skip = base.align_offset(HUGE);
        // SAFETY: `skip` is below HUGE, and `all` is at least `bytes + HUGE`: the place lies in the mapping.
        let start = unsafe { base.byte_add(skip) };
        #[cfg(target_os = "linux")]
        // SAFETY: the range lies in the mapping. It is advice: where it is refused, pages stay small.
        let _ = unsafe { libc::madvise(start, bytes, libc::MADV_HUGEPAGE) };
        let start = NonNull::new(start.cast::<T>())?;
        Some(Self { start, len, memory: Memory::Map { base, bytes: all }, numbers: PhantomData })
    }
}

impl<T: Plain> Drop for Buffer<T> {
    fn drop(&mut self) {
        match self.memory {
            Memory::None => {}
            // SAFETY: it was allocated with this layout and is freed once.
            Memory::Heap(layout) => unsafe { std::alloc::dealloc(self.start.as_ptr().cast(), layout) },
            #[cfg(unix)]
            // SAFETY: it was mapped so and is unmapped once; a refusal leaves it mapped, which harms nobody.
            Memory::Map { base, bytes } => unsafe {
                let _ = libc::munmap(base, bytes);
            },
        }
    }
}

impl<T: Plain> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `start` leads to `len` initialised numbers that live as long as the buffer.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Plain> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the buffer is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: Plain> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} x {} bytes)", self.len, size_of::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_buffers_are_zeroed_and_aligned() {
        for len in [0, 1, 63, 5000, HUGE / 4, HUGE + 5] {
            let mut buffer = Buffer::<f32>::zeroed(len).unwrap();
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|value| *value == 0.0));
            assert!(len == 0 || buffer.as_ptr().addr().is_multiple_of(LINE));
            if let Some(last) = buffer.last_mut() {
                *last = 3.0;
            }
            assert!(len == 0 || buffer[len - 1] == 3.0);
        }
    }

    #[test]
    fn more_than_there_is_is_an_error() {
        let bytes = 1usize << 60;
        assert_eq!(Buffer::<u8>::zeroed(bytes).unwrap_err(), OutOfMemory { bytes });
        assert_eq!(Buffer::<f32>::zeroed(usize::MAX).unwrap_err(), OutOfMemory { bytes: usize::MAX });
    }
}
