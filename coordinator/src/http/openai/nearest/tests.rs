use super::{distance, nearest};

#[test]
fn distance_counts_edits() {
    assert_eq!(distance("kitten", "sitting"), 3);
    assert_eq!(distance("", "abc"), 3);
    assert_eq!(distance("abc", ""), 3);
    assert_eq!(distance("seed", "seed"), 0);
}

#[test]
fn typing_errors_find_their_name_and_strangers_do_not() {
    let known = ["temperature", "top_p", "top_k", "max_tokens", "n"];
    let find = |name| nearest(name, known.into_iter());
    assert_eq!(find("temprature"), Some("temperature"));
    assert_eq!(find("maxTokens"), Some("max_tokens"));
    assert_eq!(find("topp"), Some("top_p"));
    assert_eq!(find("guided_json"), None);
    assert_eq!(find(&"x".repeat(100_000)), None);
}
