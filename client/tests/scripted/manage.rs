//! What operators want, through the library.

use client::{ErrorKind, JobError, Manage, Managed, StatusError};
use protocol::account::KeySettings;
use protocol::frame::Frame;
use protocol::manage::{AnswerManage, AskManage};
use protocol::message::{Answered, AskStatus, Ordered};
use tokio::join;

use crate::pair;

#[tokio::test]
async fn a_wish_is_sent_once_and_its_outcome_comes_back() {
    let (_server, client, guest) = pair().await;
    let wish = Manage::RevokeKey { key: "key-1".into() };
    for outcome in [Ok(Managed::Done("key-1 is revoked".into())), Err(JobError::new(ErrorKind::Forbidden, "no"))] {
        let serve = async {
            let (frame, mut writer, _reader) = guest.next().await;
            assert_eq!(frame, AskManage { manage: wish.clone() }.into());
            writer.send(AnswerManage { outcome: outcome.clone() }).await.unwrap();
            writer.finish();
        };
        let (said, ()) = join!(client.manage(wish.clone()), serve);
        match (said, outcome) {
            (Ok(said), Ok(wanted)) => assert_eq!(said, wanted),
            (Err(StatusError::Refused(error)), Err(wanted)) => assert_eq!(error, wanted),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn something_else_is_no_outcome() {
    let (_server, client, guest) = pair().await;
    let serve = async {
        let (_, mut writer, _reader) = guest.next().await;
        writer.send(Ordered { outcome: Ok("it drains".into()) }).await.unwrap();
        writer.finish();
    };
    let (said, ()) = join!(client.manage(Manage::ListKeys), serve);
    assert!(matches!(said, Err(StatusError::Protocol(_))), "{said:?}");
}

#[tokio::test]
async fn a_wish_that_fits_no_frame_is_refused_here() {
    let (_server, client, _guest) = pair().await;
    let settings = KeySettings { name: "x".repeat(1 << 20), ..KeySettings::default() };
    let said = client.manage(Manage::CreateKey(settings)).await;
    assert!(matches!(&said, Err(StatusError::TooLarge(why)) if why.contains("262144")), "{said:?}");
}

#[tokio::test]
async fn a_key_that_may_not_see_the_cluster_is_told_so() {
    let (_server, client, guest) = pair().await;
    let error = JobError::new(ErrorKind::Forbidden, "the key key-1 may not see the cluster's status");
    let serve = async {
        let (frame, mut writer, _reader) = guest.next().await;
        assert_eq!(frame, Frame::AskStatus(AskStatus {}));
        writer.send(Answered { answer: client::Answer::Failed(error.clone()) }).await.unwrap();
        writer.finish();
    };
    let (said, ()) = join!(client.status(), serve);
    assert!(matches!(&said, Err(StatusError::Refused(refused)) if *refused == error), "{said:?}");
}
