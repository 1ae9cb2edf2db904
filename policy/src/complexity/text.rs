//! Text as the features see it: bounded, lower case, one space where there were several, courtesies gone.

use super::courtesy;

/// A word, a number or a sign, with its place in the folded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: Kind,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters.
    Word,
    /// Digits; folded to one `0`, as another number makes no question harder.
    Number,
    /// Anything else.
    Sign,
}

/// Text that is ready to be counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Folded {
    text: String,
    tokens: Vec<Token>,
}

impl Folded {
    /// Of the first `head` bytes and the last `tail`.
    pub(super) fn of(text: &str, head: usize, tail: usize) -> Self {
        let (first, last) = window(text, head, tail);
        let mut folded = String::with_capacity(first.len() + last.len() + 1);
        fold(first, &mut folded);
        if !last.is_empty() {
            folded.push('\n');
            fold(last, &mut folded);
        }
        let mut tokens = tokens(&folded);
        let (front, back) = courtesy::around(&folded, &tokens);
        tokens.truncate(tokens.len() - back.min(tokens.len()));
        // What ends a sentence is left out by many who type in haste, and a comma stands before thanks.
        while tokens.last().is_some_and(|token| ends(token.of(&folded))) {
            tokens.pop();
        }
        tokens.drain(..front.min(tokens.len()));
        Self { text: folded, tokens }
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The text of a token.
    pub(super) fn word(&self, token: &Token) -> &str {
        token.of(&self.text)
    }

    /// From the first token to the last.
    pub(super) fn span(&self) -> &str {
        match (self.tokens.first(), self.tokens.last()) {
            (Some(first), Some(last)) => self.text.get(first.start..last.end).unwrap_or_default(),
            _ => "",
        }
    }
}

impl Token {
    pub(super) fn of<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

fn ends(sign: &str) -> bool {
    matches!(sign, "." | "," | ";" | "-" | "(" | "?" | "!" | ":" | "_" | "…" | "。" | "？" | "！")
}

/// The first `head` bytes and the last `tail`, at the bounds of characters; the second is empty if they meet.
fn window(text: &str, head: usize, tail: usize) -> (&str, &str) {
    if text.len() <= head.saturating_add(tail) {
        return (text, "");
    }
    let (mut end, mut start) = (head, text.len() - tail);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    while !text.is_char_boundary(start) {
        start += 1;
    }
    (text.get(..end).unwrap_or_default(), text.get(start..).unwrap_or_default())
}

fn fold(text: &str, out: &mut String) {
    let mut space = None;
    let mut number = false;
    for character in text.chars() {
        if character.is_whitespace() {
            space = if character == '\n' || space == Some('\n') { Some('\n') } else { Some(' ') };
            number = false;
            continue;
        }
        if character.is_control() {
            continue;
        }
        if let Some(space) = space.take()
            && !out.is_empty()
        {
            out.push(space);
        }
        if character.is_numeric() {
            if !number {
                out.push('0');
            }
            number = true;
            continue;
        }
        number = false;
        match character {
            'a'..='z' => out.push(character),
            'A'..='Z' => out.push(character.to_ascii_lowercase()),
            '\u{2018}' | '\u{2019}' | '`' => out.push('\''),
            '\u{201c}' | '\u{201d}' => out.push('"'),
            '\u{2013}' | '\u{2014}' | '\u{2212}' => out.push('-'),
            ascii if ascii.is_ascii() => out.push(ascii),
            other => out.extend(other.to_lowercase()),
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::with_capacity(text.len() / 4);
    for (start, character) in text.char_indices() {
        if character == ' ' || character == '\n' {
            continue;
        }
        let end = start + character.len_utf8();
        let kind = if character == '0' {
            Kind::Number
        } else if character.is_alphabetic() {
            Kind::Word
        } else {
            Kind::Sign
        };
        match found.last_mut() {
            // Scripts without spaces: each character is a word.
            Some(last) if kind == Kind::Word && last.kind == kind && last.end == start && character < '\u{2e80}' => {
                last.end = end;
            }
            _ => found.push(Token { start, end, kind }),
        }
    }
    found
}

#[cfg(test)]
mod tests;
