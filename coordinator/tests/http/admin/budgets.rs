//! Budgets.

use protocol::account::{Increase, Period};
use protocol::units::{Nanos, UnixMillis};
use serde_json::{Value, json};

use super::{bed, refused};
use crate::support::{NOW, operate};

const ONE: &str = "/v1/admin/budgets/b";
const MORE: &str = "/v1/admin/budgets/b/increase";

#[tokio::test]
async fn a_budget_is_set_shown_and_removed() {
    let (door, kept) = bed();
    let body = json!({
        "limit": "5.00", "scope": {"team": "red"}, "window": {"every": "month", "zone": "Europe/Berlin"},
        "alerts": [80], "soft": true,
    });
    let got = operate(&door, "PUT", ONE, Some(body.clone())).await;
    assert_eq!(got.status, 200, "{got:?}");
    let shown = got.json();
    let expected = json!({
        "object": "budget", "id": "b", "limit": "5.00", "alerts": [80], "soft": true, "increase": null,
        "scope": {"organisation": null, "team": "red", "key": null, "model": null, "tag": null, "provider": null},
        "window": {"every": "month", "zone": "Europe/Berlin"}, "spent": "1.25", "reserved": "0.00",
        "remaining": "3.75", "since": "1970-01-01T00:00:00.000Z", "resets": null,
    });
    assert_eq!(shown, expected);
    assert_eq!(operate(&door, "GET", ONE, None).await.json(), expected);
    assert_eq!(operate(&door, "GET", "/v1/admin/budgets", None).await.json()["data"], json!([expected]));
    {
        let kept = kept.try_lock().unwrap();
        let budget = &kept.budgets[0].budget;
        assert_eq!((budget.limit, budget.window.every), (Nanos(5_000_000_000), Period::Month));
    }
    let got = operate(&door, "DELETE", ONE, None).await;
    assert_eq!(got.json(), json!({"object": "budget", "id": "b", "deleted": true, "message": "b is removed"}));
    assert!(kept.try_lock().unwrap().budgets.is_empty());
}

#[tokio::test]
async fn names_may_have_what_urls_must_escape() {
    let (door, kept) = bed();
    let body = json!({"id": "team red/ü", "limit": "1"});
    assert_eq!(operate(&door, "PUT", "/v1/admin/budgets/team%20red%2F%C3%BC", Some(body)).await.status, 200);
    assert_eq!(kept.try_lock().unwrap().budgets[0].budget.id, "team red/ü");
}

#[tokio::test]
async fn more_for_a_while_is_put_on_top_and_in_place_of_what_was_there() {
    let (door, kept) = bed();
    operate(&door, "PUT", ONE, Some(json!({"limit": "5"}))).await;
    let got = operate(&door, "POST", MORE, Some(json!({"amount": "2.50", "for": "24h"}))).await;
    assert_eq!(got.json()["increase"], json!({"amount": "2.50", "until": "2023-11-15T22:13:20.000Z"}));
    assert_eq!(got.json()["remaining"], "6.25");
    let until = UnixMillis((NOW + 86_400) * 1000);
    let increase = |kept: &tokio::sync::Mutex<super::Kept>| kept.try_lock().unwrap().budgets[0].budget.increase;
    assert_eq!(increase(&kept), Some(Increase { amount: Nanos(2_500_000_000), until }));
    operate(&door, "POST", MORE, Some(json!({"amount": "1", "until": "2030-01-01"}))).await;
    assert_eq!(increase(&kept).unwrap().amount, Nanos(1_000_000_000));
    assert_eq!(kept.try_lock().unwrap().budgets[0].budget.limit, Nanos(5_000_000_000));
}

#[tokio::test]
async fn wrong_budgets_are_refused_by_field() {
    for (body, param, words) in [
        (json!({}), Value::Null, "missing field `limit`"),
        (json!({"limit": 5}), json!("limit"), "an amount of money as text, such as"),
        (json!({"limit": "0"}), json!("limit"), "is 0: give at least 0.000000001"),
        (json!({"limit": "-5"}), json!("limit"), "not negative"),
        (json!({"limit": "5,00"}), json!("limit"), "write it as"),
        (json!({"limit": "99999999999999999999"}), json!("limit"), "at most 18000000000"),
        (json!({"limit": "5", "window": {"every": "year"}}), json!("window.every"), "unknown variant `year`"),
        (json!({"limit": "5", "window": {"zone": "Mars/Olympus"}}), json!("window.zone"), "is no time zone"),
        (json!({"limit": "5", "window": {"each": "day"}}), json!("window.each"), "unrecognized"),
        (json!({"limit": "5", "scope": {"user": "x"}}), json!("scope.user"), "unrecognized"),
        (json!({"limit": "5", "scope": {"tag": ""}}), json!("scope.tag"), "is empty"),
        (
            json!({"limit": "5", "scope": {"key": "sk-troupe-0123456789abcdef"}}),
            json!("scope.key"),
            "looks like a secret",
        ),
        (json!({"limit": "5", "alerts": [0]}), json!("alerts[0]"), "from 1 to 100"),
        (json!({"limit": "5", "alerts": [300]}), json!("alerts[0]"), "from 0 to 255"),
        (json!({"limit": "5", "alerts": vec![50; 17]}), json!("alerts"), "at most 16"),
        (json!({"limit": "5", "soft": "yes"}), json!("soft"), "true or false"),
        (json!({"limit": "5", "spent": "1"}), json!("spent"), "unrecognized"),
        (json!({"limit": "5", "id": "c"}), json!("id"), "leave it out of the body"),
        (
            json!({"limit": "17000000000", "increase": {"amount": "17000000000", "until": "2030-01-01"}}),
            json!("increase.amount"),
            "does not fit on top",
        ),
    ] {
        refused("PUT", ONE, Some(body), 400, &param, words).await;
    }
    refused(
        "PUT",
        "/v1/admin/budgets/sk-troupe-0123456789abcdef",
        Some(json!({"limit": "5"})),
        400,
        &json!("id"),
        "secret",
    )
    .await;
    let long = format!("/v1/admin/budgets/{}", "b".repeat(129));
    refused("PUT", &long, Some(json!({"limit": "5"})), 400, &json!("id"), "has 129 bytes").await;
}

#[tokio::test]
async fn wrong_increases_are_refused_by_field() {
    for (body, param, words) in [
        (json!({"until": "2030-01-01"}), Value::Null, "missing field `amount`"),
        (json!({"amount": "1"}), json!("until"), "as 24h"),
        (json!({"amount": "1", "until": "2030-01-01", "for": "1h"}), json!("for"), "beside until"),
        (json!({"amount": "1", "until": "2020-01-01"}), json!("until"), "which is past"),
        (json!({"amount": "1", "for": "0h"}), json!("for"), "no time at all"),
        (json!({"amount": "1", "for": "a while"}), json!("for"), "such as 90m"),
        (json!({"amount": "0", "for": "1h"}), json!("increase.amount"), "is 0"),
        (json!({"amount": "1", "for": "999999999w"}), json!("increase.until"), "year 9999"),
    ] {
        refused("POST", MORE, Some(body), 400, &param, words).await;
    }
    let body = Some(json!({"amount": "1", "for": "1h"}));
    refused("POST", "/v1/admin/budgets/c/increase", body, 404, &json!("id"), "GET /v1/admin/budgets lists").await;
    refused("DELETE", "/v1/admin/budgets/c", None, 404, &json!("id"), "GET /v1/admin/budgets lists").await;
}
