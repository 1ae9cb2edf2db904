//! `/v1/admin` over a service that keeps keys, budgets and usage in memory.

mod budgets;
mod decisions;
mod keys;
mod scale;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use protocol::account::{KeyRecord, KeySettings};
use protocol::answer::{ErrorKind, JobError};
use protocol::manage::{BudgetState, Manage, Managed};
use protocol::units::{Nanos, UnixMillis};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::fake::{Fake, KEY, Script};
use crate::support::{NOW, door, operate, send};

/// What the service keeps.
#[derive(Default)]
pub(crate) struct Kept {
    keys: Vec<KeyRecord>,
    budgets: Vec<BudgetState>,
    /// Every wish that came.
    wishes: Vec<Manage>,
}

impl Kept {
    fn take(&mut self, wish: Manage) -> Result<Managed, JobError> {
        self.wishes.push(wish.clone());
        let unknown = || JobError::new(ErrorKind::Invalid, "there is none").field("id");
        match wish {
            Manage::CreateKey(settings) => {
                let id = format!("key-{}", self.keys.len() + 1);
                let record = KeyRecord { id, hash: [9; 32], created: UnixMillis(NOW * 1000), revoked: false, settings };
                self.keys.push(record.clone());
                Ok(Managed::KeyCreated { record, secret: "sk-troupe-fresh".to_owned() })
            }
            Manage::ListKeys => Ok(Managed::Keys(self.keys.clone())),
            Manage::UpdateKey { key, settings } => {
                let record = self.keys.iter_mut().find(|record| record.id == key).ok_or_else(unknown)?;
                record.settings = settings;
                Ok(Managed::Key(record.clone()))
            }
            Manage::RevokeKey { key } => {
                self.keys.iter_mut().find(|record| record.id == key).ok_or_else(unknown)?.revoked = true;
                Ok(Managed::Done(format!("{key} is revoked")))
            }
            Manage::PutBudget(budget) => {
                self.budgets.retain(|state| state.budget.id != budget.id);
                let state = BudgetState { budget, settled: Nanos(1_250_000_000), ..BudgetState::default() };
                self.budgets.push(state.clone());
                Ok(Managed::Budget(state))
            }
            Manage::ListBudgets => Ok(Managed::Budgets(self.budgets.clone())),
            Manage::RemoveBudget { id } => {
                self.budgets.retain(|state| state.budget.id != id);
                Ok(Managed::Done(format!("{id} is removed")))
            }
            other => panic!("nobody was to ask for {other:?}"),
        }
    }
}

/// A door over such a service.
pub(crate) fn bed() -> (Router, Arc<Mutex<Kept>>) {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let keeper = Arc::clone(&kept);
    let take = move |wish| keeper.try_lock().unwrap().take(wish);
    let (fake, _seen) = keeping(take);
    (door(&fake), kept)
}

fn keeping(
    keeper: impl Fn(Manage) -> Result<Managed, JobError> + Send + Sync + 'static,
) -> (Arc<Fake>, crate::fake::Seen) {
    let refuse = |_: &protocol::request::Request| Script::Refuse(JobError::new(ErrorKind::Internal, "no"));
    Fake::made(refuse, |fake| fake.keeper = Box::new(keeper))
}

fn settings(kept: &Mutex<Kept>, at: usize) -> KeySettings {
    kept.try_lock().unwrap().keys[at].settings.clone()
}

/// Refused with this status and field, and a message with these words; nothing was changed.
async fn refused(method: &str, path: &str, body: Option<Value>, status: u16, param: &Value, words: &str) {
    let (door, kept) = bed();
    let made = operate(&door, "POST", "/v1/admin/keys", Some(json!({"name": "ann"}))).await;
    assert_eq!(made.status, 200, "{made:?}");
    let put = operate(&door, "PUT", "/v1/admin/budgets/b", Some(json!({"limit": "5"}))).await;
    assert_eq!(put.status, 200, "{put:?}");
    let before = kept.try_lock().unwrap().wishes.len();
    let got = operate(&door, method, path, body.clone()).await;
    let error = got.error(status);
    assert_eq!(error["param"], *param, "{body:?}: {error}");
    assert!(error["message"].as_str().unwrap().contains(words), "{body:?}: {error}");
    assert!(!got.text.contains("0123456789abcdef"), "a secret was repeated: {got:?}");
    let changed = |wish: &Manage| !matches!(wish, Manage::ListKeys | Manage::ListBudgets);
    assert!(!kept.try_lock().unwrap().wishes[before..].iter().any(changed), "{body:?} was done");
}

const ROUTES: [(&str, &str); 13] = [
    ("GET", "/v1/admin/keys"),
    ("POST", "/v1/admin/keys"),
    ("GET", "/v1/admin/keys/key-1"),
    ("PATCH", "/v1/admin/keys/key-1"),
    ("DELETE", "/v1/admin/keys/key-1"),
    ("GET", "/v1/admin/budgets"),
    ("GET", "/v1/admin/budgets/b"),
    ("PUT", "/v1/admin/budgets/b"),
    ("DELETE", "/v1/admin/budgets/b"),
    ("POST", "/v1/admin/budgets/b/increase"),
    ("GET", "/v1/admin/usage"),
    ("GET", "/v1/admin/prices"),
    ("GET", "/v1/admin/requests/00000000000000000000000000000abc"),
];

#[tokio::test]
async fn only_operators_pass() {
    let (door, kept) = bed();
    for (method, path) in ROUTES {
        for (key, status) in [(Some(KEY), 403), (None, 401)] {
            let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
            let request = match key {
                Some(key) => request.header("authorization", format!("Bearer {key}")),
                None => request,
            };
            let got = send(&door, request.body(Body::from("{}")).unwrap()).await;
            let code = got.error(status)["code"].clone();
            assert_eq!(code, if status == 403 { "permission_denied" } else { "invalid_api_key" }, "{method} {path}");
        }
    }
    assert!(kept.try_lock().unwrap().wishes.is_empty());
}

#[tokio::test]
async fn other_methods_and_paths_are_not_there() {
    let (door, _kept) = bed();
    assert_eq!(operate(&door, "PUT", "/v1/admin/keys", Some(json!({}))).await.error(405)["code"], "method_not_allowed");
    assert_eq!(operate(&door, "GET", "/v1/admin/teams", None).await.error(404)["code"], "unknown_url");
}

#[tokio::test]
async fn what_the_service_says_is_passed_on_and_a_wrong_answer_is_a_fault() {
    let (fake, _seen) = keeping(|_| Err(JobError::new(ErrorKind::NoNode, "the store's holder is gone")));
    let error = operate(&door(&fake), "GET", "/v1/admin/keys", None).await.error(503);
    assert_eq!(error["message"], "the store's holder is gone");
    let (fake, _seen) = keeping(|_| Ok(Managed::Done("sk-troupe-0123456789abcdef".to_owned())));
    let door = door(&fake);
    for path in ["/v1/admin/keys", "/v1/admin/budgets", "/v1/admin/prices", "/v1/admin/usage"] {
        let got = operate(&door, "GET", path, None).await;
        assert_eq!(got.error(500)["code"], "internal_error", "{path}");
        assert!(!got.text.contains("0123456789abcdef"), "{got:?}");
    }
}
