//! Zeroed memory that vectors can be loaded from without crossing cache lines.
//!
//! Large buffers are mapped, in huge pages where the system has them: weights are read from end to end
//! for every token, and 4 KiB pages would spend that time in page walks, and stop the processor from
//! fetching ahead at their ends. An [`Arena`] lets small buffers share huge pages. Pages that nobody
//! touched take no memory.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

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
    /// Part of it, perhaps.
    Map(#[expect(dead_code, reason = "it is held, not read")] Arc<Mapping>),
}

/// Zeroed pages.
struct Mapping {
    #[cfg(unix)]
    base: *mut libc::c_void,
    #[cfg(unix)]
    all: usize,
    start: NonNull<u8>,
}

// SAFETY: a mapping is memory that can be used from any thread; who may touch which part is the buffers'
// business.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

/// Memory that buffers are cut from.
#[derive(Default)]
pub(crate) struct Arena {
    /// What is left of the last mapping: the mapping, the place, the end.
    rest: RefCell<Option<(Arc<Mapping>, usize, usize)>>,
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arena")
    }
}

/// What an arena maps at once.
const CHUNK: usize = 32 << 20;

impl Arena {
    /// So many zeroes. They live as long as the buffer does.
    pub(crate) fn zeroed<T: Plain>(&self, len: usize) -> Result<Buffer<T>, OutOfMemory> {
        let bytes = len.checked_mul(size_of::<T>()).ok_or(OutOfMemory { bytes: usize::MAX })?;
        if bytes == 0 || bytes >= CHUNK {
            return Buffer::zeroed(len);
        }
        let mut rest = self.rest.borrow_mut();
        let room = rest.as_ref().is_some_and(|(_, at, end)| end - at >= bytes);
        if !room {
            let Some(mapping) = Mapping::new(CHUNK) else { return Buffer::zeroed(len) };
            *rest = Some((Arc::new(mapping), 0, CHUNK));
        }
        let Some((mapping, at, end)) = rest.as_mut() else { return Buffer::zeroed(len) };
        // SAFETY: `at + bytes` lies in the mapping, as was just checked, and no other buffer gets this part.
        let start = unsafe { mapping.start.add(*at) }.cast::<T>();
        *at = (*at + bytes).next_multiple_of(LINE).min(*end);
        Ok(Buffer { start, len, memory: Memory::Map(Arc::clone(mapping)), numbers: PhantomData })
    }
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
            let mapping = Arc::new(Mapping::new(bytes).ok_or(out_of_memory)?);
            let start = mapping.start.cast();
            return Ok(Self { start, len, memory: Memory::Map(mapping), numbers: PhantomData });
        }
        let layout = std::alloc::Layout::from_size_align(bytes, LINE).map_err(|_| out_of_memory)?;
        // SAFETY: the layout is not empty.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        let start = NonNull::new(start.cast::<T>()).ok_or(out_of_memory)?;
        Ok(Self { start, len, memory: Memory::Heap(layout), numbers: PhantomData })
    }
}

impl Mapping {
    /// At least so many zeroed bytes from the beginning of a huge page on; none if the system refuses.
    #[cfg(unix)]
    fn new(bytes: usize) -> Option<Self> {
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
        Some(Self { base, all, start: NonNull::new(start.cast())? })
    }

    /// Nothing like it here.
    #[cfg(not(unix))]
    fn new(_: usize) -> Option<Self> {
        None
    }
}

#[cfg(unix)]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped so, no buffer uses it any more, and it is unmapped once; a refusal leaves it
        // mapped, which harms nobody.
        let _ = unsafe { libc::munmap(self.base, self.all) };
    }
}

impl<T: Plain> Drop for Buffer<T> {
    fn drop(&mut self) {
        if let Memory::Heap(layout) = self.memory {
            // SAFETY: it was allocated with this layout and is freed once.
            unsafe { std::alloc::dealloc(self.start.as_ptr().cast(), layout) };
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
    fn buffers_of_an_arena_lie_apart_and_outlive_it() {
        let arena = Arena::default();
        let mut buffers: Vec<Buffer<u8>> = (0..40).map(|number| arena.zeroed(number * 50_001).unwrap()).collect();
        let whole = arena.zeroed::<f32>(CHUNK).unwrap();
        drop(arena);
        for (number, buffer) in buffers.iter_mut().enumerate() {
            assert!(buffer.iter().all(|byte| *byte == 0) && buffer.len() == number * 50_001);
            assert!(buffer.is_empty() || buffer.as_ptr().addr().is_multiple_of(LINE));
            buffer.fill(number as u8);
        }
        for (number, buffer) in buffers.iter().enumerate() {
            assert!(buffer.iter().all(|byte| *byte == number as u8));
        }
        assert!(whole.iter().all(|float| *float == 0.0));
    }

    #[test]
    fn more_than_there_is_is_an_error() {
        let bytes = 1usize << 60;
        assert_eq!(Buffer::<u8>::zeroed(bytes).unwrap_err(), OutOfMemory { bytes });
        assert_eq!(Buffer::<f32>::zeroed(usize::MAX).unwrap_err(), OutOfMemory { bytes: usize::MAX });
    }
}
