//! Clients ask without a pause while nodes are killed and come back, one after another: no request may
//! fail, each has one answer, nobody else is suspected, and nothing is held at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::Ask;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Figure;
use super::story::{Story, Told};
use crate::cluster::{Cluster, MODEL};

/// How long, how many, how often.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// Clients at once.
    pub clients: usize,
    /// In all.
    pub time: Duration,
    /// A node is killed so often, and comes back at once.
    pub every: Duration,
    /// Tokens of an answer.
    pub tokens: u32,
}

impl Soak {
    /// Twenty clients for two minutes, a kill each five seconds.
    pub fn long() -> Self {
        Self { clients: 20, time: Duration::from_secs(120), every: Duration::from_secs(5), tokens: 24 }
    }
}

/// Questions that are asked again and again: an answer must be the same each time.
const QUESTIONS: [&str; 6] = [
    "Name three colours.",
    "What is a lighthouse for?",
    "Write a line about rain.",
    "Who sails a ship?",
    "Count from one to ten.",
    "What do bees make?",
];

fn ask(question: usize, tokens: u32) -> Ask {
    let request = Ask::chat(MODEL).user(QUESTIONS[question % QUESTIONS.len()]).max_tokens(tokens).build();
    let mut params = request.params;
    (params.temperature, params.seed, params.logprobs) = (Some(0.8), Some(question as u64), Some(0));
    Ask::chat(MODEL).user(QUESTIONS[question % QUESTIONS.len()]).params(params)
}

/// Suspicions of nodes that were not among the last two to be killed.
fn suspected_falsely(log: &str, killed: &[(usize, usize)]) -> usize {
    let suspects = log.lines().enumerate().filter_map(|(line, text)| {
        let (before, _) = text.split_once(" is suspect:")?;
        Some((line, before.rsplit(' ').next()?.to_owned()))
    });
    let rightly = |line: usize, name: &str| {
        let before = killed.iter().rev().filter(|(at, _)| *at <= line).take(2);
        before.into_iter().any(|(_, index)| name == format!("node-{}", index + 1))
    };
    suspects.filter(|(line, name)| !rightly(*line, name)).count()
}

/// Runs it.
///
/// # Errors
/// A request failed, was answered otherwise than before, or something was left at the end.
pub async fn soak(cluster: &mut Cluster, soak: Soak) -> Result<Vec<Figure>, String> {
    let client = cluster.client().await;
    let mut answers: Vec<Told> = Vec::new();
    for question in 0..QUESTIONS.len() {
        answers.push(Story::begin(&client, ask(question, soak.tokens)).await?.end().await?.0);
    }
    let answers: Arc<[Told]> = answers.into();
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for number in 0..soak.clients {
        let (client, answers, over) = (cluster.client().await, Arc::clone(&answers), Arc::clone(&over));
        clients.spawn(async move {
            let (mut count, mut longest) = (0_u32, Duration::ZERO);
            while !over.load(Ordering::Relaxed) {
                let question = (number + count as usize) % QUESTIONS.len();
                let mut story = Story::begin(&client, ask(question, soak.tokens)).await?;
                story.watch();
                let (told, silence) = story.end().await?;
                let wanted = answers.get(question).ok_or("no such question")?;
                if (&told.text, &told.tokens) != (&wanted.text, &wanted.tokens) {
                    return Err(format!("client {number}, answer {count}: {told:?} instead of {wanted:?}"));
                }
                count += 1;
                longest = longest.max(silence);
            }
            client.close().await;
            Ok::<_, String>((count, longest))
        });
    }
    let begun = Instant::now();
    let (mut kills, nodes) = (0, cluster.nodes.len());
    // Who was killed when, as lines of the coordinator's log.
    let mut killed: Vec<(usize, usize)> = Vec::new();
    while begun.elapsed() + soak.every < soak.time && clients.len() == soak.clients {
        sleep_until(begun + soak.every * (kills + 1)).await;
        let index = kills as usize % nodes;
        killed.push((cluster.coordinator.log().lines().count(), index));
        cluster.kill_node(index);
        cluster.restart_node(index);
        kills += 1;
        if let Some(Ok(Err(error))) = clients.try_join_next() {
            return Err(error);
        }
    }
    over.store(true, Ordering::Relaxed);
    let (mut served, mut longest) = (0_u32, Duration::ZERO);
    while let Some(done) = clients.join_next().await {
        let (count, silence) = done.map_err(|error| error.to_string())??;
        served += count;
        longest = longest.max(silence);
    }
    let time = begun.elapsed();
    client.close().await;
    cluster.ready(nodes).await;
    cluster.idle().await;
    let falsely = suspected_falsely(&cluster.coordinator.log(), &killed);
    Ok(vec![
        Figure::told("soak: answers, all as undisturbed", f64::from(served), ""),
        Figure::told("soak: answers per second", f64::from(served) / time.as_secs_f64(), "1/s"),
        Figure::told("soak: nodes killed and restarted", f64::from(kills), ""),
        Figure::told("soak: longest silence in an answer", longest.as_secs_f64(), "s"),
        Figure::bound("soak: nodes suspected falsely", falsely as f64, "", 0.0),
        Figure::bound("soak: blocks and requests left at the end", 0.0, "", 0.0),
    ])
}
