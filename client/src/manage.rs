//! What an operator asks of keys, budgets, usage and decisions.

use protocol::frame::Frame;
use protocol::manage::{AskManage, Manage, Managed};
use tokio::time::timeout;

use crate::connection::Client;
use crate::error::StatusError;

impl Client {
    /// Does what an operator wants, or tells what an operator wants to know. The key must be one with `admin`.
    ///
    /// # Errors
    /// There is no connection, no answer, or the coordinator refuses.
    pub async fn manage(&self, manage: Manage) -> Result<Managed, StatusError> {
        let reply = self.options().timeouts.reply;
        let mut pipe = self.open().await?;
        let answer = timeout(reply, async {
            pipe.say(AskManage { manage }).await?;
            pipe.read().await
        });
        match answer.await {
            Err(_) => Err(StatusError::TimedOut(reply)),
            Ok(Err(reason)) => Err(StatusError::Interrupted(reason)),
            Ok(Ok(None)) => Err(StatusError::Interrupted("its stream ended".to_owned())),
            Ok(Ok(Some(Frame::AnswerManage(answer)))) => {
                pipe.finish();
                answer.outcome.map_err(StatusError::Refused)
            }
            Ok(Ok(Some(other))) => Err(StatusError::Protocol(format!("a {:?} came for it", other.kind()))),
        }
    }
}
