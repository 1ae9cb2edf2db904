//! `troupe cost plan`: what a workload would cost, by any price list and on own hardware. It asks no cluster.

use std::fs;
use std::path::PathBuf;

use policy::plan::{BadPlan, Bill, Offer, Routed, Tier, Workload};
use policy::prices::{Hardware, List};
use protocol::money::Money;
use protocol::units::{Percent, Tokens};

use crate::failure::Failure;
use crate::out::Out;

mod show;

/// The hardware whose figures stand in for those that are left out.
const USUAL: &str = "a100-8b";
/// What hardware is called that the command line describes.
const OWN: &str = "own";
/// What is compared if nothing is named.
const COMPARED: [&str; 3] = ["gpt-4-turbo", "claude-3-haiku-20240307", USUAL];
/// How requests are routed if nothing is said.
const ROUTED: [(&str, u8); 2] = [("claude-3-haiku-20240307", 70), ("gpt-4-turbo", 30)];

/// What answers cost.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Say what a workload would cost in a day and in a month, and what routing saves. Needs no cluster.
    Plan(Plan),
}

#[derive(Debug, Clone, clap::Args)]
struct Plan {
    /// Requests in a day.
    #[arg(long, value_name = "N", default_value_t = Workload::REFERENCE.requests, allow_negative_numbers = true)]
    requests: u64,
    /// Tokens of a prompt.
    #[arg(long, value_name = "TOKENS", default_value_t = Workload::REFERENCE.prompt.0, allow_negative_numbers = true)]
    prompt: u64,
    /// Tokens of an answer.
    #[arg(long, value_name = "TOKENS", default_value_t = Workload::REFERENCE.answer.0, allow_negative_numbers = true)]
    answer: u64,
    /// How much of the prompts comes from a cache.
    #[arg(long, value_name = "SHARE", default_value = "0%", allow_negative_numbers = true)]
    cached: Percent,
    /// How many times the mean the busiest moment has.
    #[arg(long, value_name = "FACTOR", default_value = "3", value_parser = hundredths, allow_negative_numbers = true)]
    peak: u32,
    /// Days in a month.
    #[arg(long, value_name = "N", default_value_t = Workload::REFERENCE.days, allow_negative_numbers = true)]
    days: u32,
    /// Who might answer everything: a model or hardware of a list, or `own`; may be given again.
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Who answers which share of the requests when they are routed; all shares make 100%.
    #[arg(long = "mix", value_name = "NAME=SHARE", value_parser = tier)]
    mix: Vec<(String, Percent)>,
    /// A list of prices, as policy/src/prices/list.toml; its entries go before those of the program.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Own hardware: what one GPU costs for an hour. What is left out of own hardware is as an A100 with a model of 8B.
    #[arg(long, value_name = "MONEY", allow_negative_numbers = true)]
    gpu_hour: Option<Money>,
    /// Own hardware: GPUs that make up one unit.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    gpus: Option<u32>,
    /// Own hardware: prompt tokens that a unit computes in a second, if it does nothing else.
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true)]
    prefill: Option<u32>,
    /// Own hardware: answer tokens, likewise.
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true)]
    decode: Option<u32>,
    /// Units of own hardware that there are; as many as the peak needs, if left out.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    units: Option<u64>,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// `2.5` as 250.
fn hundredths(text: &str) -> Result<u32, String> {
    let bad = || "write a factor such as 3 or 2.5, with at most two decimals".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 2 {
        return Err(bad());
    }
    let (whole, part): (u32, u32) =
        (whole.parse().map_err(|_| bad())?, format!("{part:0<2}").parse().map_err(|_| bad())?);
    whole.checked_mul(100).and_then(|whole| whole.checked_add(part)).ok_or_else(bad)
}

/// `gpt-4o=30%`.
fn tier(text: &str) -> Result<(String, Percent), String> {
    let (name, share) =
        text.rsplit_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write NAME=SHARE, such as gpt-4o=30%")?;
    Ok((name.to_owned(), share.parse().map_err(|error: protocol::units::BadUnit| error.to_string())?))
}

/// Who might answer, as it is shown.
#[derive(Debug)]
struct Named {
    name: String,
    offer: Offer,
    date: String,
    source: String,
    note: String,
}

/// A whole plan.
#[derive(Debug)]
struct Report {
    workload: Workload,
    currency: String,
    alone: Vec<(Named, Bill)>,
    tiers: Vec<(Named, Percent)>,
    routed: Routed,
}

/// Runs it.
///
/// # Errors
/// A flag, or a file that one names, is wrong.
pub(crate) fn run(options: &Options, out: &mut Out) -> Result<(), Failure> {
    let Verb::Plan(plan) = &options.verb;
    let report = plan.report(plan.list()?)?;
    if plan.json {
        let text = serde_json::to_string_pretty(&show::json(&report)).map_err(|error| Failure::Output(error.into()))?;
        return out.write(&format!("{text}\n"));
    }
    out.write(&show::table(&report))
}

