//! Keys.

use std::collections::BTreeMap;

use protocol::account::{CacheUse, KeyLimits, KeyRecord, KeySettings};
use protocol::job::Class;
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// What a key may do, as it is read and shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyForm {
    name: String,
    organisation: Option<String>,
    team: Option<String>,
    admin: bool,
    models: Vec<String>,
    limits: KeyLimits,
    class: Class,
    tags: Vec<String>,
    expires: Option<Moment>,
    guardrails: Vec<String>,
    cache: CacheUse,
    fallbacks: BTreeMap<String, Vec<String>>,
}

impl From<KeySettings> for KeyForm {
    fn from(settings: KeySettings) -> Self {
        // Taken apart, so that a setting more does not compile without its field.
        let KeySettings {
            name,
            organisation,
            team,
            admin,
            models,
            limits,
            class,
            tags,
            expires,
            guardrails,
            cache,
            fallbacks,
        } = settings;
        let expires = expires.map(Moment);
        Self { name, organisation, team, admin, models, limits, class, tags, expires, guardrails, cache, fallbacks }
    }
}

impl From<KeyForm> for KeySettings {
    fn from(form: KeyForm) -> Self {
        Self {
            name: form.name,
            organisation: form.organisation,
            team: form.team,
            admin: form.admin,
            models: form.models,
            limits: form.limits,
            class: form.class,
            tags: form.tags,
            expires: form.expires.map(|moment| moment.0),
            guardrails: form.guardrails,
            cache: form.cache,
            fallbacks: form.fallbacks,
        }
    }
}

/// A key as it is shown: without its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyView {
    object: &'static str,
    id: String,
    created: Moment,
    revoked: bool,
    #[serde(flatten)]
    settings: KeyForm,
    /// Once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl From<KeyRecord> for KeyView {
    fn from(record: KeyRecord) -> Self {
        Self {
            object: "key",
            id: record.id,
            created: Moment(record.created),
            revoked: record.revoked,
            settings: record.settings.into(),
            secret: None,
        }
    }
}

impl KeyView {
    /// With the secret, which is shown only now.
    #[must_use]
    pub fn with_secret(mut self, secret: String) -> Self {
        self.secret = Some(secret);
        self
    }
}

#[cfg(test)]
mod tests;
