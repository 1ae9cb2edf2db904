//! What of a conversation is looked at.
//!
//! Rules: the newest turn of the user and up to three before it; of the newest the first 2 KiB and the last 1 KiB,
//! of the others 512 bytes and 256. System prompts are left out: an application sends the same one with every
//! request, so it says nothing about this one. Answers and results of tools count as length, not as words.

use protocol::request::{Input, Tools};

/// Turns of the user that are looked at.
const TURNS: usize = 4;
/// Messages that are searched for them.
const SEARCHED: usize = 64;

/// A request as a scorer sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt<'a> {
    turns: [Option<&'a str>; TURNS],
    messages: usize,
    bytes: usize,
    tools: usize,
}

impl<'a> Prompt<'a> {
    /// Of a request. Token ids cannot be read here: such a prompt has no turn, and scores as an average one of
    /// its length.
    pub fn of(input: &'a Input, tools: &Tools) -> Self {
        let tools = tools.list.len();
        match input {
            Input::Text(text) => Self { tools, ..Self::text(text) },
            // Four bytes to a token, as in English.
            Input::Tokens(ids) => Self { tools, messages: 1, bytes: ids.len().saturating_mul(4), ..Self::default() },
            Input::Chat(messages) => {
                let mut turns = [None; TURNS];
                let newest = messages.iter().rev().take(SEARCHED);
                let asked = newest.filter(|message| message.role == "user" && !message.content.trim().is_empty());
                for (turn, message) in turns.iter_mut().zip(asked) {
                    *turn = Some(message.content.as_str());
                }
                // A template of its own may call the user by another name.
                if turns[0].is_none() {
                    let last = messages.iter().rev().take(SEARCHED).find(|message| message.role != "system");
                    turns[0] = last.map(|message| message.content.as_str());
                }
                let spoken = messages.iter().filter(|message| message.role != "system");
                let bytes = spoken.clone().map(|message| message.content.len()).fold(0, usize::saturating_add);
                Self { turns, messages: spoken.count(), bytes, tools }
            }
        }
    }

    /// Of one text.
    pub fn text(text: &'a str) -> Self {
        Self { turns: [Some(text), None, None, None], messages: 1, bytes: text.len(), tools: 0 }
    }

    /// What the user said, newest first.
    pub fn turns(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.turns.iter().flatten().copied()
    }

    /// Messages of the conversation, without system prompts.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Functions that may be called.
    pub fn tools(&self) -> usize {
        self.tools
    }
}
