//! Greetings before a request and thanks after it, which make it no harder.

use super::text::{Kind, Token};

/// The most tokens that are taken for courtesy on each side.
const MOST: usize = 24;

/// What may stand before a request, the longer before the shorter that it begins with.
const BEFORE: &[&str] = &[
    "good morning",
    "good afternoon",
    "good evening",
    "good day",
    "hi",
    "hello",
    "hey",
    "hiya",
    "greetings",
    "howdy",
    "dear",
    "sir or madam",
    "sir",
    "madam",
    "there",
    "hi all",
    "hello all",
    "everyone",
    "everybody",
    "folks",
    "hi team",
    "assistant",
    "friend",
    "my friend",
    "buddy",
    "mate",
    "i hope you are well",
    "i hope you are doing well",
    "hope you are well",
    "hope you're well",
    "how are you doing today",
    "how are you today",
    "how are you doing",
    "how are you",
    "sorry to bother you",
    "excuse me",
    "thank you in advance",
    "thanks in advance",
    "thank you very much",
    "thank you so much",
    "thank you",
    "many thanks",
    "thanks a lot",
    "thanks",
    "please can you",
    "please could you",
    "please help me out with this",
    "please help me with this",
    "please help me with",
    "please help me to",
    "please help me",
    "please help",
    "please answer",
    "please tell me",
    "please",
    "pls",
    "plz",
    "kindly",
    "can you please help me with this",
    "can you please help me with",
    "can you please help me",
    "can you help me with this",
    "can you help me with",
    "can you help me out",
    "can you help me",
    "can you please",
    "could you please help me with this",
    "could you please help me with",
    "could you please help me",
    "could you help me with this",
    "could you help me with",
    "could you help me",
    "could you please tell me",
    "could you tell me",
    "could you please",
    "would you please tell me",
    "would you please",
    "would you kindly",
    "would you mind telling me",
    "can you tell me",
    "i would like to know",
    "i'd like to know",
    "i want to know",
    "i have a question for you",
    "i have a question",
    "quick question",
    "here is my question",
    "here's my question",
    "i was wondering if you could help me with",
    "i was wondering",
    "i need your help with this",
    "i need your help with",
    "i need your help",
    "i need some help with this",
    "i need some help with",
    "i need some help",
    "i need help with this",
    "i need help with",
    "i need help",
    "help me with this",
    "help me with",
    "help me out",
    "help me",
    "tell me",
    "answer this question",
    "answer this",
    "answer the following question",
    "answer the following",
    "let me know",
    "just wondering",
    "um",
    "ok",
    "okay",
];

/// What may stand after it.
const AFTER: &[&str] = &[
    "thank you very much in advance",
    "thank you very much",
    "thank you so much",
    "thank you in advance",
    "thank you",
    "thanks in advance",
    "thanks so much",
    "thanks a lot",
    "many thanks",
    "thanks",
    "thx",
    "cheers",
    "please help me",
    "please help",
    "please and thank you",
    "please",
    "pls",
    "plz",
    "kind regards",
    "best regards",
    "regards",
    "best wishes",
    "help",
    "any help is appreciated",
    "i appreciate it",
    "much appreciated",
    "appreciate it",
];

/// How many tokens before and after are courtesies. Never all of them: a lone `hello` is what is asked.
pub(super) fn around(text: &str, tokens: &[Token]) -> (usize, usize) {
    let front = leading(text, tokens);
    let rest = tokens.get(front..).unwrap_or_default();
    let back = trailing(text, rest);
    if rest.get(..rest.len() - back).unwrap_or_default().iter().any(|token| token.kind != Kind::Sign) {
        (front, back)
    } else {
        (0, 0)
    }
}

fn leading(text: &str, tokens: &[Token]) -> usize {
    let mut taken = 0;
    while taken < MOST {
        let rest = tokens.get(taken..).unwrap_or_default();
        let phrase = BEFORE.iter().filter_map(|phrase| begins(text, rest, phrase)).max();
        let Some(length) = phrase else { break };
        taken += length;
        while tokens.get(taken).is_some_and(|token| pause(token.of(text))) {
            taken += 1;
        }
    }
    taken
}

fn trailing(text: &str, tokens: &[Token]) -> usize {
    let mut taken = 0;
    while taken < MOST {
        let mut end = tokens.len() - taken;
        while end > 0 && tokens.get(end - 1).is_some_and(|token| pause(token.of(text))) {
            end -= 1;
        }
        let rest = tokens.get(..end).unwrap_or_default();
        let length = AFTER.iter().filter_map(|phrase| finishes(text, rest, phrase)).max();
        let Some(length) = length else { break };
        taken = tokens.len() - end + length;
    }
    taken
}

fn pause(sign: &str) -> bool {
    matches!(sign, "," | "." | "!" | ":" | ";" | "-" | "?" | ")" | "(" | "…")
}

/// How many tokens a phrase takes at the front.
fn begins(text: &str, tokens: &[Token], phrase: &str) -> Option<usize> {
    let start = tokens.first()?.start;
    let after = text.get(start..)?.strip_prefix(phrase)?;
    let end = start + phrase.len();
    // Not in the middle of a word.
    let whole = after.chars().next().is_none_or(|next| !next.is_alphanumeric() && next != '\'');
    whole.then(|| tokens.iter().take_while(|token| token.end <= end).count())
}

/// How many tokens a phrase takes at the back.
fn finishes(text: &str, tokens: &[Token], phrase: &str) -> Option<usize> {
    let end = tokens.last()?.end;
    let before = text.get(..end)?.strip_suffix(phrase)?;
    let start = before.len();
    let whole = before.chars().next_back().is_none_or(|last| !last.is_alphanumeric());
    whole.then(|| tokens.iter().rev().take_while(|token| token.start >= start).count())
}

#[cfg(test)]
mod tests;
