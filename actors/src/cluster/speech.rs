//! From tokens to what a client reads: text in whole characters, cut before any stop text, with the
//! log-probabilities of the tokens that became it.
//!
//! Rules: a token that ends the answer is counted and not shown. Stop texts count only for tokens after
//! `min_tokens`. Log-probabilities are held back together with their text.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::answer::TokenText;
use protocol::ids::TokenId;
use protocol::job::{Limits, Logprobs, Sampled};
use text::Text;
use text::detok::Detokenizer;
use text::stop::StopMatcher;

/// The state of one answer's text.
#[derive(Debug)]
pub struct Speech {
    text: Arc<Text>,
    limits: Limits,
    detokenizer: Detokenizer,
    stops: StopMatcher,
    /// Tokens so far.
    tokens: u64,
    /// Bytes of text that tokens have made, and that were passed on.
    made: usize,
    passed: usize,
    /// Tokens whose text was not passed on yet, with the bytes made up to their end.
    held: VecDeque<(TokenText, usize)>,
}

/// What came of some tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spoken {
    /// Text to pass on.
    pub text: String,
    /// Of the tokens that it is made of.
    pub logprobs: Vec<TokenText>,
    /// A stop text was found: nothing follows.
    pub stopped: bool,
}

impl Speech {
    /// Of an answer with these stop texts.
    pub fn new(text: Arc<Text>, limits: Limits, stops: &[String]) -> Self {
        Self {
            text,
            limits,
            detokenizer: Detokenizer::new(),
            stops: StopMatcher::new(stops),
            tokens: 0,
            made: 0,
            passed: 0,
            held: VecDeque::new(),
        }
    }

    /// Tokens that were taken in, up to the stop.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Takes tokens in.
    pub fn push(&mut self, tokens: &[Sampled]) -> Spoken {
        let mut spoken = Spoken::default();
        for sampled in tokens {
            self.push_one(sampled, &mut spoken);
            if spoken.stopped {
                break;
            }
        }
        self.release(&mut spoken);
        spoken
    }

    fn push_one(&mut self, sampled: &Sampled, spoken: &mut Spoken) {
        self.tokens += 1;
        let ends = self.limits.stop_ids.contains(&sampled.token) && self.tokens > self.limits.min_tokens.0;
        if ends {
            return;
        }
        let made = self.detokenizer.push(&self.text, sampled.token);
        self.made += made.len();
        if let Some(logprobs) = &sampled.logprobs {
            self.held.push_back((self.named(sampled.token, logprobs), self.made));
        }
        if self.tokens <= self.limits.min_tokens.0 {
            spoken.text.push_str(&self.stops.pass(&made));
            return;
        }
        let outcome = self.stops.push(&made);
        spoken.text.push_str(&outcome.emit);
        spoken.stopped = outcome.stopped.is_some();
    }

    /// The rest of the text at the end of the answer.
    pub fn flush(&mut self) -> Spoken {
        let last = self.detokenizer.flush();
        self.made += last.len();
        let outcome = self.stops.push(&last);
        let mut spoken = Spoken { text: outcome.emit, stopped: outcome.stopped.is_some(), ..Spoken::default() };
        if !spoken.stopped {
            spoken.text.push_str(&self.stops.flush());
        }
        self.release(&mut spoken);
        spoken
    }

    /// Lets go of the log-probabilities of text that is passed on.
    fn release(&mut self, spoken: &mut Spoken) {
        self.passed += spoken.text.len();
        while self.held.front().is_some_and(|(_, end)| *end <= self.passed) {
            spoken.logprobs.extend(self.held.pop_front().map(|(token, _)| token));
        }
    }

    fn named(&self, token: TokenId, logprobs: &Logprobs) -> TokenText {
        let bytes = |token: TokenId| self.text.piece(token).unwrap_or_default().to_vec();
        TokenText {
            token,
            bytes: bytes(token),
            logprob: logprobs.chosen,
            top: logprobs.top.iter().map(|(token, logprob)| (*token, bytes(*token), *logprob)).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
