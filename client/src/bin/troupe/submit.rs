//! `troupe submit`: one prompt, one answer, for scripts.

use std::io::{self, Read};

use client::{Answer, Ask, Client};
use protocol::money::Money;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::out::Out;
use crate::talk::{self, Ended, Sampling};

/// The longest prompt that is read from standard input: what fits a request.
const MAX_PROMPT: u64 = 8 << 20;

/// Send one prompt.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The model.
    #[arg(long)]
    model: String,
    /// The prompt; `-` reads it from standard input.
    #[arg(long, value_name = "TEXT|-")]
    prompt: String,
    /// Take the prompt as a user's turn of a conversation, not as text to go on with.
    #[arg(long)]
    chat: bool,
    /// What the model should be told before.
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
    /// Print one JSON object per piece of the answer, as they come.
    #[arg(long)]
    jsonl: bool,
    #[command(flatten)]
    sampling: Sampling,
}

impl Options {
    /// What can be seen before there is a connection.
    ///
    /// # Errors
    /// A value out of range.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.sampling.check()
    }

    fn prompt(&self) -> Result<String, Failure> {
        if self.prompt != "-" {
            return Ok(self.prompt.clone());
        }
        let mut prompt = String::new();
        let read = io::stdin().lock().take(MAX_PROMPT + 1).read_to_string(&mut prompt).map_err(Failure::Input)?;
        if u64::try_from(read).unwrap_or(u64::MAX) > MAX_PROMPT {
            return Err(Failure::Usage(format!("the prompt has more than {MAX_PROMPT} bytes: shorten it")));
        }
        Ok(prompt)
    }
}

/// Runs it.
///
/// # Errors
/// The request failed.
pub(crate) async fn run(
    client: &Client,
    options: &Options,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Result<(), Failure> {
    let prompt = options.prompt()?;
    let mut ask = if options.chat {
        let chat = Ask::chat(&options.model);
        let chat = options.system.iter().fold(chat, |chat, system| chat.system(system));
        chat.user(prompt)
    } else {
        Ask::text(&options.model, prompt)
    };
    ask = ask.params(options.sampling.params());
    let mut answer = talk::submit(client, ask, interrupts).await?;
    if !options.jsonl {
        return match talk::print(&mut answer, &mut String::new(), interrupts, out).await? {
            Ended::Whole => Ok(()),
            Ended::Cancelled => Err(Failure::Interrupted),
        };
    }
    loop {
        let piece = tokio::select! {
            piece = answer.next() => piece,
            () = interrupts.pressed() => {
                answer.cancel();
                return Err(Failure::Interrupted);
            }
        };
        match piece {
            None => return Ok(()),
            Some(piece) => out.write(&format!("{}\n", line(&piece?)))?,
        }
    }
}

/// One piece as one JSON object.
fn line(piece: &Answer) -> Value {
    match piece {
        Answer::Started(started) => json!({
            "type": "started",
            "request": started.request.to_string(),
            "model": started.model,
            "node": started.node,
            "prompt_tokens": started.prompt,
            "cached_tokens": started.cached,
        }),
        Answer::Delta(delta) => json!({ "type": "delta", "choice": delta.choice, "text": delta.text }),
        Answer::Finished { choice, reason } => {
            json!({ "type": "finished", "choice": choice, "reason": reason.as_str() })
        }
        Answer::Done { usage } => json!({
            "type": "done",
            "prompt_tokens": usage.prompt,
            "cached_tokens": usage.cached,
            "completion_tokens": usage.completion,
            "cost": Money(usage.cost),
        }),
        // The library gives failures as errors.
        Answer::Failed(error) => json!({ "type": "failed", "message": error.message }),
    }
}

#[cfg(test)]
mod tests;
