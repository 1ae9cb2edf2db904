//! Every frame comes back as it was, alone, in a row, and only whole.

use proptest::prelude::*;
use protocol::frame::fuzz::check_decode;
use protocol::frame::{Frame, Kind};

use crate::strategies::frame;

proptest! {
    #[test]
    fn frames_come_back(frame in frame()) {
        let mut bytes = vec![0xaa];
        frame.write(&mut bytes).unwrap();
        let bytes = &bytes[1..];
        prop_assert_eq!(check_decode(bytes), Ok(()));
        prop_assert_eq!(Frame::read(bytes), Ok(Some((frame, bytes.len()))));
    }

    #[test]
    fn frames_in_a_row_are_told_apart(frames in proptest::collection::vec(frame(), 1..6)) {
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        for frame in frames {
            let (read, length) = Frame::read(rest).unwrap().unwrap();
            prop_assert_eq!(read, frame);
            rest = &rest[length..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_part_of_a_frame_asks_for_more(frame in frame(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        let part = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(Frame::read(part), Ok(None));
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(check_decode(&bytes), Ok(()));
    }

    #[test]
    fn any_body_of_any_kind_does_no_harm(
        kind in proptest::sample::select(Kind::ALL),
        body in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let mut bytes = u32::try_from(body.len() + 2).unwrap().to_le_bytes().to_vec();
        bytes.extend((kind as u16).to_le_bytes());
        bytes.extend(body);
        prop_assert_eq!(check_decode(&bytes), Ok(()));
    }
}
