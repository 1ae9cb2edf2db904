//! A client goes away while its long prompt is computed: every page must be free again within one chunk.

use std::time::Duration;

use client::Ask;
use tokio::time::{Instant, sleep};

use super::Figure;
use crate::cluster::{Cluster, MODEL};
use crate::http::Http;

/// How often the node's metrics are read.
const LOOK: Duration = Duration::from_millis(2);
/// What a metrics page is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks with a prompt of about so many words, goes away once a part of it is computed, and measures. The
/// node must serve its metrics.
///
/// # Errors
/// The prompt was computed before the client could go, or pages were not freed.
pub async fn cancel(cluster: &Cluster, words: usize, chunk: f64) -> Result<Vec<Figure>, String> {
    let metrics = Http::new(&cluster.node_metrics(0), None);
    let client = cluster.client().await;
    let prompt = "one two three four five six seven eight nine ten ".repeat(words.div_ceil(10));
    let before = read(&metrics, "troupe_node_tokens_prefilled_total").await;
    let mut stream = client.submit(Ask::text(MODEL, prompt).max_tokens(8)).await.map_err(|error| error.to_string())?;
    // A part of the prompt is computed, and not the most of it.
    let begun = Instant::now();
    while read(&metrics, "troupe_node_tokens_prefilled_total").await < before + 2.0 * chunk {
        if begun.elapsed() > PATIENCE {
            return Err("the prompt is not computed".to_owned());
        }
        sleep(LOOK).await;
    }
    let computed = read(&metrics, "troupe_node_tokens_prefilled_total").await;
    let left = Instant::now();
    stream.cancel();
    while read(&metrics, "troupe_node_blocks_used").await > 0.0 {
        if left.elapsed() > PATIENCE {
            return Err("pages are not freed".to_owned());
        }
        sleep(LOOK).await;
    }
    let took = left.elapsed();
    let more = read(&metrics, "troupe_node_tokens_prefilled_total").await - computed;
    client.close().await;
    cluster.idle().await;
    Ok(vec![
        Figure::told("cancel: prompt computed before the client left", computed - before, "tokens"),
        Figure::told("cancel: from leaving until every page is free", took.as_secs_f64() * 1e3, "ms"),
        // The chunk that is being computed, and the one that began before the reset came.
        Figure::bound("cancel: prompt computed after the client left", more, "tokens", chunk),
    ])
}

async fn read(metrics: &Http, name: &str) -> f64 {
    let page = metrics.get("/metrics").await.text();
    let values = page.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).sum()
}
