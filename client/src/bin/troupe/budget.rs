//! `troupe budget`: how much may be spent.

use std::str::FromStr;

use client::{Client, Manage, Managed};
use protocol::account::{Budget, Increase, Period, Scope, Window, shown};
use protocol::manage::BudgetState;
use protocol::money::Money;
use protocol::units::{Nanos, UnixMillis};
use views::budgets::{ALERTS, BudgetView, ceiling, remaining};
use views::moment::Moment;

use crate::clock;
use crate::failure::{Failure, unexpected};
use crate::key::later;
use crate::out::Out;
use crate::table::{json, or_dash, printable, table};

/// Set, list, raise and remove budgets.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Set a budget, new or in place of the one with this name; requests count that match all that is named.
    Set(Box<Wanted>),
    /// Show all budgets and how they stand.
    List {
        /// As JSON, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Give more for a while, in place of what was given before.
    Increase {
        /// The budget's name.
        name: String,
        /// On top of its limit.
        amount: Money,
        /// Until when: a time, as 2030-01-31, or from now on, as 24h.
        #[arg(long, value_name = "TIME")]
        until: String,
    },
    /// Remove a budget.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct Wanted {
    /// Its name.
    name: String,
    /// The most, for each hour, day, week, month (which it is, if left out), or in total.
    #[arg(value_name = "AMOUNT[/PERIOD]")]
    limit: Allowance,
    /// The time zone of days, weeks and months, as Europe/Berlin; UTC, if left out.
    #[arg(long)]
    zone: Option<String>,
    /// Requests of this organisation.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// Requests of this team.
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Requests of the key with this id.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Requests to this model.
    #[arg(long)]
    model: Option<String>,
    /// Requests with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Requests to this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Hundredths of it at which somebody is told; may be given several times [default: 50, 80 and 100].
    #[arg(long = "alert", value_name = "PERCENT")]
    alerts: Vec<u8>,
    /// It only tells, and refuses nothing.
    #[arg(long)]
    soft: bool,
}

impl Wanted {
    fn budget(&self) -> Result<Budget, Failure> {
        let budget = Budget {
            id: self.name.clone(),
            scope: Scope {
                organisation: self.organisation.clone(),
                team: self.team.clone(),
                key: self.key.clone(),
                model: self.model.clone(),
                tag: self.tag.clone(),
                provider: self.provider.clone(),
            },
            limit: self.limit.amount,
            window: self.limit.window(self.zone.clone()),
            alerts: if self.alerts.is_empty() { ALERTS.to_vec() } else { self.alerts.clone() },
            soft: self.soft,
            increase: None,
        };
        let mut faults: Vec<String> = budget.faults().iter().map(ToString::to_string).collect();
        if let Some(Err(error)) = self.zone.as_deref().map(views::moment::check_zone) {
            faults.push(format!("--zone cannot be used: {error}"));
        }
        if faults.is_empty() { Ok(budget) } else { Err(Failure::Usage(faults.join("; "))) }
    }
}

/// An amount for each period, as `5.00/day`; for each month if that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) amount: Nanos,
    every: Period,
}

impl Allowance {
    pub(crate) fn window(&self, zone: Option<String>) -> Window {
        Window { every: self.every, zone }
    }
}

const PERIODS: [(&str, Period); 5] = [
    ("hour", Period::Hour),
    ("day", Period::Day),
    ("week", Period::Week),
    ("month", Period::Month),
    ("total", Period::Total),
];

impl FromStr for Allowance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (amount, period) = text.split_once('/').unwrap_or((text, "month"));
        let amount: Money = amount.parse().map_err(|error: protocol::money::BadMoney| error.to_string())?;
        let every = PERIODS.iter().find(|(name, _)| *name == period.trim()).map(|(_, every)| *every);
        let every = every.ok_or_else(|| {
            format!(
                "{} is no period: write the budget as 5.00/day, with hour, day, week, month or total",
                shown(period)
            )
        })?;
        if amount.0 == Nanos::ZERO {
            return Err("a budget of nothing refuses everything: give more, or revoke the keys".to_owned());
        }
        Ok(Self { amount: amount.0, every })
    }
}

