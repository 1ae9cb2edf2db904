//! What operators ask of keys, budgets, usage, prices and decisions.

use protocol::account::KeySettings;
use protocol::answer::{ErrorKind, JobError};
use protocol::manage::{Manage, Managed};

use actors::cost::manage::NotChanged;

use crate::keys::fresh;
use crate::scale;
use crate::server::Parts;
use crate::service::Caller;

/// Does what an operator wants.
///
/// # Errors
/// There is no such thing, it cannot be, or cannot be stored.
pub(crate) async fn manage(parts: &Parts, caller: &Caller, manage: Manage) -> Result<Managed, JobError> {
    caller.operator("manage keys, budgets and usage")?;
    if let Some(upward) = &parts.upward
        && !matches!(manage, Manage::Explain { .. } | Manage::Prices | Manage::Scale(_) | Manage::ScaleTrace { .. })
    {
        return upward.manage(manage).await;
    }
    let accounts = &parts.accounts;
    let managed = match manage {
        Manage::CreateKey(settings) => {
            check(&settings)?;
            let (record, secret) = fresh(settings, random()?, accounts.now());
            let record = accounts.put_key(record).await.map_err(failed)?;
            tracing::info!("{} has made the key {} ({})", caller.key, record.id, record.settings.name);
            Managed::KeyCreated { record: (*record).clone(), secret }
        }
        Manage::ListKeys => Managed::Keys(accounts.keys().all().iter().map(|key| (**key).clone()).collect()),
        Manage::UpdateKey { key, settings } => {
            check(&settings)?;
            let record = accounts.change_key(&key, |record| record.settings = settings).await.map_err(failed)?;
            tracing::info!("{} has changed the key {}", caller.key, record.id);
            Managed::Key((*record).clone())
        }
        Manage::RevokeKey { key } => {
            let record = accounts.change_key(&key, |record| record.revoked = true).await.map_err(failed)?;
            tracing::info!("{} has revoked the key {}", caller.key, record.id);
            Managed::Key((*record).clone())
        }
        Manage::PutBudget(budget) => {
            let id = budget.id.clone();
            let state = accounts.put_budget(budget).await.map_err(failed)?;
            tracing::info!("{} has set the budget {id}", caller.key);
            Managed::Budget(state)
        }
        Manage::ListBudgets => Managed::Budgets(accounts.budgets()),
        Manage::RemoveBudget { id } => {
            accounts.remove_budget(&id).await.map_err(failed)?;
            tracing::info!("{} has removed the budget {id}", caller.key);
            Managed::Done(format!("the budget '{id}' is no more"))
        }
        Manage::Usage(query) => {
            let page = accounts.usage(query).await.map_err(failed)?;
            Managed::Usage { records: page.records, next: page.next }
        }
        Manage::Explain { request } => {
            let found = parts.decisions.get(request);
            let explanation = found.ok_or_else(|| {
                let message = format!(
                    "nothing is known of request {request}: the last {} are kept, by the coordinator that served them",
                    parts.decisions.most()
                );
                JobError::new(ErrorKind::Invalid, message).field("request")
            })?;
            Managed::Explained(Box::new(explanation))
        }
        Manage::Prices => Managed::Prices(parts.pricing.all(&parts.shared.directory, &parts.pool)),
        Manage::Scale(query) => Managed::Scale(Box::new(scale::advise(parts, query).await?)),
        Manage::ScaleTrace { model } => scale::lines(parts, model)?,
    };
    Ok(managed)
}

fn check(settings: &KeySettings) -> Result<(), JobError> {
    match settings.faults().into_iter().next() {
        Some(fault) => Err(JobError::new(ErrorKind::Invalid, fault.to_string()).field(fault.field)),
        None => Ok(()),
    }
}

fn failed(error: NotChanged) -> JobError {
    let message = error.to_string();
    match error {
        NotChanged::NoKey(_) => JobError::new(ErrorKind::Invalid, message).field("key"),
        NotChanged::NoBudget(_) => JobError::new(ErrorKind::Invalid, message).field("budget"),
        NotChanged::TooManyKeys(_) | NotChanged::Elsewhere => JobError::new(ErrorKind::Invalid, message),
        NotChanged::Budget(_) => JobError::new(ErrorKind::Invalid, message).field("budget"),
        NotChanged::Store(_) | NotChanged::Read(_) => {
            JobError::new(ErrorKind::Overloaded, message).retry_after(std::time::Duration::from_secs(1))
        }
    }
}

fn random() -> Result<[u8; 32], JobError> {
    let mut bytes = [0; 32];
    let filled = getrandom::fill(&mut bytes);
    filled
        .map_err(|error| JobError::new(ErrorKind::Internal, format!("the system gives no random numbers: {error}")))?;
    Ok(bytes)
}
