//! Budgets: list, show, set, give more for a while, remove.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use protocol::account::{Increase, shown};
use protocol::manage::{BudgetState, Manage, Managed};
use protocol::units::UnixMillis;
use serde::{Deserialize, Serialize};
use views::budgets::{BudgetForm, BudgetView};
use views::moment::{Moment, span};
use views::money::Amount;

use super::{answer, form, id, list as listed, not_found, now, other, wish};
use crate::http::Door;
use crate::http::auth::Known;
use crate::http::openai::error::ApiError;
use crate::service::Caller;

/// More for a while, until then or for so long.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct More {
    amount: Amount,
    until: Option<Moment>,
    r#for: Option<String>,
}

/// A budget that is no more.
#[derive(Serialize)]
struct Removed {
    object: &'static str,
    id: String,
    deleted: bool,
    message: String,
}

async fn all(door: &Door, caller: &Caller) -> Result<Vec<BudgetState>, ApiError> {
    match wish(door, caller, Manage::ListBudgets).await? {
        Managed::Budgets(budgets) => Ok(budgets),
        said => Err(other(&said)),
    }
}

async fn find(door: &Door, caller: &Caller, id: &str) -> Result<BudgetState, ApiError> {
    let found = all(door, caller).await?.into_iter().find(|state| state.budget.id == id);
    found.ok_or_else(|| not_found("budget", id, "GET /v1/admin/budgets lists those that are there"))
}

fn stands(door: &Door, managed: Managed) -> Result<Response, ApiError> {
    match managed {
        Managed::Budget(state) => Ok(answer(&BudgetView::new(state, now(door)))),
        said => Err(other(&said)),
    }
}

/// All budgets.
pub(super) async fn list(State(door): State<Door>, Known(caller): Known) -> Result<Response, ApiError> {
    let now = now(&door);
    Ok(listed(all(&door, &caller).await?.into_iter().map(|state| BudgetView::new(state, now))))
}

/// One budget.
pub(super) async fn one(
    State(door): State<Door>,
    Known(caller): Known,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    Ok(answer(&BudgetView::new(find(&door, &caller, &id(path)?).await?, now(&door))))
}

/// A budget, new or in place of the one with its id.
pub(super) async fn put(
    State(door): State<Door>,
    Known(caller): Known,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let form = match form::<BudgetForm>(&door, request).await {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    let put = async {
        let id = id(path)?;
        if let Some(given) = form.id.as_ref().filter(|given| **given != id) {
            let message = format!("id is {}, but the URL names {}: leave it out of the body", shown(given), shown(&id));
            return Err(ApiError::invalid("id", message));
        }
        stands(&door, wish(&door, &caller, Manage::PutBudget(form.named(id))).await?)
    };
    put.await.unwrap_or_else(IntoResponse::into_response)
}

/// More for a while, in place of what was given before.
pub(super) async fn increase(
    State(door): State<Door>,
    Known(caller): Known,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let more = match form::<More>(&door, request).await {
        Ok(more) => more,
        Err(refusal) => return refusal,
    };
    let increase = async {
        let until = until(&more, now(&door))?;
        let mut budget = find(&door, &caller, &id(path)?).await?.budget;
        budget.increase = Some(Increase { amount: more.amount.0, until });
        stands(&door, wish(&door, &caller, Manage::PutBudget(budget)).await?)
    };
    increase.await.unwrap_or_else(IntoResponse::into_response)
}

fn until(more: &More, now: UnixMillis) -> Result<UnixMillis, ApiError> {
    let remedy = "give until, as 2026-01-31T09:30:00Z, or for, as 24h";
    match (more.until, &more.r#for) {
        (None, None) => Err(ApiError::missing("until", format!("until is missing: {remedy}"))),
        (Some(_), Some(_)) => Err(ApiError::invalid("for", format!("for is given beside until: {remedy}"))),
        (Some(until), None) if until.0 <= now => {
            Err(ApiError::invalid("until", format!("until is {until}, which is past: give a later time")))
        }
        (Some(until), None) => Ok(until.0),
        (None, Some(text)) => match span(text) {
            Ok(span) if !span.is_zero() => Ok(now.after(span)),
            Ok(_) => Err(ApiError::invalid("for", "for is no time at all: give more")),
            Err(error) => Err(ApiError::invalid("for", format!("for is wrong: {error}"))),
        },
    }
}

/// A budget is no more.
pub(super) async fn remove(
    State(door): State<Door>,
    Known(caller): Known,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = find(&door, &caller, &id(path)?).await?.budget.id;
    match wish(&door, &caller, Manage::RemoveBudget { id: id.clone() }).await? {
        Managed::Done(message) => Ok(answer(&Removed { object: "budget", id, deleted: true, message })),
        said => Err(other(&said)),
    }
}
