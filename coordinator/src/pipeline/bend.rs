//! What overload does to a request before it is placed: rungs 1 to 3 of the ladder.
//!
//! Rules: a rung that the request forbids does not touch it. What was done is noted as `RUNG:EFFECT`, and
//! nothing is noted that changed nothing. A system turn and the last user turn are never dropped.

use protocol::config::Degrade;
use protocol::ids::TokenId;
use protocol::job::Class;
use protocol::request::{ChatMessage, Params};
use protocol::units::Tokens;
use text::{Text, TextError};

/// What may be done to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bend {
    level: u8,
    forbid: Vec<u8>,
    context: u64,
    max_tokens: u64,
}

impl Bend {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// At a rung, for a request of this class.
    pub fn new(level: u8, forbid: &[u8], class: Class, degrade: &Degrade) -> Self {
        let (context, max_tokens) = (degrade.context.of(class).into(), degrade.max_tokens.into());
        Self { level, forbid: forbid.to_vec(), context, max_tokens }
    }

    /// Whether a rung touches the request.
    pub fn reaches(&self, rung: u8) -> bool {
        self.level >= rung && !self.forbid.contains(&rung)
    }

    /// Rung 1: leaves extras out.
    pub(super) fn extras(&self, params: &mut Params, done: &mut Vec<String>) {
        if !self.reaches(1) {
            return;
        }
        if params.logprobs.take().is_some() {
            done.push("1:logprobs=none".to_owned());
        }
        if params.n.is_some_and(|n| n > 1) {
            params.n = Some(1);
            done.push(ONE_CHOICE.to_owned());
        }
    }

    /// Rung 2: as few of the oldest turns are dropped as it takes; the prompt.
    pub(super) fn shorten(
        &self,
        messages: &[ChatMessage],
        text: &Text,
        done: &mut Vec<String>,
    ) -> Result<Vec<TokenId>, TextError> {
        let whole = text.chat(messages)?;
        let fits = |prompt: &[TokenId]| prompt.len() as u64 <= self.context;
        if !self.reaches(2) || fits(&whole) {
            return Ok(whole);
        }
        let last = messages.iter().rposition(|message| message.role == "user").unwrap_or(messages.len());
        let old: Vec<usize> = (0..last).filter(|at| !is_system(messages, *at)).collect();
        // Fewer turns are a shorter prompt: the least that suffices is found by halving.
        let (mut low, mut high, mut best) = (1, old.len(), None);
        while low <= high {
            let middle = low.midpoint(high);
            let prompt = text.chat(&without(messages, old.get(..middle).unwrap_or_default()))?;
            let enough = fits(&prompt);
            if enough || middle == old.len() {
                best = Some((middle, prompt));
            }
            if enough {
                high = middle - 1;
            } else {
                low = middle + 1;
            }
        }
        Ok(match best {
            Some((dropped, prompt)) => {
                done.push(format!("2:dropped-turns={dropped}"));
                prompt
            }
            None => whole,
        })
    }

    /// Rung 2: the longest answer.
    pub(super) fn cap(&self, max_tokens: Tokens, done: &mut Vec<String>) -> Tokens {
        let cap = Tokens(self.max_tokens);
        if !self.reaches(2) || max_tokens <= cap {
            return max_tokens;
        }
        done.push(format!("2:max_tokens={}", cap.0));
        cap
    }
}

/// What is noted when one choice is made of several.
pub const ONE_CHOICE: &str = "1:n=1";

fn is_system(messages: &[ChatMessage], at: usize) -> bool {
    messages.get(at).is_some_and(|message| matches!(message.role.as_str(), "system" | "developer"))
}

fn without(messages: &[ChatMessage], dropped: &[usize]) -> Vec<ChatMessage> {
    let kept = messages.iter().enumerate().filter(|(at, _)| dropped.binary_search(at).is_err());
    kept.map(|(_, message)| message.clone()).collect()
}
