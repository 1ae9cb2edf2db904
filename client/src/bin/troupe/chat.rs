//! `troupe chat`: a conversation by lines, or one question.

use std::io::{self, BufRead, IsTerminal};
use std::thread;

use client::{Ask, ChatMessage, Client};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::out::Out;
use crate::talk::{self, Ended, Sampling};

/// Talk to a model.
#[derive(Debug, clap::Args)]
#[command(after_help = "In a conversation: /reset forgets it, /quit or the end of the input ends it. \
    Ctrl-C cancels the running answer; between answers it quits.")]
pub(crate) struct Options {
    /// The model; the only one that is served, if left out.
    #[arg(long)]
    model: Option<String>,
    /// Ask this one question and end.
    #[arg(long, value_name = "TEXT")]
    ask: Option<String>,
    /// What the model should be told before the conversation.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    sampling: Sampling,
}

/// Runs it.
///
/// # Errors
/// The question failed, or the conversation cannot go on.
pub(crate) async fn run(
    client: &Client,
    options: &Options,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Result<(), Failure> {
    options.sampling.check()?;
    let model = talk::choose_model(client, options.model.as_ref()).await?;
    let mut conversation = Conversation::new(options.system.clone());
    let ask = |turns: Vec<ChatMessage>| Ask::chat(model.clone()).messages(turns).params(options.sampling.params());

    if let Some(question) = &options.ask {
        let mut answer = talk::submit(client, ask(conversation.with(question)), interrupts).await?;
        return match talk::print(&mut answer, &mut String::new(), interrupts, out).await? {
            Ended::Whole => Ok(()),
            Ended::Cancelled => Err(Failure::Interrupted),
        };
    }

    let asked_by_person = io::stdin().is_terminal() && out.is_terminal();
    if asked_by_person {
        eprintln!("{model} listens. /reset forgets the conversation, /quit ends it, Ctrl-C cancels an answer.");
    }
    let mut lines = read_lines();
    loop {
        if asked_by_person {
            out.write("> ")?;
        }
        let line = tokio::select! {
            line = lines.recv() => line,
            () = interrupts.pressed() => return Err(Failure::Interrupted),
        };
        let line = match line {
            None => return Ok(()),
            Some(line) => line.map_err(Failure::Input)?,
        };
        match line.trim() {
            "" => {}
            "/quit" | "/exit" => return Ok(()),
            "/reset" => conversation.reset(),
            command if command.starts_with('/') => {
                eprintln!("troupe: {command} is not known: /reset forgets the conversation, /quit ends it");
            }
            question => {
                let mut text = String::new();
                let outcome = async {
                    let mut answer = talk::submit(client, ask(conversation.with(question)), interrupts).await?;
                    talk::print(&mut answer, &mut text, interrupts, out).await
                };
                match outcome.await {
                    Ok(_) => conversation.keep(question, text),
                    // A person asks again, without what failed; a script must see that it failed.
                    Err(failure) if asked_by_person && failure.is_of_one_request() => {
                        eprintln!("troupe: {}", failure.line().unwrap_or_default());
                    }
                    Err(failure) => return Err(failure),
                }
            }
        }
    }
}

/// The turns so far.
#[derive(Debug)]
struct Conversation {
    system: Option<String>,
    turns: Vec<ChatMessage>,
}

impl Conversation {
    fn new(system: Option<String>) -> Self {
        Self { system, turns: Vec::new() }
    }

    fn reset(&mut self) {
        self.turns.clear();
    }

    /// The turns to send with a question.
    fn with(&self, question: &str) -> Vec<ChatMessage> {
        let system = self.system.iter().map(|text| ChatMessage::new("system", text));
        let question = ChatMessage::new("user", question);
        system.chain(self.turns.iter().cloned()).chain([question]).collect()
    }

    /// Keeps a question with what was seen of its answer; a question without any is forgotten, so
    /// that user and model keep taking turns.
    fn keep(&mut self, question: &str, answer: String) {
        if !answer.is_empty() {
            self.turns.push(ChatMessage::new("user", question));
            self.turns.push(ChatMessage::new("assistant", answer));
        }
    }
}

/// Lines of standard input. A thread of its own reads them: a read cannot be cancelled, and must not
/// keep the program from ending.
fn read_lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let broken = line.is_err();
            if sender.blocking_send(line).is_err() || broken {
                break;
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests;
