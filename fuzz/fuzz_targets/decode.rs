//! Any bytes through the decoder of frames.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(broken) = protocol::frame::fuzz::check_decode(bytes) {
        panic!("{broken}");
    }
});