/// Runs it.
///
/// # Errors
/// There is no such budget, something is wrong with it, or the cluster does not answer.
pub(crate) async fn run(client: &Client, options: &Options, out: &mut Out) -> Result<(), Failure> {
    match &options.verb {
        Verb::Set(wanted) => put(client, wanted.budget()?, out).await,
        Verb::List { json: as_json } => {
            let (budgets, now) = (all(client).await?, clock::now());
            if *as_json {
                let views: Vec<_> = budgets.into_iter().map(|state| BudgetView::new(state, now)).collect();
                return out.write(&json(&views)?);
            }
            out.write(&listed(&budgets, now))
        }
        Verb::Increase { name, amount, until } => {
            let until = later(until, clock::now()).map_err(|problem| Failure::Usage(format!("--until {problem}")))?;
            let mut budget = find(client, name).await?;
            budget.increase = Some(Increase { amount: amount.0, until });
            let faults: Vec<String> = budget.faults().iter().map(ToString::to_string).collect();
            if !faults.is_empty() {
                return Err(Failure::Usage(faults.join("; ")));
            }
            put(client, budget, out).await
        }
        Verb::Remove { name } => {
            match client.manage(Manage::RemoveBudget { id: find(client, name).await?.id }).await? {
                Managed::Done(said) => out.write(&format!("{}\n", printable(&said))),
                other => Err(unexpected(&other)),
            }
        }
    }
}

async fn put(client: &Client, budget: Budget, out: &mut Out) -> Result<(), Failure> {
    match client.manage(Manage::PutBudget(budget)).await? {
        Managed::Budget(state) => out.write(&listed(&[state], clock::now())),
        other => Err(unexpected(&other)),
    }
}

async fn all(client: &Client) -> Result<Vec<BudgetState>, Failure> {
    match client.manage(Manage::ListBudgets).await? {
        Managed::Budgets(budgets) => Ok(budgets),
        other => Err(unexpected(&other)),
    }
}

async fn find(client: &Client, name: &str) -> Result<Budget, Failure> {
    let found = all(client).await?.into_iter().map(|state| state.budget).find(|budget| budget.id == name);
    found.ok_or_else(|| {
        Failure::Wish(format!("there is no budget {}: `troupe budget list` shows those that are there", shown(name)))
    })
}

fn listed(budgets: &[BudgetState], now: UnixMillis) -> String {
    if budgets.is_empty() {
        return "there is no budget: set one with `troupe budget set`\n".to_owned();
    }
    let heads = ["BUDGET", "FOR", "LIMIT", "EVERY", "SPENT", "RESERVED", "LEFT", "RESETS"];
    let row = |state: &BudgetState| {
        let budget = &state.budget;
        let zone = budget.window.zone.as_ref().map_or_else(String::new, |zone| format!(" ({zone})"));
        let every = PERIODS.iter().find(|(_, every)| *every == budget.window.every).map_or("-", |(name, _)| *name);
        let soft = if budget.soft { " (soft)" } else { "" };
        [
            budget.id.clone(),
            scope(&budget.scope),
            format!("{}{soft}", Money(ceiling(budget, now))),
            format!("{every}{zone}"),
            Money(state.settled).to_string(),
            Money(state.reserved).to_string(),
            Money(remaining(state, now)).to_string(),
            or_dash(state.resets.map(|moment| Moment(moment).short())),
        ]
    };
    table(heads, &[2, 4, 5, 6], &budgets.iter().map(row).collect::<Vec<_>>())
}

fn scope(scope: &Scope) -> String {
    let parts = [
        ("organisation", &scope.organisation),
        ("team", &scope.team),
        ("key", &scope.key),
        ("model", &scope.model),
        ("tag", &scope.tag),
        ("provider", &scope.provider),
    ];
    let parts = parts.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}")));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests;
