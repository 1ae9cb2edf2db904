//! Prices and explanations.

use protocol::answer::{ErrorKind, JobError};
use protocol::ids::RequestId;
use protocol::manage::{Explanation, Manage, Managed, PricedModel};
use protocol::money::Price;
use protocol::units::Nanos;
use serde_json::json;

use super::keeping;
use crate::support::{door, operate};

#[tokio::test]
async fn prices_are_listed() {
    let price = Price { input: Nanos(10_000_000_000), cached: Nanos(1), output: Nanos(30_000_000_000) };
    let priced = PricedModel { model: "p/m".into(), price, source: "cluster.toml".into() };
    let (fake, _seen) = keeping(move |_| Ok(Managed::Prices(vec![priced.clone()])));
    let got = operate(&door(&fake), "GET", "/v1/admin/prices", None).await.json();
    let expected = json!({
        "object": "price", "model": "p/m", "input": "10.00", "cached": "0.000000001", "output": "30.00",
        "per_tokens": 1_000_000, "source": "cluster.toml",
    });
    assert_eq!(got, json!({"object": "list", "data": [expected]}));
}

#[tokio::test]
async fn a_request_is_explained_by_its_id_or_that_of_its_answer() {
    let (fake, _seen) = keeping(|wish| match wish {
        Manage::Explain { request: RequestId(0xabc) } => Ok(Managed::Explained(Box::new(Explanation {
            request: RequestId(0xabc),
            asked: "auto".into(),
            ..Explanation::default()
        }))),
        _ => Err(JobError::new(ErrorKind::Invalid, "it was too long ago").field("request")),
    });
    let door = door(&fake);
    let id = "00000000000000000000000000000abc";
    for id in [id.to_owned(), format!("chatcmpl-{id}"), format!("cmpl-{id}")] {
        let got = operate(&door, "GET", &format!("/v1/admin/requests/{id}"), None).await.json();
        assert_eq!((got["object"].as_str(), got["asked"].as_str()), (Some("explanation"), Some("auto")));
    }
    for (id, words) in [
        ("00000000000000000000000000000abd", "it was too long ago"),
        ("abc", "x-request-id"),
        ("chatcmpl-", "x-request-id"),
    ] {
        let error = operate(&door, "GET", &format!("/v1/admin/requests/{id}"), None).await.error(404);
        assert_eq!(error["code"], "not_found");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
}
