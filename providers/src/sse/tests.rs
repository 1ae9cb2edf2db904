use proptest::prelude::*;

use super::*;

fn all(chunks: &[&[u8]]) -> Result<Vec<Event>, SseError> {
    let (mut parser, mut events) = (Parser::new(64, 256), Vec::new());
    chunks.iter().try_for_each(|chunk| parser.push(chunk, &mut events))?;
    Ok(events)
}

fn data(text: &str) -> Event {
    Event { event: None, data: text.to_owned() }
}

#[test]
fn events_end_with_a_blank_line() {
    let events = all(&[b"data: one\n\nevent: ping\ndata: two\n\ndata: cut"]).unwrap();
    assert_eq!(events, [data("one"), Event { event: Some("ping".into()), data: "two".into() }]);
}

#[test]
fn lines_end_in_three_ways() {
    for end in ["\n", "\r", "\r\n"] {
        let text = "data: a\n\n:note\n\ndata: b\ndata: c\n\n".replace('\n', end);
        assert_eq!(all(&[text.as_bytes()]).unwrap(), [data("a"), data("b\nc")], "{end:?}");
    }
    assert_eq!(all(&[b"data: a\r", b"\n\r", b"\ndata: b\n\n"]).unwrap(), [data("a"), data("b")]);
}

#[test]
fn comments_unknown_fields_and_events_without_data_are_left_out() {
    let text = b"\xef\xbb\xbf: hi\nid: 4\nretry: 5\nfoo\nevent: none\n\ndata\n\ndata:x\ndata:  y\n\n";
    assert_eq!(all(&[text]).unwrap(), [data(""), data("x\n y")]);
}

#[test]
fn what_goes_on_and_on_is_refused() {
    assert_eq!(all(&[&[b'x'; 65]]), Err(SseError::LongLine(64)));
    assert_eq!(all(&[&[b'x'; 40], &[b'x'; 40]]), Err(SseError::LongLine(64)));
    let line = [b"data:".as_slice(), &[b'x'; 50], b"\n"].concat();
    assert_eq!(all(&[&line.repeat(6)]), Err(SseError::LongEvent(256)));
    assert_eq!(all(&[&line.repeat(5)]), Ok(vec![]));
    assert_eq!(all(&[b"data: \xff\n\n"]), Err(SseError::NotUtf8));
}

/// Lines as servers send them, and as they do not.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "data: ?[a-zé\u{1F600}:{}]{0,12}",
        "event: ?[a-z]{0,6}",
        ":[ a-z]{0,6}",
        Just(String::new()),
        "\\PC{0,10}",
    ]
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_events(
        lines in proptest::collection::vec((line(), 0usize..3), 0..30),
        cuts in proptest::collection::vec(1usize..9, 1..20),
    ) {
        let text: String = lines.iter().map(|(line, end)| format!("{line}{}", ["\n", "\r", "\r\n"][*end])).collect();
        let whole = all(&[text.as_bytes()]);
        let (mut rest, mut chunks, mut cuts) = (text.as_bytes(), Vec::new(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        prop_assert_eq!(all(&chunks), whole);
    }

    #[test]
    fn what_was_written_is_read(texts in proptest::collection::vec("[^\r\n]{0,20}(\n[^\r\n]{0,20}){0,3}", 0..8)) {
        let written: String = texts
            .iter()
            .map(|text| text.split('\n').map(|line| format!("data: {line}\n")).collect::<String>() + "\n")
            .collect();
        let mut events = Vec::new();
        Parser::default().push(written.as_bytes(), &mut events).unwrap();
        prop_assert_eq!(events.into_iter().map(|event| event.data).collect::<Vec<_>>(), texts);
    }

    #[test]
    fn no_bytes_break_it_and_its_memory_is_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (mut parser, mut events) = (Parser::new(64, 256), Vec::new());
        for chunk in bytes.chunks(7) {
            if parser.push(chunk, &mut events).is_err() {
                break;
            }
            prop_assert!(parser.line.len() <= 64 && parser.event.data.len() <= 256);
        }
    }
}
