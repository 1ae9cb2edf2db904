use super::super::text::Folded;

fn left(text: &str) -> String {
    Folded::of(text, 1000, 1000).span().to_owned()
}

#[test]
fn greetings_and_thanks_are_taken_away() {
    for text in [
        "Hi there! name a river",
        "hello, name a river. Thanks!",
        "Good evening. I hope you are well. Could you please help me with this: name a river? Many thanks",
        "Dear assistant, please name a river, please",
        "Hey hey hey, quick question: name a river (thank you so much)",
        "I was wondering, can you tell me: name a river",
    ] {
        assert_eq!(left(text), "name a river", "{text}");
    }
}

#[test]
fn words_that_only_begin_like_a_greeting_stay() {
    for text in ["history of tea", "heyday of jazz", "hi-fi amplifiers", "thanksgiving dinner"] {
        let kept = left(text);
        assert!(text.ends_with(&kept) && kept.len() + 3 >= text.len(), "{text}: {kept}");
    }
    assert_eq!(left("list the breathing exercises that help"), "list the breathing exercises that");
    assert_eq!(left("who drew the cheers"), "who drew the");
}

#[test]
fn a_lone_courtesy_is_what_is_asked() {
    for text in ["hello", "thank you", "please help me", "hi there"] {
        assert_eq!(left(text), text);
    }
}

#[test]
fn no_more_than_a_few_are_taken() {
    let text = "hello ".repeat(100) + "name a river";
    assert!(left(&text).starts_with("hello"));
}
