//! `troupe usage`: what requests have used and what it cost, summed up for people, or each for itself for programs.

use std::collections::BTreeMap;

use client::{Client, Manage, Managed};
use protocol::account::UsageRecord;
use protocol::manage::UsageQuery;
use protocol::money::Money;
use protocol::units::{Nanos, Tokens, UnixMillis};
use views::moment::{Moment, span};
use views::usage::{csv, json_lines};

use crate::clock;
use crate::failure::{Failure, unexpected};
use crate::out::Out;
use crate::table::table;

/// Records of one question.
const PAGE: u32 = 1000;

/// See what requests have used and what it cost.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(flatten)]
    filter: Filter,
    /// Every record as CSV, instead of sums.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Every record as a JSON object on a line of its own, instead of sums.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Write every record.
    #[command(group = clap::ArgGroup::new("format").required(true))]
    Export {
        #[command(flatten)]
        filter: Filter,
        /// As CSV.
        #[arg(long, group = "format")]
        csv: bool,
        /// As JSON, an object on each line.
        #[arg(long, group = "format")]
        json: bool,
    },
}

/// Which records.
#[derive(Clone, Debug, Default, clap::Args)]
struct Filter {
    /// From then on: a time, as 2030-01-31, or so long ago, as 7d.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before then; likewise.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Of the key with this id.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// To this model.
    #[arg(long)]
    model: Option<String>,
    /// With this tag.
    #[arg(long)]
    tag: Option<String>,
}

impl Filter {
    fn query(&self, now: UnixMillis) -> Result<UsageQuery, Failure> {
        let moment = |name: &str, text: &Option<String>| {
            let read =
                |text: &String| earlier(text, now).map_err(|problem| Failure::Usage(format!("--{name} {problem}")));
            text.as_ref().map(read).transpose()
        };
        let (since, until) = (moment("since", &self.since)?, moment("until", &self.until)?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            let (since, until) = (Moment(since), Moment(until));
            return Err(Failure::Usage(format!("--until is {until}, not after --since, {since}: give a later time")));
        }
        let (key, model, tag) = (self.key.clone(), self.model.clone(), self.tag.clone());
        Ok(UsageQuery { since, until, key, model, tag, after: None, limit: PAGE })
    }
}

/// A time that is named, or so long ago.
fn earlier(text: &str, now: UnixMillis) -> Result<UnixMillis, String> {
    match span(text) {
        Ok(span) => Ok(UnixMillis(now.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))),
        Err(_) => text
            .parse::<Moment>()
            .map(|moment| moment.0)
            .map_err(|error| format!("is wrong: {error}; or so long ago, as 7d")),
    }
}

#[derive(Clone, Copy)]
enum Format {
    Csv,
    Lines,
}

/// Runs it.
///
/// # Errors
/// Something is wrong with what is asked, or the cluster does not answer.
pub(crate) async fn run(client: &Client, options: &Options, out: &mut Out) -> Result<(), Failure> {
    let (filter, as_csv, as_json) = match &options.verb {
        Some(Verb::Export { filter, csv, json }) => (filter, *csv, *json),
        None => (&options.filter, options.csv, options.json),
    };
    let query = filter.query(clock::now())?;
    let format = match (as_csv, as_json) {
        (true, _) => Some(Format::Csv),
        (false, true) => Some(Format::Lines),
        (false, false) => None,
    };
    let mut sums = Sums::default();
    let mut pages = Pages { client, query: Some(query), first: true };
    while let Some((records, first)) = pages.next().await? {
        match format {
            Some(format) => out.write(&written(format, &records, first)?)?,
            None => sums.add(&records),
        }
    }
    if format.is_some() { Ok(()) } else { out.write(&sums.table()) }
}

fn written(format: Format, records: &[UsageRecord], first: bool) -> Result<String, Failure> {
    let bytes = match format {
        Format::Csv => csv(records, first),
        Format::Lines => json_lines(records),
    };
    let bytes = bytes.map_err(Failure::Output)?;
    String::from_utf8(bytes).map_err(|error| Failure::Output(std::io::Error::other(error)))
}

/// One page after the other.
struct Pages<'c> {
    client: &'c Client,
    /// The next one's; none after the last.
    query: Option<UsageQuery>,
    first: bool,
}

impl Pages<'_> {
    /// The next page, and whether it is the first.
    async fn next(&mut self) -> Result<Option<(Vec<UsageRecord>, bool)>, Failure> {
        let Some(query) = self.query.take() else { return Ok(None) };
        match self.client.manage(Manage::Usage(query.clone())).await? {
            Managed::Usage { records, next } => {
                if next.is_some() && next <= query.after {
                    return Err(Failure::Wish(
                        "the cluster's usage does not go on after a page: report this as a fault".into(),
                    ));
                }
                self.query = next.map(|place| UsageQuery { after: Some(place), ..query });
                Ok(Some((records, std::mem::replace(&mut self.first, false))))
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// Sums by key and model. As many as there are of these, however many records.
#[derive(Default)]
struct Sums(BTreeMap<(String, String), Sum>);

#[derive(Clone, Copy, Default)]
struct Sum {
    requests: u64,
    prompt: Tokens,
    cached: Tokens,
    completion: Tokens,
    cost: Nanos,
}

impl Sum {
    fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        self.prompt += more.prompt;
        self.cached += more.cached;
        self.completion += more.completion;
        self.cost += more.cost;
    }

    fn cells(&self) -> [String; 5] {
        let numbers = [self.requests, self.prompt.0, self.cached.0, self.completion.0].map(|number| number.to_string());
        let [requests, prompt, cached, completion] = numbers;
        [requests, prompt, cached, completion, Money(self.cost).to_string()]
    }
}

impl Sums {
    fn add(&mut self, records: &[UsageRecord]) {
        for record in records {
            let model = match &record.subject.provider {
                Some(provider) if !record.subject.model.starts_with(&format!("{provider}/")) => {
                    format!("{provider}/{}", record.subject.model)
                }
                _ => record.subject.model.clone(),
            };
            let one = Sum {
                requests: 1,
                prompt: record.prompt,
                cached: record.cached,
                completion: record.completion,
                cost: record.cost,
            };
            self.0.entry((record.subject.key.clone(), model)).or_default().add(&one);
        }
    }

    fn table(&self) -> String {
        if self.0.is_empty() {
            return "nothing was used\n".to_owned();
        }
        let row = |key: &str, model: &str, sum: &Sum| {
            let [requests, prompt, cached, completion, cost] = sum.cells();
            [key.to_owned(), model.to_owned(), requests, prompt, cached, completion, cost]
        };
        let mut total = Sum::default();
        let mut rows = Vec::with_capacity(self.0.len() + 1);
        for ((key, model), sum) in &self.0 {
            total.add(sum);
            rows.push(row(key, model, sum));
        }
        rows.push(row("total", "", &total));
        table(["KEY", "MODEL", "REQUESTS", "PROMPT", "CACHED", "ANSWER", "COST"], &[2, 3, 4, 5, 6], &rows)
    }
}

#[cfg(test)]
mod tests;
