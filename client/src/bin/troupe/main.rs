//! `troupe`: chat with the cluster, submit prompts, see how it is.
//!
//! Rules: answers go to standard output as they come, everything else to standard error; an error is
//! one line that begins with `troupe: `. Exit codes: 0 all is well, 1 a request failed, 2 the command
//! line or a file it names is wrong, 3 the cluster cannot be reached or refuses us, 130 interrupted.

mod chat;
mod cluster;
mod cost;
mod failure;
mod interrupts;
mod model;
mod node;
mod out;
mod route;
mod status;
mod submit;
mod talk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::out::Out;

#[derive(Debug, Parser)]
#[command(
    name = "troupe",
    version,
    about = "Talk to a Troupe cluster",
    after_help = "Exit codes: 0 success, 1 a request failed, 2 wrong usage, 3 no connection to the cluster, 130 interrupted."
)]
struct Arguments {
    #[command(flatten)]
    cluster: cluster::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Talk to a model, line by line, or ask one question.
    Chat(chat::Options),
    /// Send one prompt and print the answer.
    Submit(submit::Options),
    /// Show the nodes, their models and their load.
    Status(status::Options),
    /// Drain a node, or let it take work again.
    Node(node::Options),
    /// See which node has which model, load models and unload them.
    Model(model::Options),
    /// Say what a workload would cost; no cluster is asked.
    Cost(cost::Options),
    /// Set how much goes to larger models; needs no cluster.
    Route(route::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into()))
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(line) = failure.line() {
                eprintln!("troupe: {line}");
            }
            failure.code()
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    if let Command::Submit(options) = &arguments.command {
        options.check()?;
    }
    if let Command::Cost(options) = &arguments.command {
        return cost::run(options, &mut Out::new());
    }
    if let Command::Route(options) = &arguments.command {
        return route::run(options, &mut Out::new());
    }
    // Until here Ctrl-C ends the program by itself: there is nothing to cancel yet.
    let client = arguments.cluster.connect().await?;
    let interrupts = Interrupts::catch();
    let mut out = Out::new();
    let outcome = match &arguments.command {
        Command::Chat(options) => chat::run(&client, options, &interrupts, &mut out).await,
        Command::Submit(options) => submit::run(&client, options, &interrupts, &mut out).await,
        Command::Node(options) => tokio::select! {
            outcome = node::run(&client, options, &mut out) => outcome,
            () = interrupts.pressed() => Err(Failure::Interrupted),
        },
        Command::Model(options) => tokio::select! {
            outcome = model::run(&client, options, &mut out) => outcome,
            () = interrupts.pressed() => Err(Failure::Interrupted),
        },
        // It has ended above.
        Command::Route(_) => Ok(()),
        Command::Status(options) => tokio::select! {
            outcome = status::run(&client, options, &mut out) => outcome,
            () = interrupts.pressed() => Err(Failure::Interrupted),
        },
        Command::Cost(options) => cost::run(options, &mut out),
    };
    // So that the coordinator hears at once that we are gone, and with us our jobs.
    client.close().await;
    outcome
}
