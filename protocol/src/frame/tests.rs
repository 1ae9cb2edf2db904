use super::*;
use crate::message::{Begun, Goodbye};
use crate::units::Tokens;

#[test]
fn numbers_are_pinned() {
    let pinned = [
        (Kind::Hello, 1),
        (Kind::Welcome, 2),
        (Kind::Refusal, 3),
        (Kind::Report, 4),
        (Kind::Drain, 5),
        (Kind::Goodbye, 6),
        (Kind::Order, 7),
        (Kind::Tree, 8),
        (Kind::Serving, 9),
        (Kind::Submit, 16),
        (Kind::Granted, 17),
        (Kind::Refused, 18),
        (Kind::Begun, 19),
        (Kind::Tokens, 20),
        (Kind::Finished, 21),
        (Kind::Failed, 22),
        (Kind::FetchText, 32),
        (Kind::TextChunk, 33),
        (Kind::CacheBatch, 48),
        (Kind::CacheResync, 49),
        (Kind::Join, 64),
        (Kind::Joined, 65),
        (Kind::JoinRefused, 66),
        (Kind::ClientHello, 80),
        (Kind::ClientWelcome, 81),
        (Kind::ClientRefused, 82),
        (Kind::Ask, 83),
        (Kind::Answered, 84),
        (Kind::AskStatus, 85),
        (Kind::Status, 86),
        (Kind::OrderNode, 87),
        (Kind::Ordered, 88),
        (Kind::AskManage, 89),
        (Kind::AnswerManage, 90),
        (Kind::EscrowTell, 91),
        (Kind::EscrowAnswer, 92),
        (Kind::PullBlocks, 96),
        (Kind::PulledBlock, 97),
        (Kind::PulledEnd, 98),
        (Kind::PullRefused, 99),
        (Kind::FilesWanted, 112),
        (Kind::FileList, 113),
        (Kind::FileWanted, 114),
        (Kind::FileChunk, 115),
        (Kind::FileEnd, 116),
        (Kind::FilesRefused, 117),
    ];
    assert_eq!(Kind::ALL, pinned.map(|(kind, _)| kind));
    for number in 0..=u16::MAX {
        let known = pinned.iter().find(|(_, pinned)| *pinned == number).map(|(kind, _)| *kind);
        assert_eq!(Kind::from_number(number), known);
    }
}

#[test]
fn limits_fit() {
    for kind in Kind::ALL {
        assert!(kind.limit() <= codec::MAX_BODY, "{kind:?}");
    }
}

#[test]
fn a_frame_too_long_leaves_no_trace() {
    let frame = Frame::from(Goodbye { reason: "x".repeat(5 * KIB) });
    let mut out = vec![1, 2, 3];
    let error = frame.write(&mut out).unwrap_err();
    assert!(matches!(error, WriteError::TooLong { kind: Kind::Goodbye, limit, .. } if limit == 4 * KIB), "{error}");
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn a_body_that_is_too_long_or_cut_is_malformed() {
    let body = Frame::read_body(Kind::Begun, &[9]).unwrap();
    assert_eq!(body, Begun { cached: Tokens(9) }.into());
    let trailing = ReadError::Body { kind: Kind::Begun, error: DecodeError::Trailing(2) };
    assert_eq!(Frame::read_body(Kind::Begun, &[9, 9, 9]), Err(trailing));
    assert!(matches!(
        Frame::read_body(Kind::Begun, &[]),
        Err(ReadError::Body { error: DecodeError::Malformed(_), .. })
    ));
}
