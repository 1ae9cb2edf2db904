//! Where keys, budgets and usage are kept, and who is told when money runs out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::count;
use super::parse::{ConfigFault, fault};
use super::secs;
use crate::units::Span;

/// Where keys, budgets and usage are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accounts {
    /// The file; `store.redb` in the coordinator's state folder if left out.
    pub store: Option<PathBuf>,
    /// The coordinator that keeps keys, budgets and usage for all, `HOST:PORT` of its QUIC; this one if left out.
    pub holder: Option<String>,
    /// How often usage goes to the holder.
    pub settle_every: Span,
    /// How long a coordinator may spend of shared budgets without a word of the holder; then it refuses.
    pub grant: Span,
    /// How long usage is kept request by request; then by day.
    pub keep: Span,
    /// Where alerts go, as a POST of JSON; only to the log if left out.
    pub webhook: Option<String>,
    /// How long an idempotency key is known.
    pub idempotency_ttl: Span,
    /// Idempotency keys that are known.
    pub idempotency_keys: u32,
    /// Decisions that `troupe explain` can tell of.
    pub explanations: u32,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            store: None,
            holder: None,
            settle_every: secs(1),
            grant: secs(10),
            keep: secs(90 * 24 * 3600),
            webhook: None,
            idempotency_ttl: secs(24 * 3600),
            idempotency_keys: 65_536,
            explanations: 4_096,
        }
    }
}

impl Accounts {
    pub(super) fn check(&self, found: &mut Vec<ConfigFault>) {
        let year = secs(10 * 365 * 24 * 3600);
        for (key, value, least, most) in [
            ("settle_every", self.settle_every, super::millis(50), secs(60)),
            ("grant", self.grant, super::millis(200), secs(600)),
            ("keep", self.keep, secs(24 * 3600), year),
            ("idempotency_ttl", self.idempotency_ttl, secs(1), secs(30 * 24 * 3600)),
        ] {
            if value < least || value > most {
                found.push(fault(format!("accounts.{key}"), format!("is {value}: give {least} to {most}")));
            }
        }
        if self.grant.0 < self.settle_every.0.saturating_mul(2) {
            let message =
                format!("is {}: give at least twice accounts.settle_every ({})", self.grant, self.settle_every);
            found.push(fault("accounts.grant", message));
        }
        count(found, "accounts.idempotency_keys".to_owned(), self.idempotency_keys, 16_777_216);
        count(found, "accounts.explanations".to_owned(), self.explanations, 1_048_576);
        if let Some(holder) = self.holder.as_ref().filter(|holder| !super::check::is_address(holder)) {
            found.push(fault("accounts.holder", format!("'{holder}' is not HOST:PORT")));
        }
        let http = |url: &&String| url.starts_with("http://") || url.starts_with("https://");
        if let Some(webhook) = self.webhook.as_ref().filter(|url| !http(url)) {
            found.push(fault("accounts.webhook", format!("is '{webhook}': give http://… or https://…")));
        }
    }
}
