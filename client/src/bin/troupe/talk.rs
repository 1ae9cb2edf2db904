//! What `chat` and `submit` share: sampling options, the default model, printing one answer.

use std::collections::BTreeSet;

use client::{Answer, AnswerError, Ask, Client, ClusterStatus, ErrorKind, JobStream, Params, StatusError, Usage};
use protocol::money::Money;
use protocol::units::Nanos;

use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::out::Out;

/// How to answer.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Sampling {
    /// 0 for the most probable answer, higher for more varied ones.
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Keep the most probable tokens up to this sum.
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// The longest answer in tokens.
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// The same seed gives the same answer.
    #[arg(long)]
    seed: Option<u64>,
    /// A text that ends the answer; may be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
}

impl Sampling {
    pub(crate) fn params(&self) -> Params {
        Params {
            temperature: self.temperature,
            top_p: self.top_p,
            max_tokens: self.max_tokens,
            seed: self.seed,
            stop: self.stop.clone(),
            ..Params::default()
        }
    }

    /// Checks the ranges before anything is sent.
    ///
    /// # Errors
    /// All that is out of range, in one line.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let faults: Vec<String> = self.params().faults().iter().map(ToString::to_string).collect();
        if faults.is_empty() { Ok(()) } else { Err(Failure::Usage(faults.join("; "))) }
    }
}

/// The model to ask: the one that was named, or the only one there is.
///
/// # Errors
/// None was named, and there is none or a choice.
pub(crate) async fn choose_model(client: &Client, named: Option<&String>) -> Result<String, Failure> {
    match named {
        Some(model) => Ok(model.clone()),
        None => match client.status().await {
            Ok(status) => only_model(&status),
            // Not every key may see which models there are in this way.
            Err(StatusError::Refused(error)) if error.kind == ErrorKind::Forbidden => {
                Err(Failure::Model(format!("{error}; or name a model with --model")))
            }
            Err(error) => Err(error.into()),
        },
    }
}

fn only_model(status: &ClusterStatus) -> Result<String, Failure> {
    let served = status.nodes.iter().flat_map(|node| &node.models);
    let models: BTreeSet<&str> = served.map(|model| model.model.as_str()).collect();
    let mut names = models.iter();
    match (names.next(), names.next()) {
        (Some(only), None) => Ok((*only).to_owned()),
        (None, _) => Err(Failure::Model(
            "no node serves a model yet: start one with troupe-node, and see `troupe status`".to_owned(),
        )),
        _ => {
            let all: Vec<&str> = models.into_iter().collect();
            Err(Failure::Model(format!("several models are served, choose one with --model: {}", all.join(", "))))
        }
    }
}

/// How printing an answer ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is whole.
    Whole,
    /// Ctrl-C came; the job is cancelled.
    Cancelled,
}

/// Submits, unless Ctrl-C comes before.
///
/// # Errors
/// It was not submitted.
pub(crate) async fn submit(client: &Client, ask: Ask, interrupts: &Interrupts) -> Result<JobStream, Failure> {
    tokio::select! {
        stream = client.submit(ask) => Ok(stream?),
        () = interrupts.pressed() => Err(Failure::Interrupted),
    }
}

/// Prints the text of an answer as it comes and appends it to `text`. Ctrl-C cancels it.
///
/// # Errors
/// The answer broke off, or nobody reads.
pub(crate) async fn print(
    answer: &mut JobStream,
    text: &mut String,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Result<Ended, Failure> {
    let mut bill = None;
    let ended = loop {
        let piece = tokio::select! {
            piece = answer.next() => piece,
            () = interrupts.pressed() => {
                answer.cancel();
                break Ended::Cancelled;
            }
        };
        match piece.transpose() {
            Ok(Some(Answer::Delta(delta))) => {
                out.write(&delta.text)?;
                text.push_str(&delta.text);
            }
            Ok(Some(Answer::Done { usage })) => bill = cost_line(&usage),
            Ok(Some(_)) => {}
            Ok(None) => break Ended::Whole,
            Err(error) => {
                end_line(text, out)?;
                return Err(AnswerError::into(error));
            }
        }
    };
    end_line(text, out)?;
    if let Some(line) = bill {
        eprintln!("{line}");
    }
    Ok(ended)
}

/// What it used and cost, if it cost anything.
fn cost_line(usage: &Usage) -> Option<String> {
    let Usage { prompt, cached, completion, cost } = usage;
    let line = || format!("[{} for {prompt}, of which {} cached, and {} back]", Money(*cost), cached.0, completion.0);
    (*cost != Nanos::ZERO).then(line)
}

/// What follows begins on a line of its own.
fn end_line(text: &str, out: &mut Out) -> Result<(), Failure> {
    if text.is_empty() || text.ends_with('\n') { Ok(()) } else { out.write("\n") }
}

#[cfg(test)]
mod tests;
