//! What operators want over QUIC: who may, what is wrong with it, and usage that fits no frame. The door alone, over a
//! scripted service.

use std::sync::Arc;
use std::time::Duration;

use coordinator::quic_door::{DoorSettings, serve};
use coordinator::refusals::Refusals;
use coordinator::service::{AnswerStream, Caller, ModelInfo, Service};
use futures_util::future::BoxFuture;
use protocol::account::{KeySettings, Subject, UsageRecord};
use protocol::answer::{Answer, ClusterStatus, ErrorKind, JobError};
use protocol::frame::Frame;
use protocol::ids::{ClusterId, RequestId};
use protocol::manage::{AskManage, Manage, Managed, UsageQuery};
use protocol::message::{AskStatus, ClientHello, OrderAction, OrderNode};
use protocol::request::Request;
use protocol::units::UnixMillis;
use protocol::version::Versions;
use transport::connection::{Connection, Peer};
use transport::memory;

use crate::bed::next;

const ADMIN: &str = "sk-admin";

/// Says yes, and has more usage than a frame holds.
struct Fake;

impl Service for Fake {
    fn authenticate(&self, key: &str) -> Result<Caller, JobError> {
        Ok(Caller { key: "key-1".into(), salt: [0; 16], admin: key == ADMIN, settings: Arc::default() })
    }

    fn ask(&self, _: &Caller, _: Request) -> Result<AnswerStream, JobError> {
        Err(JobError::new(ErrorKind::Internal, "nobody was to ask"))
    }

    fn models(&self, _: &Caller) -> Vec<ModelInfo> {
        Vec::new()
    }

    fn status(&self) -> ClusterStatus {
        ClusterStatus { cluster: "c".into(), ..ClusterStatus::default() }
    }

    fn order(&self, node: &str, _: OrderAction) -> Result<String, JobError> {
        Ok(format!("{node} drains"))
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn manage(&self, caller: &Caller, manage: Manage) -> BoxFuture<'static, Result<Managed, JobError>> {
        assert!(caller.admin, "the door let {caller:?} through");
        let outcome = match manage {
            Manage::Usage(query) => Ok(Managed::Usage { records: usage(&query), next: None }),
            Manage::ListKeys => Ok(Managed::Keys(vec![large(); 5])),
            _ => Ok(Managed::Done("done".into())),
        };
        Box::pin(std::future::ready(outcome))
    }
}

/// Each of two of these fits a frame; five do not.
fn large() -> protocol::account::KeyRecord {
    let settings = KeySettings { name: "x".repeat(2 << 20), ..KeySettings::default() };
    protocol::account::KeyRecord { settings, ..Default::default() }
}

/// 300 records of 100 KiB.
fn usage(query: &UsageQuery) -> Vec<UsageRecord> {
    let first = query.after.map_or(1, |place| place.at.0 + 1);
    let record = |at: u64| UsageRecord {
        request: RequestId(at.into()),
        at: UnixMillis(at),
        subject: Subject { tags: vec!["t".repeat(100 << 10)], ..Subject::default() },
        ..UsageRecord::default()
    };
    (first..=300).map(record).collect()
}

/// A client that was taken in.
async fn client(key: &str) -> Arc<memory::MemoryConnection> {
    let peer = || Peer { address: "memory".into(), node: None };
    let (ours, theirs) = memory::pair(peer(), peer());
    let settings = DoorSettings { cluster: ClusterId(7), patience: Duration::from_secs(30), streams: 8 };
    tokio::spawn(serve(theirs, Arc::new(Fake), settings, Refusals::default()));
    let (mut writer, mut reader) = ours.open().await.unwrap();
    writer.send(ClientHello { versions: Versions::OURS, key: key.into(), agent: "test".into() }).await.unwrap();
    assert!(matches!(next(&mut reader).await, Frame::ClientWelcome(_)));
    ours
}

async fn exchange(client: &memory::MemoryConnection, frame: impl Into<Frame>) -> Frame {
    let (mut writer, mut reader) = client.open().await.unwrap();
    writer.send(frame).await.unwrap();
    next(&mut reader).await
}

async fn manage(client: &memory::MemoryConnection, manage: Manage) -> Result<Managed, JobError> {
    match exchange(client, AskManage { manage }).await {
        Frame::AnswerManage(answer) => answer.outcome,
        other => panic!("no outcome: {other:?}"),
    }
}

#[tokio::test]
async fn only_operators_may_manage_see_the_status_and_give_orders() {
    let (admin, other) = (client(ADMIN).await, client("sk-other").await);
    let wish = || Manage::RevokeKey { key: "key-1".into() };
    assert_eq!(manage(&admin, wish()).await, Ok(Managed::Done("done".into())));
    let error = manage(&other, wish()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert!(error.message.contains("key-1") && error.message.contains("admin"), "{error}");
    assert!(matches!(exchange(&admin, AskStatus {}).await, Frame::Status(status) if status.status.cluster == "c"));
    match exchange(&other, AskStatus {}).await {
        Frame::Answered(said) => {
            assert!(matches!(&said.answer, Answer::Failed(error) if error.kind == ErrorKind::Forbidden), "{said:?}");
        }
        said => panic!("the status was shown: {said:?}"),
    }
    let order = || OrderNode { node: "a".into(), action: OrderAction::Resume };
    assert!(matches!(exchange(&admin, order()).await, Frame::Ordered(said) if said.outcome.is_ok()));
    match exchange(&other, order()).await {
        Frame::Ordered(said) => assert_eq!(said.outcome.unwrap_err().kind, ErrorKind::Forbidden),
        said => panic!("no refusal: {said:?}"),
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_before_the_service_sees_it() {
    let admin = client(ADMIN).await;
    let tags = (0..1000).map(|at| format!("t{at}")).collect();
    let error = manage(&admin, Manage::CreateKey(KeySettings { tags, ..KeySettings::default() })).await.unwrap_err();
    assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::Invalid, Some("tags")));
    let secret = "sk-troupe-0123456789abcdef";
    let error = manage(&admin, Manage::RevokeKey { key: secret.into() }).await.unwrap_err();
    assert!(error.field.as_deref() == Some("key") && !error.message.contains(secret), "{error}");
}

#[tokio::test]
async fn usage_that_fits_no_frame_comes_in_pages_without_a_gap() {
    let admin = client(ADMIN).await;
    let (mut query, mut seen, mut pages) = (UsageQuery { limit: 1000, ..UsageQuery::default() }, Vec::new(), 0);
    loop {
        let Managed::Usage { records, next } = manage(&admin, Manage::Usage(query.clone())).await.unwrap() else {
            panic!("no usage")
        };
        assert!(!records.is_empty());
        seen.extend(records.iter().map(|record| record.at.0));
        pages += 1;
        match next {
            Some(place) => query.after = Some(place),
            None => break,
        }
    }
    assert_eq!(seen, (1..=300).collect::<Vec<_>>());
    assert!(pages > 3, "{pages} pages of 8 MiB held 30 MiB");
}

#[tokio::test]
async fn what_cannot_be_cut_is_told_to_be_too_long() {
    let admin = client(ADMIN).await;
    let error = manage(&admin, Manage::ListKeys).await.unwrap_err();
    assert!(error.message.contains("too long for a frame") && error.message.contains("HTTP"), "{error}");
}
