//! The same prompt as another would type it: slips of the finger, other case, a greeting, no template.

use rand_chacha::ChaCha8Rng;

use crate::data::below;

/// One to three edits of a character: left out, put in, another one, two swapped.
pub(crate) fn typos(text: &str, edits: usize, random: &mut ChaCha8Rng) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..edits {
        let at = below(random, letters.len());
        let letter = char::from(b'a' + below(random, 26) as u8);
        match below(random, 4) {
            0 if letters.len() > 1 => {
                letters.remove(at);
            }
            1 => letters.insert(at, letter),
            2 if at + 1 < letters.len() => letters.swap(at, at + 1),
            _ => {
                if let Some(old) = letters.get_mut(at) {
                    *old = letter;
                }
            }
        }
    }
    letters.into_iter().collect()
}

/// Each word with a capital.
pub(crate) fn title(text: &str) -> String {
    let mut first = true;
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if first {
            out.extend(letter.to_uppercase());
        } else {
            out.extend(letter.to_lowercase());
        }
        first = !letter.is_alphanumeric() && letter != '\'';
    }
    out
}

/// What some put in front. The last ones are unknown to the scorer's list of courtesies, on purpose.
pub(crate) const GREETINGS: [&str; 10] = [
    "Hi there! ",
    "Please help me: ",
    "Hello, ",
    "Good morning! ",
    "Hey, quick question: ",
    "Could you please help me with this? ",
    "Thanks in advance. ",
    "Bonjour! ",
    "Yo, my dude, ",
    "Hope your week is going great! ",
];

/// Ends and beginnings that a benchmark puts around its questions and people do not.
const SUFFIXES: [&str; 2] = ["\nAfter careful thought", "\nPlease reason step by step"];
const PREFIXES: [&str; 6] = [
    "Write a python function to ",
    "Write a function to ",
    "Write a function that ",
    "Write python function to ",
    "Which of the following ",
    "Which of these ",
];

/// Without the templates of benchmarks, and without the signs at the end that tell them apart: a question mark, a
/// blank to fill.
pub(crate) fn stripped(text: &str) -> String {
    let mut rest = text;
    for suffix in SUFFIXES {
        rest = rest.find(suffix).and_then(|at| rest.get(..at)).unwrap_or(rest);
    }
    for prefix in PREFIXES {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let rest = rest.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '?' | '.' | '_' | ':')).trim_start();
    if rest.is_empty() { text.to_owned() } else { rest.to_owned() }
}

#[cfg(test)]
mod tests;
