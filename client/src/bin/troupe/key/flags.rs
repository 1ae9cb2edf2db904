//! What a key may do, on the command line.

use std::collections::BTreeMap;

use protocol::account::{CacheUse, KeySettings, shown};
use protocol::job::Class;
use protocol::units::UnixMillis;
use views::moment::{Moment, span};

use crate::failure::Failure;

/// Fields of a key; what is left out is not touched.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// How people call it.
    #[arg(long)]
    name: Option<String>,
    /// Whose it is, for budgets and reports.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// Which team's, within the organisation.
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// A model that it may ask for; may be given several times. All, if none is.
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// The most requests in any minute.
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u32>,
    /// The most tokens of prompts and answers in any minute.
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<u64>,
    /// The most requests at once.
    #[arg(long, value_name = "N")]
    parallel: Option<u32>,
    /// The most urgent class that it may ask for: bulk, standard or interactive.
    #[arg(long, value_name = "CLASS", value_parser = class)]
    class: Option<Class>,
    /// A label that every request of it carries; may be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// When it ends: a time, as 2030-01-31, or from now on, as 30d.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// A guardrail for its requests; may be given several times.
    #[arg(long = "guardrail", value_name = "NAME")]
    guardrails: Vec<String>,
    /// Answers to it neither come from the answer cache nor go there.
    #[arg(long, overrides_with = "cache")]
    no_cache: bool,
    /// They do.
    #[arg(long)]
    cache: bool,
    /// Where a model's requests go when its budget is spent, the best first; may be given several times.
    #[arg(long = "fallback", value_name = "MODEL=A,B", value_parser = fallback)]
    fallbacks: Vec<(String, Vec<String>)>,
    /// It may manage keys, budgets and nodes.
    #[arg(long)]
    admin: bool,
    /// It may not.
    #[arg(long, overrides_with = "admin")]
    no_admin: bool,
}

/// A field to set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Clear {
    Name,
    Organisation,
    Team,
    Models,
    RequestsPerMinute,
    TokensPerMinute,
    Parallel,
    Class,
    Tags,
    Expires,
    Guardrails,
    Fallbacks,
}

impl Clear {
    /// Sets it back.
    pub(crate) fn apply(self, settings: &mut KeySettings) {
        let KeySettings {
            name, organisation, team, models, limits, class, tags, expires, guardrails, fallbacks, ..
        } = settings;
        match self {
            Self::Name => name.clear(),
            Self::Organisation => *organisation = None,
            Self::Team => *team = None,
            Self::Models => models.clear(),
            Self::RequestsPerMinute => limits.requests_per_minute = None,
            Self::TokensPerMinute => limits.tokens_per_minute = None,
            Self::Parallel => limits.parallel = None,
            Self::Class => *class = Class::default(),
            Self::Tags => tags.clear(),
            Self::Expires => *expires = None,
            Self::Guardrails => guardrails.clear(),
            Self::Fallbacks => fallbacks.clear(),
        }
    }
}

impl Flags {
    /// Writes what is given into settings.
    ///
    /// # Errors
    /// A time that cannot be, or a model with two lists of fallbacks.
    pub(crate) fn apply(&self, settings: &mut KeySettings, now: UnixMillis) -> Result<(), Failure> {
        fn set<T: Clone>(target: &mut T, given: Option<&T>) {
            if let Some(given) = given {
                target.clone_from(given);
            }
        }
        fn set_list(target: &mut Vec<String>, given: &[String]) {
            if !given.is_empty() {
                *target = given.to_vec();
            }
        }
        set(&mut settings.name, self.name.as_ref());
        for (target, given) in [(&mut settings.organisation, &self.organisation), (&mut settings.team, &self.team)] {
            if given.is_some() {
                target.clone_from(given);
            }
        }
        set_list(&mut settings.models, &self.models);
        let limits = &mut settings.limits;
        limits.requests_per_minute = self.requests_per_minute.or(limits.requests_per_minute);
        limits.tokens_per_minute = self.tokens_per_minute.or(limits.tokens_per_minute);
        limits.parallel = self.parallel.or(limits.parallel);
        set(&mut settings.class, self.class.as_ref());
        set_list(&mut settings.tags, &self.tags);
        if let Some(text) = &self.expires {
            settings.expires =
                Some(later(text, now).map_err(|problem| Failure::Usage(format!("--expires {problem}")))?);
        }
        set_list(&mut settings.guardrails, &self.guardrails);
        match (self.no_cache, self.cache) {
            (true, _) => settings.cache = CacheUse::Off,
            (false, true) => settings.cache = CacheUse::On,
            (false, false) => {}
        }
        if !self.fallbacks.is_empty() {
            let mut all = BTreeMap::new();
            for (model, others) in &self.fallbacks {
                if all.insert(model.clone(), others.clone()).is_some() {
                    let model = shown(model);
                    return Err(Failure::Usage(format!("--fallback names {model} twice: give all its models at once")));
                }
            }
            settings.fallbacks = all;
        }
        match (self.admin, self.no_admin) {
            (_, true) => settings.admin = false,
            (true, false) => settings.admin = true,
            (false, false) => {}
        }
        Ok(())
    }
}

/// A time from now on, or one that is named; never one that is past.
pub(crate) fn later(text: &str, now: UnixMillis) -> Result<UnixMillis, String> {
    let moment = match span(text) {
        Ok(span) => now.after(span),
        Err(_) => text.parse::<Moment>().map_err(|error| format!("is wrong: {error}; or from now on, as 30d"))?.0,
    };
    if moment <= now { Err(format!("is {}, which is not later than now", Moment(moment))) } else { Ok(moment) }
}

fn class(text: &str) -> Result<Class, String> {
    let found = Class::ALL.into_iter().find(|class| class.as_str() == text);
    found.ok_or_else(|| "choose bulk, standard or interactive".to_owned())
}

fn fallback(text: &str) -> Result<(String, Vec<String>), String> {
    let bad = || "write it as MODEL=A,B".to_owned();
    let (model, others) = text.split_once('=').ok_or_else(bad)?;
    let others: Vec<String> = others.split(',').map(|other| other.trim().to_owned()).collect();
    if model.trim().is_empty() || others.iter().any(String::is_empty) {
        return Err(bad());
    }
    Ok((model.trim().to_owned(), others))
}

#[cfg(test)]
mod tests;
