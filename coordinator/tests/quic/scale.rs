//! Advice on the number of nodes, from what a whole coordinator was asked.

use std::time::Duration;

use protocol::answer::{Answer, ErrorKind, JobError};
use protocol::config::ModelPrice;
use protocol::manage::{Manage, Managed, ScaleAdvice, ScaleQuery, Sure};
use protocol::money::Money;
use protocol::request::{Input, Request};
use protocol::units::{Nanos, Percentile, Tokens};
use transport::quic::QuicConnection;

use crate::PACE;
use crate::bed::{Bed, ask, manage, request, until};

/// Prompts of 200 tokens, the first 160 of all alike: the mock has a token for each letter.
fn prompt(number: u32) -> Request {
    let mut request = request(12);
    request.input = Input::Text(format!("{:a<160}{number:b<40}", ""));
    request.care.fresh = true;
    request
}

fn target(ttft: Duration) -> ScaleQuery {
    ScaleQuery { ttft: Some(ttft), most: 8, ..ScaleQuery::default() }
}

async fn advise(client: &QuicConnection, query: ScaleQuery) -> Result<ScaleAdvice, JobError> {
    match manage(client, Manage::Scale(query)).await? {
        Managed::Scale(advice) => Ok(*advice),
        other => panic!("no advice: {other:?}"),
    }
}

#[tokio::test]
async fn a_cluster_says_how_many_nodes_it_needs() {
    let bed = Bed::start_with(|config| {
        let hour = ModelPrice { gpu_hour: Some(Money(Nanos(2_000_000_000))), ..ModelPrice::default() };
        config.prices.models.insert("mock".into(), hour);
    })
    .await;
    let client = bed.client().await;
    let second = Duration::from_secs(1);
    let nobody = advise(&client, target(second)).await.unwrap_err();
    assert_eq!(nobody.kind, ErrorKind::NoNode, "{nobody}");
    let _nodes = (bed.node(1, PACE).await, bed.node(2, PACE).await);
    let early = advise(&client, target(second)).await.unwrap_err();
    assert!(early.message.contains("ask again"), "nothing is known yet: {early}");
    let said = manage(&client, Manage::ScaleTrace { model: None }).await.unwrap_err();
    assert_eq!((said.kind, said.field, said.retry_after), (ErrorKind::Overloaded, None, Some(Duration::from_secs(5))));
    for number in 0..16 {
        let answers = ask(&client, prompt(number)).await;
        assert!(matches!(answers.last(), Some(Answer::Done { .. })), "{answers:?}");
    }
    // Nodes say how fast they are in their next report.
    let advice = until(async || advise(&client, target(second)).await.ok()).await;
    assert_eq!((advice.model.as_str(), advice.nodes, advice.requests, advice.unserved), ("mock", 2, 16, 0));
    assert_eq!((advice.advised, advice.sure, advice.hour), (Some(1), Sure::Little, Some(Nanos(2_000_000_000))));
    assert!(advice.row(1).unwrap().meets && advice.row(2).unwrap().meets, "{advice:?}");
    assert!(advice.measured.is_some() && advice.speed.prefill > 0, "{advice:?}");
    let hard = ScaleQuery { ttft: None, inter_token: Some(Duration::from_nanos(1)), ..target(second) };
    let hard = advise(&client, hard).await.unwrap();
    assert!(hard.advised.is_none() && hard.because.unwrap().contains("a step of one sequence takes"));
    let unknown = ScaleQuery { model: Some("nobody".into()), ..target(second) };
    assert_eq!(advise(&client, unknown).await.unwrap_err().kind, ErrorKind::UnknownModel);
    let p0 = ScaleQuery { percentile: Percentile::P50, most: 0, ..target(second) };
    let error = advise(&client, p0).await.unwrap_err();
    assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::Invalid, Some("max_nodes")));
}

#[tokio::test]
async fn what_was_asked_is_a_trace_without_a_word_of_it() {
    let bed = Bed::start().await;
    let _node = bed.node(1, PACE).await;
    let client = bed.client().await;
    for number in 0..3 {
        ask(&client, prompt(number)).await;
    }
    let said = manage(&client, Manage::ScaleTrace { model: None }).await.unwrap();
    let Managed::ScaleTrace { model, block, lines } = said else { panic!("no trace: {said:?}") };
    assert_eq!((model.as_str(), block), ("mock", Tokens(128)));
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert_eq!((line["input_length"].as_u64(), line["output_length"].as_u64()), (Some(200), Some(12)));
        assert_eq!((&line["hash_ids"][0], line["hash_ids"].as_array().unwrap().len()), (&0.into(), 2), "{line}");
    }
    assert_eq!(lines[0]["timestamp"], 0);
}
