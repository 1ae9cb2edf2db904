//! Which node is asked for a model, and which one next.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::sleep;
use transport::connection::Connection;

use super::ObtainError;
use super::fetch::Fetch;
use super::peer::Peer;

impl Fetch<'_> {
    /// Asks the peers in turn, and again those that may only be busy or starting.
    pub(super) async fn take_from_peers(&self) -> Result<PathBuf, ObtainError> {
        let model = self.name.to_owned();
        let Some((dialler, own)) = &self.files.network else {
            return Err(ObtainError::NoPeer {
                model,
                reasons: vec!["this node has not joined its cluster".to_owned()],
            });
        };
        let mut round = 0;
        loop {
            round += 1;
            let (mut reasons, mut passing) = (Vec::new(), false);
            for address in &self.files.peers {
                let outcome = match dialler.any_peer(address, own).await {
                    Ok(connection) => {
                        let connection = Arc::new(connection) as Arc<dyn Connection>;
                        let (model, address) = (model.clone(), address.clone());
                        self.take_from(&Peer { model, address, connection, pace: self.files.pace }).await
                    }
                    Err(error) => {
                        passing = true;
                        reasons.push(
                            error.to_string().replace("is a coordinator running there", "is a node listening there"),
                        );
                        continue;
                    }
                };
                match outcome {
                    Ok(place) => return Ok(place),
                    // The next peer will find no more room.
                    Err(error @ (ObtainError::NoRoom(_) | ObtainError::Files { .. })) => return Err(error),
                    Err(error) => {
                        passing |= matches!(error, ObtainError::Cut { .. } | ObtainError::Unreachable { .. });
                        reasons.push(match error {
                            ObtainError::Peer { .. } => error.to_string(),
                            error => format!("{address}: {error}"),
                        });
                    }
                }
            }
            if !passing || round >= self.files.pace.rounds {
                return Err(ObtainError::NoPeer { model, reasons });
            }
            tracing::warn!("{model}: no node hands it out yet: {}; asking again", reasons.join("; "));
            sleep(self.files.pace.wait(round)).await;
        }
    }
}
