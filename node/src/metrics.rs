//! Prometheus metrics: a recorder of this process's own, and the page that shows it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::net::TcpListener;

/// Upper bounds of the histogram of step times, in seconds.
const STEP_SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// How often the exporter tidies up what was recorded.
const UPKEEP: Duration = Duration::from_secs(5);

/// A recorder for what the workers count.
pub(crate) fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let step = Matcher::Full("troupe_node_step_seconds".to_owned());
    Ok(PrometheusBuilder::new().set_buckets_for_metric(step, &STEP_SECONDS)?.build_recorder())
}

/// Serves `/metrics` until the process ends.
///
/// # Errors
/// An address that cannot be used.
pub(crate) async fn serve(address: SocketAddr, shown: PrometheusHandle) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let tidy = shown.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            tidy.run_upkeep();
        }
    });
    let page = get(move || {
        let text = shown.render();
        async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
    });
    let app = Router::new().route("/metrics", page);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!("metrics are not served any more: {error}");
        }
    });
    Ok(bound)
}
