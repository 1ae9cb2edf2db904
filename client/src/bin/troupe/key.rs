//! `troupe key`: who may ask, and for how much.
//!
//! A secret is shown once: alone on standard output, so that a script can take it, with a notice beside it on standard
//! error.

use client::{Client, Manage, Managed};
use protocol::account::{Budget, KeyRecord, KeySettings, Scope};
use protocol::units::UnixMillis;
use views::budgets::ALERTS;
use views::keys::KeyView;
use views::moment::Moment;

use crate::budget::Allowance;
use crate::clock;
use crate::failure::{Failure, unexpected};
use crate::out::Out;
use crate::table::{json, or_dash, printable, table};

mod flags;

pub(crate) use flags::later;
use flags::{Clear, Flags};

/// Make, list, change and revoke API keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a key. Its secret is shown only now.
    Create {
        #[command(flatten)]
        flags: Box<Flags>,
        /// What it may cost: an amount, for each hour, day, week, month (which it is, if left out) or in total.
        #[arg(long, value_name = "AMOUNT[/PERIOD]")]
        budget: Option<Allowance>,
        /// As JSON, for programs; with the secret in it.
        #[arg(long)]
        json: bool,
    },
    /// Show all keys.
    List {
        /// As JSON, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Show one key.
    Show {
        /// Its id, as key-….
        id: String,
        /// As JSON, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Change a key: what is not named stays as it is.
    Update {
        /// Its id, as key-….
        id: String,
        #[command(flatten)]
        flags: Box<Flags>,
        /// Set a field back; may be given several times.
        #[arg(long, value_name = "FIELD")]
        clear: Vec<Clear>,
        /// As JSON, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Take a key back, for good.
    Revoke {
        /// Its id, as key-….
        id: String,
    },
}

/// Runs it.
///
/// # Errors
/// There is no such key, something is wrong with it, or the cluster does not answer.
pub(crate) async fn run(client: &Client, options: &Options, out: &mut Out) -> Result<(), Failure> {
    match &options.verb {
        Verb::Create { flags, budget, json: as_json } => {
            let mut settings = KeySettings::default();
            flags.apply(&mut settings, clock::now())?;
            create(client, checked(settings)?, budget.as_ref(), *as_json, out).await
        }
        Verb::List { json: as_json } => {
            let keys = all(client).await?;
            if *as_json {
                return out.write(&json(&keys.into_iter().map(KeyView::from).collect::<Vec<_>>())?);
            }
            out.write(&listed(&keys, clock::now()))
        }
        Verb::Show { id, json: as_json } => show(find(client, id).await?, *as_json, out),
        Verb::Update { id, flags, clear, json: as_json } => {
            let record = find(client, id).await?;
            let mut settings = record.settings.clone();
            clear.iter().for_each(|field| field.apply(&mut settings));
            flags.apply(&mut settings, clock::now())?;
            if settings == record.settings {
                return Err(Failure::Usage(
                    "nothing is to be changed: name what, see `troupe key update --help`".into(),
                ));
            }
            match client.manage(Manage::UpdateKey { key: record.id, settings: checked(settings)? }).await? {
                Managed::Key(record) => show(record, *as_json, out),
                other => Err(unexpected(&other)),
            }
        }
        Verb::Revoke { id } => match client.manage(Manage::RevokeKey { key: find(client, id).await?.id }).await? {
            Managed::Key(record) => out.write(&format!("{} is revoked\n", printable(&record.id))),
            Managed::Done(said) => out.write(&format!("{}\n", printable(&said))),
            other => Err(unexpected(&other)),
        },
    }
}

/// What can be seen to be wrong before anything is sent.
fn checked(settings: KeySettings) -> Result<KeySettings, Failure> {
    let faults: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
    if faults.is_empty() { Ok(settings) } else { Err(Failure::Usage(faults.join("; "))) }
}

async fn create(
    client: &Client,
    settings: KeySettings,
    allowance: Option<&Allowance>,
    as_json: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    let (record, secret) = match client.manage(Manage::CreateKey(settings)).await? {
        Managed::KeyCreated { record, secret } => (record, secret),
        other => return Err(unexpected(&other)),
    };
    if let Some(allowance) = allowance
        && let Err(failure) = client.manage(Manage::PutBudget(budget(&record.id, allowance))).await
    {
        // A key that may spend more than was said must not be left behind.
        let key = record.id.clone();
        let revoked = client.manage(Manage::RevokeKey { key: key.clone() }).await;
        let then = match revoked {
            Ok(_) => format!("{key} was revoked again"),
            Err(error) => format!("{key} is there without a budget and could not be revoked ({error}): revoke it"),
        };
        return Err(Failure::Wish(format!("the budget could not be set ({failure}): {then}")));
    }
    if as_json {
        return out.write(&json(&KeyView::from(record).with_secret(secret))?);
    }
    eprintln!("{} is made. This is its secret, which is shown only now: keep it safe.", printable(&record.id));
    out.write(&format!("{secret}\n"))
}

/// The budget of a key alone; it has the key's name.
fn budget(key: &str, allowance: &Allowance) -> Budget {
    Budget {
        id: key.to_owned(),
        scope: Scope { key: Some(key.to_owned()), ..Scope::default() },
        limit: allowance.amount,
        window: allowance.window(None),
        alerts: ALERTS.to_vec(),
        ..Budget::default()
    }
}

async fn all(client: &Client) -> Result<Vec<KeyRecord>, Failure> {
    match client.manage(Manage::ListKeys).await? {
        Managed::Keys(keys) => Ok(keys),
        other => Err(unexpected(&other)),
    }
}

async fn find(client: &Client, id: &str) -> Result<KeyRecord, Failure> {
    let shown = protocol::account::shown(id);
    let found = all(client).await?.into_iter().find(|key| key.id == id);
    found.ok_or_else(|| Failure::Wish(format!("there is no key {shown}: `troupe key list` shows the ids")))
}

fn state(key: &KeyRecord, now: UnixMillis) -> &'static str {
    if key.revoked {
        "revoked"
    } else if key.settings.expires.is_some_and(|end| end <= now) {
        "expired"
    } else {
        "good"
    }
}

fn joined(list: &[String], none: &str) -> String {
    if list.is_empty() { none.to_owned() } else { list.join(",") }
}

fn listed(keys: &[KeyRecord], now: UnixMillis) -> String {
    if keys.is_empty() {
        return "there is no key but those of the state folder: make one with `troupe key create`\n".to_owned();
    }
    let heads = [
        "KEY",
        "NAME",
        "ORGANISATION",
        "TEAM",
        "MODELS",
        "REQUESTS/MIN",
        "TOKENS/MIN",
        "PARALLEL",
        "CLASS",
        "EXPIRES",
        "STATE",
    ];
    let row = |key: &KeyRecord| {
        let settings = &key.settings;
        let name = if settings.name.is_empty() { "-".to_owned() } else { settings.name.clone() };
        [
            key.id.clone(),
            if settings.admin { format!("{name} (admin)") } else { name },
            or_dash(settings.organisation.as_ref()),
            or_dash(settings.team.as_ref()),
            joined(&settings.models, "all"),
            or_dash(settings.limits.requests_per_minute),
            or_dash(settings.limits.tokens_per_minute),
            or_dash(settings.limits.parallel),
            settings.class.as_str().to_owned(),
            or_dash(settings.expires.map(|end| Moment(end).short())),
            state(key, now).to_owned(),
        ]
    };
    table(heads, &[5, 6, 7], &keys.iter().map(row).collect::<Vec<_>>())
}

fn show(record: KeyRecord, as_json: bool, out: &mut Out) -> Result<(), Failure> {
    if as_json {
        return out.write(&json(&KeyView::from(record))?);
    }
    out.write(&described(&record, clock::now()))
}

fn described(record: &KeyRecord, now: UnixMillis) -> String {
    let settings = &record.settings;
    let limits = &settings.limits;
    let fallbacks: Vec<String> =
        settings.fallbacks.iter().map(|(model, others)| format!("{model}={}", others.join(","))).collect();
    let lines = [
        ("key", record.id.clone()),
        ("state", state(record, now).to_owned()),
        ("name", if settings.name.is_empty() { "-".to_owned() } else { settings.name.clone() }),
        ("organisation", or_dash(settings.organisation.as_ref())),
        ("team", or_dash(settings.team.as_ref())),
        ("admin", if settings.admin { "yes" } else { "no" }.to_owned()),
        ("models", joined(&settings.models, "all")),
        ("requests per minute", or_dash(limits.requests_per_minute)),
        ("tokens per minute", or_dash(limits.tokens_per_minute)),
        ("parallel", or_dash(limits.parallel)),
        ("class", settings.class.as_str().to_owned()),
        ("tags", joined(&settings.tags, "-")),
        ("created", Moment(record.created).to_string()),
        ("expires", or_dash(settings.expires.map(Moment))),
        ("guardrails", joined(&settings.guardrails, "-")),
        ("cache", if settings.cache == protocol::account::CacheUse::On { "on" } else { "off" }.to_owned()),
        ("fallbacks", if fallbacks.is_empty() { "-".to_owned() } else { fallbacks.join(" ") }),
    ];
    lines.iter().map(|(name, value)| format!("{name:<19}  {}\n", printable(value))).collect()
}

#[cfg(test)]
mod tests;
