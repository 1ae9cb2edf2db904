//! One answer, watched token by token: what it says, and how long its silences are.

use std::time::Duration;

use client::{Answer, Ask, Client, FinishReason, JobStream, Params, Usage};
use tokio::time::Instant;

use crate::cluster::MODEL;

/// How an answer's tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choosing {
    /// Always the most probable.
    Greedy,
    /// By chance, from a seed, with penalties.
    Seeded,
}

/// An answer of so many tokens that nothing ends before.
pub fn ask(choosing: Choosing, tokens: u32) -> Ask {
    let common = Params { max_tokens: Some(tokens), ignore_eos: true, logprobs: Some(0), ..Params::default() };
    let params = match choosing {
        Choosing::Greedy => Params { temperature: Some(0.0), ..common },
        Choosing::Seeded => Params {
            temperature: Some(0.9),
            top_p: Some(0.95),
            frequency_penalty: Some(0.3),
            repetition_penalty: Some(1.05),
            seed: Some(7),
            ..common
        },
    };
    Ask::chat(MODEL).user("Tell me a story of a fox who learns to sail.").params(params)
}

/// What has come of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Its text.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub reason: Option<FinishReason>,
    /// What it used.
    pub usage: Usage,
}

/// An answer on its way.
#[derive(Debug)]
pub struct Story {
    stream: JobStream,
    /// The node that began it.
    pub node: String,
    told: Told,
    newest: Instant,
    /// The longest silence since [`Story::watch`] was called.
    pub silence: Duration,
}

impl Story {
    /// Asks, and waits until a node has taken it.
    ///
    /// # Errors
    /// It was refused, or broke off.
    pub async fn begin(client: &Client, ask: Ask) -> Result<Self, String> {
        // The answer cache must not tell it: this is about nodes.
        let mut request = ask.build();
        request.care.fresh = true;
        let mut stream = client.submit(request).await.map_err(|error| error.to_string())?;
        match stream.next().await {
            Some(Ok(Answer::Started(started))) => Ok(Self {
                stream,
                node: started.node,
                told: Told::default(),
                newest: Instant::now(),
                silence: Duration::ZERO,
            }),
            Some(Ok(other)) => Err(format!("it begins with {other:?}")),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it has no beginning".to_owned()),
        }
    }

    /// Reads until so many tokens are there. False if it ended before.
    ///
    /// # Errors
    /// It failed or broke off.
    pub async fn until(&mut self, tokens: usize) -> Result<bool, String> {
        while self.told.tokens.len() < tokens {
            if !self.read().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// From now on silences are measured.
    pub fn watch(&mut self) {
        self.newest = Instant::now();
        self.silence = Duration::ZERO;
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// It failed or broke off.
    pub async fn end(mut self) -> Result<(Told, Duration), String> {
        while self.read().await? {}
        if self.told.reason.is_none() {
            return Err(format!("it broke off after {} tokens", self.told.tokens.len()));
        }
        Ok((self.told, self.silence))
    }

    async fn read(&mut self) -> Result<bool, String> {
        match self.stream.next().await {
            Some(Ok(Answer::Delta(delta))) => {
                self.told.text.push_str(&delta.text);
                self.told.tokens.extend(delta.logprobs.iter().map(|token| token.token.0));
                let now = Instant::now();
                self.silence = self.silence.max(now - self.newest);
                self.newest = now;
                Ok(true)
            }
            Some(Ok(Answer::Finished { reason, .. })) => {
                self.told.reason = Some(reason);
                Ok(true)
            }
            Some(Ok(Answer::Done { usage })) => {
                self.told.usage = usage;
                Ok(true)
            }
            Some(Ok(other)) => Err(format!("{other:?} in the middle")),
            Some(Err(error)) => Err(error.to_string()),
            None => Ok(false),
        }
    }
}

/// The whole answer, undisturbed.
///
/// # Errors
/// It failed.
pub async fn undisturbed(client: &Client, ask: Ask) -> Result<Told, String> {
    Ok(Story::begin(client, ask).await?.end().await?.0)
}
