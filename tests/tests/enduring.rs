//! A short form of what `cargo xtask endure` does at length: real processes, a real model, losses in the middle.

#![expect(clippy::panic, reason = "a test may stop at the first surprise")]

use tests::cluster::{Cluster, Engine, Plan};
use tests::endure::Figure;
use tests::endure::cancel::cancel;
use tests::endure::money::money;
use tests::endure::story::Choosing;
use tests::endure::survive::{Loss, survive};

fn hold(figures: Result<Vec<Figure>, String>) {
    let figures = figures.unwrap_or_else(|error| panic!("{error}"));
    // How long something took is a measurement; what came of it is the test. So the bounds of times do not count.
    for figure in figures.iter().filter(|figure| figure.unit != "s") {
        assert!(figure.holds(), "{figure}");
    }
}

#[tokio::test]
async fn an_answer_of_the_real_model_outlives_its_node_killed_stopped_or_drained() {
    let mut cluster = Cluster::start(2, Engine::Torch).await;
    hold(survive(&mut cluster, Loss::Kill, Choosing::Seeded, [5], 24).await);
    hold(survive(&mut cluster, Loss::Drain, Choosing::Greedy, [5], 24).await);
    hold(survive(&mut cluster, Loss::Stop, Choosing::Seeded, [9], 24).await);
}

#[tokio::test]
async fn a_client_that_leaves_in_a_long_prefill_frees_its_pages_within_a_chunk() {
    let mut plan = Plan::new(1, Engine::Torch);
    plan.node_arguments = ["--metrics", "127.0.0.1:0"].map(str::to_owned).to_vec();
    let cluster = Cluster::of(plan).await;
    // One chunk is being computed when the client leaves, and one may end while it does.
    hold(cancel(&cluster, 2500, 512.0).await);
}

#[tokio::test]
async fn a_coordinator_that_is_killed_again_and_again_loses_no_amount_and_counts_none_twice() {
    hold(money(10, 1).await);
}
