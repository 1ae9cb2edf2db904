//! What is wrong with a key's settings or a budget, as far as it can be seen without a clock and a list of zones.
//!
//! Rules: every fault names its field, the value and the remedy. A text that looks like a secret is refused where a
//! name should be, and never repeated: names go into logs, reports and headers.

use crate::account::{Budget, KeySettings, Scope};
use crate::money::Money;
use crate::request::{Fault, MAX_TAG_BYTES};
use crate::units::UnixMillis;

/// The most bytes of a name, of an organisation, a team or a guardrail.
pub const MAX_NAME_BYTES: usize = 128;
/// The most bytes of a model's name.
pub const MAX_MODEL_BYTES: usize = 256;
/// The most labels of a key.
pub const MAX_KEY_TAGS: usize = 64;
/// The most models that a key may be held to.
pub const MAX_KEY_MODELS: usize = 256;
/// The most guardrails of a key.
pub const MAX_GUARDRAILS: usize = 64;
/// The most models with fallbacks, and the most fallbacks of one.
pub const MAX_FALLBACKS: usize = 32;
/// The most shares of a budget at which somebody is told.
pub const MAX_ALERTS: usize = 16;
/// The last moment that can be written as a date.
pub const MAX_MOMENT: UnixMillis = UnixMillis(253_402_207_200_000);
/// The most bytes of a time zone's name.
const MAX_ZONE_BYTES: usize = 64;

/// How many characters of a wrong value are repeated.
const SHOWN: usize = 40;

/// Beginnings of keys of ours, of providers and of join tokens, and how many characters follow at least.
const SECRETS: [(&str, usize); 6] =
    [("sk-", 12), ("AIza", 20), ("xai-", 20), ("gsk_", 20), ("troupe1.", 20), ("Bearer ", 1)];

/// Whether a text looks like something that must not be shown: an API key, of ours or of a provider, or a join token.
pub fn looks_secret(text: &str) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    SECRETS.iter().any(|(prefix, least)| {
        text.match_indices(prefix).any(|(at, _)| {
            let begins = at == 0 || text.as_bytes().get(at - 1).is_none_or(|before| !before.is_ascii_alphanumeric());
            let rest = text.as_bytes().get(at + prefix.len()..).unwrap_or_default();
            begins && rest.iter().take_while(|byte| is_part(byte)).count() >= *least
        })
    })
}

/// A wrong value as an error may show it: not too much of it, and nothing that looks like a secret.
pub fn shown(value: &str) -> String {
    if looks_secret(value) {
        return "(hidden: it looks like a secret)".to_owned();
    }
    let plain = |c: char| if c.is_control() { '?' } else { c };
    let start: String = value.chars().take(SHOWN).map(plain).collect();
    if value.chars().nth(SHOWN).is_some() { format!("'{start}…'") } else { format!("'{start}'") }
}

/// Collects faults.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Fault { field: field.into(), problem: problem.into() });
    }

    /// A name: something, not too much of it, plain, and no secret.
    fn name(&mut self, field: &str, name: &str, most: usize) {
        if name.trim().is_empty() {
            self.add(field, "is empty: give at least one character, or leave it out");
        } else if looks_secret(name) {
            self.add(field, "looks like a secret, which must not be in logs and reports: give a name");
        } else if name.len() > most {
            self.add(field, format!("has {} bytes: give at most {most}", name.len()));
        } else if name.chars().any(char::is_control) {
            self.add(field, format!("is {}, with control characters: leave them out", shown(name)));
        }
    }

    fn maybe(&mut self, field: &str, name: Option<&String>, most: usize) {
        if let Some(name) = name {
            self.name(field, name, most);
        }
    }

    /// Names in a list that is not too long.
    fn names(&mut self, field: &str, names: &[String], most: usize, bytes: usize) {
        if names.len() > most {
            self.add(field, format!("has {} entries: give at most {most}", names.len()));
            return;
        }
        for (at, name) in names.iter().enumerate() {
            self.name(&format!("{field}[{at}]"), name, bytes);
        }
    }

    fn limit(&mut self, field: &str, limit: Option<u64>) {
        if limit == Some(0) {
            self.add(field, "is 0: give at least 1, leave it out for no limit, or revoke the key");
        }
    }

    fn moment(&mut self, field: &str, moment: UnixMillis) {
        if moment.0 == 0 || moment > MAX_MOMENT {
            self.add(field, format!("is {} ms after 1970: give a time from then to the year 9999", moment.0));
        }
    }

    fn tag(&mut self, field: &str, tag: &str) {
        if tag.contains(',') {
            self.add(field, format!("is {}, with a comma, which stands between tags: leave it out", shown(tag)));
        }
    }
}

