//! The serving node is lost in the middle of an answer, after each token in turn: the client must see the
//! same answer as if nothing had been, and no long silence.

use std::time::Duration;

use client::Client;
use nix::sys::signal::Signal;

use super::Figure;
use super::story::{Choosing, Story, Told, ask, undisturbed};
use crate::cluster::{Cluster, run};

/// How a node is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// SIGKILL: a power cut.
    Kill,
    /// SIGSTOP: it says nothing any more, and its connection lives.
    Stop,
    /// `troupe node drain`, at once.
    Drain,
}

impl Loss {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Drain => "drain",
        }
    }

    /// The longest silence that the client may see, beyond the prefill of what is computed again.
    pub fn bound(self) -> Duration {
        match self {
            Self::Kill => Duration::from_secs(2),
            Self::Stop => Duration::from_secs(4),
            Self::Drain => Duration::from_secs(1),
        }
    }
}

/// One loss after another, after each of these numbers of tokens, in answers of `tokens`.
///
/// # Errors
/// An answer failed, or is another one than the undisturbed.
pub async fn survive(
    cluster: &mut Cluster,
    loss: Loss,
    choosing: Choosing,
    after: impl IntoIterator<Item = usize>,
    tokens: u32,
) -> Result<Vec<Figure>, String> {
    let client = cluster.client().await;
    let wanted = undisturbed(&client, ask(choosing, tokens)).await?;
    let mut silences = Vec::new();
    for k in after {
        let (told, silence) = once(cluster, &client, loss, choosing, k, tokens)
            .await
            .map_err(|error| format!("{} after {k} tokens, {choosing:?}: {error}", loss.name()))?;
        if told.text != wanted.text || told.tokens != wanted.tokens || told.usage.completion != wanted.usage.completion
        {
            return Err(format!(
                "{} after {k} tokens, {choosing:?}: the answer differs\nundisturbed: {wanted:?}\nnow: {told:?}",
                loss.name()
            ));
        }
        silences.push(silence);
    }
    client.close().await;
    let name = |what: &str| format!("{}, {choosing:?}: {what}", loss.name());
    let longest = silences.iter().max().copied().unwrap_or_default();
    let mean = silences.iter().sum::<Duration>().as_secs_f64() / silences.len().max(1) as f64;
    Ok(vec![
        Figure::told(name("answers equal byte for byte"), silences.len() as f64, ""),
        Figure::told(name("mean silence"), mean, "s"),
        Figure::bound(name("longest silence"), longest.as_secs_f64(), "s", loss.bound().as_secs_f64()),
    ])
}

async fn once(
    cluster: &mut Cluster,
    client: &Client,
    loss: Loss,
    choosing: Choosing,
    k: usize,
    tokens: u32,
) -> Result<(Told, Duration), String> {
    let mut story = Story::begin(client, ask(choosing, tokens)).await?;
    if !story.until(k).await? {
        return Err("it ended too soon".to_owned());
    }
    let name = story.node.clone();
    let index = index(&name)?;
    story.watch();
    match loss {
        Loss::Kill => cluster.kill_node(index),
        Loss::Stop => cluster.signal_node(index, Signal::SIGSTOP),
        Loss::Drain => order(cluster, &["node", "drain", &name, "--limit", "0s"]).await?,
    }
    let end = story.end().await;
    match loss {
        Loss::Kill => cluster.restart_node(index),
        Loss::Stop => cluster.signal_node(index, Signal::SIGCONT),
        Loss::Drain => order(cluster, &["node", "resume", &name]).await?,
    }
    let all = cluster.nodes.len();
    cluster.ready(all).await;
    end
}

/// `node-1` is the first.
fn index(name: &str) -> Result<usize, String> {
    let number = name.strip_prefix("node-").and_then(|number| number.parse::<usize>().ok());
    number.and_then(|number| number.checked_sub(1)).ok_or_else(|| format!("no node of the test's is called {name}"))
}

async fn order(cluster: &Cluster, words: &[&str]) -> Result<(), String> {
    let output = run(cluster.troupe(words)).await;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("troupe {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr)))
}
