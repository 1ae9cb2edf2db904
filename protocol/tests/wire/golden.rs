//! Golden bytes. A change here changes the wire: it needs a new version, or the old machines break.
//!
//! `golden.txt` has one line per sample, in the order of [`samples::all`]: kind, then the frame in hex.

use protocol::frame::{Frame, Kind};

use crate::samples;

const GOLDEN: &str = include_str!("golden.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| text.get(at..at + 2).unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(digits(at), 16).unwrap()).collect()
}

/// Kind and bytes of every golden frame.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    GOLDEN.lines().map(|line| line.split_once(' ').unwrap()).map(|(kind, bytes)| (kind, unhex(bytes))).collect()
}

#[test]
fn frames_have_their_golden_bytes() {
    let mut lines = String::new();
    for frame in samples::all() {
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        lines += &format!("{:?} {}\n", frame.kind(), hex(&bytes));
    }
    for (line, golden) in lines.lines().zip(GOLDEN.lines()) {
        assert_eq!(line, golden, "the samples are now:\n{lines}");
    }
    assert_eq!(lines.lines().count(), GOLDEN.lines().count(), "the samples are now:\n{lines}");
}

#[test]
fn golden_bytes_are_read_as_their_frames() {
    for (frame, (kind, bytes)) in samples::all().into_iter().zip(all()) {
        assert_eq!(format!("{:?}", frame.kind()), kind);
        assert_eq!(Frame::read(&bytes).unwrap(), Some((frame, bytes.len())));
    }
}

#[test]
fn every_kind_has_a_golden() {
    let golden = all();
    for kind in Kind::ALL {
        assert!(golden.iter().any(|(name, _)| *name == format!("{kind:?}")), "{kind:?} has no golden bytes");
    }
}
