//! What is wrong with an operator's wish, as far as it can be seen without the store: the same for every door.

use protocol::account::{MAX_MODEL_BYTES, MAX_NAME_BYTES, looks_secret};
use protocol::answer::{ErrorKind, JobError};
use protocol::manage::{Manage, UsageQuery};
use protocol::request::Fault;
use views::moment::{Moment, check_zone};

/// Checks a wish.
///
/// # Errors
/// Everything that is wrong with it; the first of it is the error's field.
pub fn check(wish: &Manage) -> Result<(), JobError> {
    let faults = match wish {
        Manage::CreateKey(settings) => settings.faults(),
        Manage::UpdateKey { key, settings } => {
            let mut faults = name("key", key, MAX_NAME_BYTES);
            faults.extend(settings.faults());
            faults
        }
        Manage::RevokeKey { key } => name("key", key, MAX_NAME_BYTES),
        Manage::PutBudget(budget) => {
            let mut faults = budget.faults();
            let zone = budget.window.zone.as_deref().map(check_zone);
            if let Some(Err(error)) = zone
                && !faults.iter().any(|fault| fault.field == "window.zone")
            {
                faults.push(Fault { field: "window.zone".to_owned(), problem: format!("cannot be used: {error}") });
            }
            faults
        }
        Manage::RemoveBudget { id } => name("id", id, MAX_NAME_BYTES),
        Manage::Usage(query) => usage(query),
        Manage::Scale(query) => {
            let mut faults = model(query.model.as_ref());
            faults.extend(query.faults());
            faults
        }
        Manage::ScaleTrace { model: named } => model(named.as_ref()),
        Manage::ListKeys | Manage::ListBudgets | Manage::Explain { .. } | Manage::Prices => Vec::new(),
    };
    let Some(first) = faults.first() else { return Ok(()) };
    let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Err(JobError::new(ErrorKind::Invalid, all.join("; ")).field(first.field.clone()))
}

/// A name by which something is looked up. Whoever sends a secret instead must not see it in a log.
fn name(field: &str, name: &str, most: usize) -> Vec<Fault> {
    let problem = if looks_secret(name) {
        "looks like a secret: name a key by its id, as key-…, and a budget by its name".to_owned()
    } else if name.is_empty() {
        "is empty: name one".to_owned()
    } else if name.len() > most {
        format!("has {} bytes, and no name has more than {most}: name one that is there", name.len())
    } else {
        return Vec::new();
    };
    vec![Fault { field: field.to_owned(), problem }]
}

/// A model that is named.
fn model(model: Option<&String>) -> Vec<Fault> {
    model.into_iter().flat_map(|model| name("model", model, MAX_MODEL_BYTES)).collect()
}

fn usage(query: &UsageQuery) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let (Some(since), Some(until)) = (query.since, query.until)
        && since >= until
    {
        let problem = format!("is {}, not after since, {}: give a later time", Moment(until), Moment(since));
        faults.push(Fault { field: "until".to_owned(), problem });
    }
    for (field, value, most) in [
        ("key", &query.key, MAX_NAME_BYTES),
        ("model", &query.model, MAX_MODEL_BYTES),
        ("tag", &query.tag, MAX_NAME_BYTES),
    ] {
        faults.extend(value.iter().flat_map(|value| name(field, value, most)));
    }
    faults
}

#[cfg(test)]
mod tests;
