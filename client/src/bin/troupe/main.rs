//! `troupe`: chat with the cluster, submit prompts, see how it is, manage keys and money.
//!
//! Rules: answers go to standard output as they come, everything else to standard error; an error is
//! one line that begins with `troupe: `. Exit codes: 0 all is well, 1 a request failed, 2 the command
//! line or a file it names is wrong, 3 the cluster cannot be reached or refuses us, 130 interrupted.

mod budget;
mod chat;
mod clock;
mod cluster;
mod cost;
mod explain;
mod failure;
mod interrupts;
mod key;
mod model;
mod node;
mod out;
mod route;
mod scale;
mod status;
mod submit;
mod table;
mod talk;
mod usage;

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
    /// Make, list, change and revoke API keys.
    Key(key::Options),
    /// Set, list, raise and remove budgets.
    Budget(budget::Options),
    /// See what requests have used and what it cost.
    Usage(usage::Options),
    /// See why a request went where it went.
    Explain(explain::Options),
    /// See what a million tokens cost, by model.
    Prices(explain::Prices),
    /// See how many nodes a model needs.
    Scale(scale::Options),
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
        // They have ended above.
        Command::Cost(_) | Command::Route(_) => Ok(()),
        Command::Status(options) => tokio::select! {
            outcome = status::run(&client, options, &mut out) => outcome,
            () = interrupts.pressed() => Err(Failure::Interrupted),
        },
        managing => tokio::select! {
            outcome = manage(&client, managing, &mut out) => outcome,
            () = interrupts.pressed() => Err(Failure::Interrupted),
        },
    };
    // So that the coordinator hears at once that we are gone, and with us our jobs.
    client.close().await;
    outcome
}

async fn manage(client: &client::Client, command: &Command, out: &mut Out) -> Result<(), Failure> {
    match command {
        Command::Key(options) => key::run(client, options, out).await,
        Command::Budget(options) => budget::run(client, options, out).await,
        Command::Usage(options) => usage::run(client, options, out).await,
        Command::Explain(options) => explain::run(client, options, out).await,
        Command::Prices(options) => explain::prices(client, options, out).await,
        Command::Scale(options) => scale::run(client, options, out).await,
        // The others have a run of their own.
        Command::Chat(_)
        | Command::Submit(_)
        | Command::Status(_)
        | Command::Node(_)
        | Command::Model(_)
        | Command::Cost(_)
        | Command::Route(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn words_of_operators_are_understood() {
        for line in [
            "key create --name ann --model a --model b --tag x --budget 5.00/day --expires 30d --fallback big=a,b",
            "key list --json",
            "key show key-1",
            "key update key-1 --no-admin --clear expires --clear requests-per-minute --cache",
            "key revoke key-1",
            "budget set team 5/week --team red --zone Europe/Berlin --alert 80 --soft",
            "budget list",
            "budget increase team 2.50 --until 24h",
            "budget remove team",
            "usage --since 7d --key key-1",
            "usage --csv",
            "usage export --json --tag x",
            "explain chatcmpl-00000000000000000000000000000abc --json",
            "prices --json",
            "scale advise --ttft 500ms --p99 --model m",
            "scale advise --latency 10s --percentile 0.95 --json",
            "scale trace",
        ] {
            let words = std::iter::once("troupe").chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
        for (line, words) in [
            ("key create --class vip", "bulk, standard or interactive"),
            ("key create --budget 0", "refuses everything"),
            ("key create --budget 5/year", "hour, day, week, month or total"),
            ("key create --budget -5", "unexpected argument"),
            ("key create --fallback big", "MODEL=A,B"),
            ("key update key-1 --clear admin", "possible values"),
            ("budget set team", "required"),
            ("budget set team 5,00", "write it as"),
            ("budget increase team 1", "--until"),
            ("usage export", "required"),
            ("usage export --csv --json", "cannot be used with"),
            ("usage --csv --json", "cannot be used with"),
            ("explain abc", "32 hexadecimal digits"),
            ("scale advise", "required"),
        ] {
            let words_of_line = std::iter::once("troupe").chain(line.split(' '));
            let error = Arguments::try_parse_from(words_of_line).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