impl Plan {
    /// The list in the program, and over it the one that a flag names.
    fn list(&self) -> Result<List, Failure> {
        let list = List::built_in();
        let Some(path) = &self.prices else { return Ok(list) };
        let usage = |problem: String| Failure::Usage(format!("--prices {}: {problem}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| {
            usage(format!("cannot be read: {error}; give a file such as policy/src/prices/list.toml"))
        })?;
        let own = List::parse(&text).map_err(|error| usage(error.to_string()))?;
        Ok(own.from(&path.display().to_string()).over(list))
    }

    /// The hardware that flags describe.
    fn own(&self) -> Result<Option<Hardware>, Failure> {
        if self.gpu_hour.is_none() && self.gpus.is_none() && self.prefill.is_none() && self.decode.is_none() {
            return Ok(None);
        }
        let usual = List::built_in().hardware.remove(USUAL).unwrap_or_default();
        let speed = if self.prefill.is_some() && self.decode.is_some() { "as given" } else { "what is not given as" };
        let hardware = Hardware {
            model: "own".into(),
            gpu_hour: self.gpu_hour.unwrap_or(usual.gpu_hour),
            gpus: self.gpus.unwrap_or(usual.gpus),
            prefill: self.prefill.unwrap_or(usual.prefill),
            decode: self.decode.unwrap_or(usual.decode),
            date: String::new(),
            source: if speed == "as given" { speed.to_owned() } else { format!("{speed} {USUAL}") },
        };
        // Its entries are called as the flags are.
        hardware.check("-").map_err(|error| Failure::Usage(flag(&error.to_string())))?;
        Ok(Some(hardware))
    }

    fn report(&self, mut list: List) -> Result<Report, Failure> {
        if self.units == Some(0) {
            return Err(Failure::Usage(
                "--units is 0: give at least 1, or leave it out for as many as are needed".into(),
            ));
        }
        let own = self.own()?;
        let has_own = own.is_some();
        list.hardware.extend(own.map(|own| (OWN.to_owned(), own)));
        let workload = Workload {
            requests: self.requests,
            prompt: Tokens(self.prompt),
            answer: Tokens(self.answer),
            cached: self.cached,
            peak: self.peak,
            days: self.days,
        };
        let mut names = self.models.clone();
        if names.is_empty() {
            names.extend(COMPARED.map(str::to_owned));
        }
        if has_own && !names.iter().any(|name| name == OWN) {
            names.push(OWN.to_owned());
        }
        let mut alone = Vec::new();
        for name in &names {
            let named = self.find(&list, "--model", name)?;
            let bill = workload.bill(&named.offer).map_err(usage)?;
            alone.push((named, bill));
        }
        let mut mix = self.mix.clone();
        if mix.is_empty() {
            mix.extend(ROUTED.map(|(name, share)| (name.to_owned(), Percent(share))));
        }
        let mut tiers = Vec::new();
        for (name, share) in &mix {
            tiers.push((self.find(&list, "--mix", name)?, *share));
        }
        let offers: Vec<Tier> =
            tiers.iter().map(|(named, share)| Tier { share: *share, offer: named.offer.clone() }).collect();
        let routed = workload.route(&offers).map_err(usage)?;
        Ok(Report { workload, currency: list.currency, alone, tiers, routed })
    }

    fn find(&self, list: &List, flag: &str, name: &str) -> Result<Named, Failure> {
        let named = |offer, date: &str, source: &str, note: &str| Named {
            name: name.to_owned(),
            offer,
            date: date.to_owned(),
            source: source.to_owned(),
            note: note.to_owned(),
        };
        if let Some(hardware) = list.hardware.get(name) {
            let offer = Offer::Own { hardware: hardware.clone(), units: self.units };
            return Ok(named(offer, &hardware.date, &hardware.source, ""));
        }
        if let Some(listed) = list.models.get(name) {
            return Ok(named(Offer::Price(listed.price), &listed.date, &listed.source, &listed.note));
        }
        let known: Vec<&str> = list.models.keys().chain(list.hardware.keys()).map(String::as_str).collect();
        Err(Failure::Usage(format!(
            "{flag} '{name}': no list has it; put it in a file for --prices, or name one of {}",
            known.join(", ")
        )))
    }
}

/// `-.gpu_hour is …` as `--gpu-hour is …`.
fn flag(problem: &str) -> String {
    let rest = problem.strip_prefix("-.").unwrap_or(problem);
    let (key, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    format!("--{} {rest}", key.replace('_', "-"))
}

fn usage(error: BadPlan) -> Failure {
    let flag = match error {
        BadPlan::TooMuch(_) => "--requests",
        BadPlan::Shares(_) => "--mix",
        BadPlan::Cached(_) => "--cached",
        BadPlan::Peak(_) => "--peak",
        BadPlan::Days(_) => "--days",
    };
    Failure::Usage(format!("{flag}: {error}"))
}

#[cfg(test)]
mod tests;