impl KeySettings {
    /// Everything that is wrong with these settings, by field.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        if !self.name.is_empty() {
            faults.name("name", &self.name, MAX_NAME_BYTES);
        }
        faults.maybe("organisation", self.organisation.as_ref(), MAX_NAME_BYTES);
        faults.maybe("team", self.team.as_ref(), MAX_NAME_BYTES);
        faults.names("models", &self.models, MAX_KEY_MODELS, MAX_MODEL_BYTES);
        faults.limit("limits.requests_per_minute", self.limits.requests_per_minute.map(u64::from));
        faults.limit("limits.tokens_per_minute", self.limits.tokens_per_minute);
        faults.limit("limits.parallel", self.limits.parallel.map(u64::from));
        faults.names("tags", &self.tags, MAX_KEY_TAGS, MAX_TAG_BYTES);
        if self.tags.len() <= MAX_KEY_TAGS {
            for (at, tag) in self.tags.iter().enumerate() {
                faults.tag(&format!("tags[{at}]"), tag);
            }
        }
        if let Some(moment) = self.expires {
            faults.moment("expires", moment);
        }
        faults.names("guardrails", &self.guardrails, MAX_GUARDRAILS, MAX_NAME_BYTES);
        self.check_fallbacks(&mut faults);
        faults.0
    }

    fn check_fallbacks(&self, faults: &mut Faults) {
        if self.fallbacks.len() > MAX_FALLBACKS {
            let count = self.fallbacks.len();
            faults.add("fallbacks", format!("has {count} models: give at most {MAX_FALLBACKS}"));
            return;
        }
        for (model, others) in &self.fallbacks {
            // The model's name stands in the field's: it must be fit to be shown.
            let field = if looks_secret(model) || model.len() > MAX_MODEL_BYTES || model.chars().any(char::is_control) {
                "fallbacks".to_owned()
            } else {
                format!("fallbacks.{model}")
            };
            faults.name(&field, model, MAX_MODEL_BYTES);
            if others.is_empty() {
                faults.add(field.clone(), "has no models: name at least one, or leave it out");
            }
            faults.names(&field, others, MAX_FALLBACKS, MAX_MODEL_BYTES);
            if others.contains(model) {
                faults.add(field, "names the model itself: name others, to which its requests may go");
            }
        }
    }
}

impl Budget {
    /// Everything that is wrong with this budget, by field; whether its time zone exists is not known here.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        faults.name("id", &self.id, MAX_NAME_BYTES);
        self.scope.check(&mut faults);
        if self.limit.0 == 0 {
            faults.add("limit", "is 0: give at least 0.000000001, or revoke the keys that may not spend");
        }
        if let Some(zone) = &self.window.zone {
            faults.name("window.zone", zone, MAX_ZONE_BYTES);
        }
        if self.alerts.len() > MAX_ALERTS {
            faults.add("alerts", format!("has {} shares: give at most {MAX_ALERTS}", self.alerts.len()));
        } else {
            for (at, share) in self.alerts.iter().enumerate() {
                if !(1..=100).contains(share) {
                    faults.add(format!("alerts[{at}]"), format!("is {share}: give hundredths from 1 to 100"));
                }
            }
        }
        if let Some(increase) = self.increase {
            faults.moment("increase.until", increase.until);
            if increase.amount.0 == 0 {
                faults.add("increase.amount", "is 0: give more, or leave the increase out");
            }
            if self.limit.checked_add(increase.amount).is_none() {
                let (limit, amount) = (Money(self.limit), Money(increase.amount));
                faults.add("increase.amount", format!("is {amount}, which does not fit on top of {limit}: lower it"));
            }
        }
        faults.0
    }
}

impl Scope {
    fn check(&self, faults: &mut Faults) {
        for (field, value, most) in [
            ("scope.organisation", &self.organisation, MAX_NAME_BYTES),
            ("scope.team", &self.team, MAX_NAME_BYTES),
            ("scope.key", &self.key, MAX_NAME_BYTES),
            ("scope.model", &self.model, MAX_MODEL_BYTES),
            ("scope.tag", &self.tag, MAX_TAG_BYTES),
            ("scope.provider", &self.provider, MAX_NAME_BYTES),
        ] {
            faults.maybe(field, value.as_ref(), most);
        }
    }
}

#[cfg(test)]
mod tests;
