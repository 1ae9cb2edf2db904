//! What the server is told to answer.

use std::time::Duration;

use protocol::answer::FinishReason;

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Before anything is sent.
    pub delay: Duration,
    /// The status.
    pub status: u16,
    /// Beside those that it needs.
    pub headers: Vec<(String, String)>,
    /// The whole body, instead of a stream.
    pub body: Option<String>,
    /// What is streamed.
    pub beats: Vec<Beat>,
    /// Between tokens.
    pub pace: Duration,
    /// What it says it used.
    pub say: Say,
    /// Whether it goes on beyond the tokens that were allowed.
    pub boundless: bool,
}

/// A step of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// A token of text, of each choice.
    Text(String),
    /// A token of hidden reasoning.
    Think(String),
    /// A call of a function; each piece of its arguments is a token.
    Call {
        /// The function.
        name: String,
        /// Pieces of JSON.
        arguments: Vec<String>,
    },
    /// Something that is no part of the answer: a comment or a ping.
    Ping,
    /// An event that is no JSON.
    Malformed,
    /// These bytes as they are.
    Raw(String),
    /// An error inside the stream, of a type that the API has.
    Error {
        /// As `overloaded_error`.
        kind: String,
        /// For a person.
        message: String,
    },
    /// The end of the answer, of each choice.
    Finish(FinishReason),
    /// A while without anything.
    Wait(Duration),
    /// Nothing more, and no end.
    Silence,
    /// The connection breaks.
    Cut,
}

/// What it says it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Say {
    /// The truth.
    #[default]
    True,
    /// Nothing.
    Nothing,
    /// These: prompt (cached ones among them), cached, completion (reasoning among them), reasoning.
    These(u64, u64, u64, u64),
}

impl Default for Reply {
    /// Two words.
    fn default() -> Self {
        Self::text(&["Hello", " there"])
    }
}

impl Reply {
    fn of(beats: Vec<Beat>) -> Self {
        Self {
            delay: Duration::ZERO,
            status: 200,
            headers: Vec::new(),
            body: None,
            beats,
            pace: Duration::ZERO,
            say: Say::True,
            boundless: false,
        }
    }

    /// An answer of these tokens.
    pub fn text(tokens: &[&str]) -> Self {
        let texts = tokens.iter().map(|token| Beat::Text((*token).to_owned()));
        Self::of(texts.chain([Beat::Finish(FinishReason::Stop)]).collect())
    }

    /// An answer of so many tokens.
    pub fn words(count: usize) -> Self {
        let words: Vec<String> = (0..count).map(|i| format!("word{i} ")).collect();
        Self::text(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A call of a function.
    pub fn call(name: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|piece| (*piece).to_owned()).collect();
        Self::of(vec![Beat::Call { name: name.to_owned(), arguments }, Beat::Finish(FinishReason::ToolCalls)])
    }

    /// These steps.
    pub fn beats(beats: Vec<Beat>) -> Self {
        Self::of(beats)
    }

    /// A refusal.
    pub fn status(status: u16, body: &str) -> Self {
        Self { status, body: Some(body.to_owned()), ..Self::of(vec![]) }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// After a while.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// So long between tokens.
    #[must_use]
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// And says that it used this.
    #[must_use]
    pub fn say(mut self, say: Say) -> Self {
        self.say = say;
        self
    }

    /// Whatever was allowed.
    #[must_use]
    pub fn boundless(mut self) -> Self {
        self.boundless = true;
        self
    }

    /// After so many steps, this instead of the rest.
    #[must_use]
    pub fn then(mut self, after: usize, beat: Beat) -> Self {
        self.beats.truncate(after);
        self.beats.push(beat);
        self
    }
}
