//! Who is told when a budget runs low: the log, and a webhook.
//!
//! Rules: an alert is sent until the webhook takes it, a bounded number of times, with growing waits; an alert that
//! cannot be delivered is logged. Alerts that come meanwhile wait in a bounded queue.

use std::time::Duration;

use policy::ledger::AlertRaised;
use protocol::money::Money;
use tokio::sync::mpsc;

/// Tries.
const TRIES: u32 = 5;
/// The wait before the second try; it doubles.
const WAIT: Duration = Duration::from_secs(1);
/// How long the webhook may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the webhook gets.
#[derive(Debug, serde::Serialize)]
struct Body<'a> {
    event: &'static str,
    cluster: &'a str,
    budget: &'a str,
    share: u8,
    settled: Money,
    reserved: Money,
    limit: Money,
    at: u64,
    text: &'a str,
}

/// Tells people of alerts, until nobody raises any.
pub async fn tell(alerts: mpsc::Receiver<AlertRaised>, cluster: String, webhook: Option<String>) {
    tell_after(alerts, cluster, webhook, WAIT).await;
}

async fn tell_after(mut alerts: mpsc::Receiver<AlertRaised>, cluster: String, webhook: Option<String>, wait: Duration) {
    let client = webhook.as_ref().and_then(|_| match reqwest::Client::builder().timeout(PATIENCE).build() {
        Ok(client) => Some(client),
        Err(error) => {
            tracing::error!("no alert can be sent to accounts.webhook: {error}");
            None
        }
    });
    while let Some(alert) = alerts.recv().await {
        let text = format!(
            "budget '{}' has reached {} %: {} of {} are spent, {} reserved",
            alert.budget,
            alert.share,
            Money(alert.settled),
            Money(alert.limit),
            Money(alert.reserved)
        );
        tracing::warn!("{text}");
        let (Some(client), Some(url)) = (&client, &webhook) else { continue };
        let body = Body {
            event: "budget_alert",
            cluster: &cluster,
            budget: &alert.budget,
            share: alert.share,
            settled: Money(alert.settled),
            reserved: Money(alert.reserved),
            limit: Money(alert.limit),
            at: alert.at.0,
            text: &text,
        };
        match serde_json::to_vec(&body) {
            Ok(bytes) => send(client, url, bytes, wait).await,
            Err(error) => tracing::error!("an alert cannot be written: {error}"),
        }
    }
}

async fn send(client: &reqwest::Client, url: &str, bytes: Vec<u8>, mut wait: Duration) {
    for left in (0..TRIES).rev() {
        let request = client.post(url).header("content-type", "application/json").body(bytes.clone());
        let problem = match request.send().await {
            Ok(response) if response.status().is_success() => return,
            Ok(response) => format!("it answers {}", response.status()),
            Err(error) => error.without_url().to_string(),
        };
        if left == 0 {
            tracing::error!("accounts.webhook does not take an alert after {TRIES} tries: {problem}");
            return;
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}

#[cfg(test)]
mod tests;
