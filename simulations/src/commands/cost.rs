//! `simulations cost`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use policy::complexity::LinearScorer;
use policy::complexity::tiers::Mode;
use policy::prices::List;
use protocol::units::Percent;
use simulations::economics::compared::auto;
use simulations::economics::offers::{self, Priced};
use simulations::economics::policies::{Choose, Policy};
use simulations::economics::prompts::Pool;
use simulations::economics::report::{Month, Report};
use simulations::economics::run::{Stage, TURNS};
use simulations::economics::setting::{Mix, Setting};
use simulations::economics::{json, plot};

use crate::Failure;

/// Says in which folder labelled prompts lie, if not beside the checkout; as for the tests of `training`.
const VARIABLE: &str = "TROUPE_ROUTING_DATA";
const FILE: &str = "llmrouter_9models_train.jsonl";

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Labelled prompts, a JSON object a line; by default the file in the folder TROUPE_ROUTING_DATA, or in
    /// ../shared/routing, and made-up prompts without quality where there is none.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Take made-up prompts, even where there are labelled ones: then there is no quality.
    #[arg(long, conflicts_with_all = ["data", "learn", "plot"])]
    made_up: bool,
    /// A list of prices, as policy/src/prices/list.toml; its entries go before those of the program.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// The workload, the mixes and the budgets, as simulations/economics.toml, in its place.
    #[arg(long, value_name = "FILE")]
    setting: Option<PathBuf>,
    /// Only this mix; may be given again. All, if left out.
    #[arg(long = "mix", value_name = "NAME")]
    mixes: Vec<String>,
    /// Requests in a day, in place of the setting's.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    requests: Option<u32>,
    /// Days of a month, in place of the setting's.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    days: Option<u32>,
    /// Coordinators of a second month, which share its budgets; 1 for no such month.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    coordinators: u8,
    /// How much of the prompts comes from a cache.
    #[arg(long, value_name = "SHARE", default_value = "0%", allow_negative_numbers = true)]
    cached: Percent,
    /// Also learn weights anew: to choose a cut on prompts that are not measured on, and to see what is left on tasks
    /// never seen. Takes half a minute.
    #[arg(long)]
    learn: bool,
    /// Decides everything that is drawn.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Plot savings against quality, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// What went wrong, in one line.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (setting, list) = (options.setting()?, options.list()?);
    let scorer = LinearScorer::built_in()?;
    let (pool, prompts) = options.pool(&scorer)?;
    let mixes = options.mixes(&setting)?;
    let from = options.setting.as_ref().map_or("simulations/economics.toml".into(), |path| path.display().to_string());
    let find = |(at, mix): &(usize, Mix)| {
        Priced::find(mix, *at, &list, &setting.workload).map_err(|error| format!("{from}: {error}"))
    };
    let priced = mixes.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let stage = Stage::new(&setting.workload, &pool, &scorer, &TURNS, options.learn, options.seed);
    let all = priced.iter().map(|priced| stage.mix(priced)).collect::<Result<Vec<_>, _>>();
    let mixes = all.map_err(|error| format!("{from}: {error}"))?;
    let mut months = Vec::new();
    if let Some(first) = priced.first().filter(|_| !setting.budgets.is_empty()) {
        let bench = stage.bench(first)?;
        let large = Policy::new("always the best tier, without budgets of a tier", Choose::Always(first.top()));
        let untied: Vec<_> = setting.budgets.iter().filter(|limit| limit.tier.is_none()).cloned().collect();
        let balanced = auto(Mode::Balanced, first.tiers.len())?;
        let mut runs = vec![(&balanced, &setting.budgets, 1), (&large, &untied, 1)];
        if options.coordinators > 1 {
            runs.insert(1, (&balanced, &setting.budgets, options.coordinators));
        }
        for (policy, limits, coordinators) in runs {
            let ran = stage.month(&bench, policy, limits, coordinators).map_err(|error| format!("{from}: {error}"))?;
            months.push(Month { mix: first.mix.name.clone(), policy: policy.name.clone(), coordinators, ran });
        }
    }
    let (workload, currency, seed) = (setting.workload.clone(), list.currency.clone(), options.seed);
    let report = Report { workload, currency, prompts, seed, mixes, months };
    if let Some(path) = &options.plot {
        super::write(path, &plot::svg(&report)?)?;
    }
    if let Some(path) = &options.json {
        super::write(path, &format!("{}\n", serde_json::to_string_pretty(&json::json(&report))?))?;
    }
    super::print(&report.text())
}

fn read(flag: &str, path: &Path, remedy: &str) -> Result<String, Failure> {
    let told = |error| format!("--{flag} {}: cannot be read: {error}; give a file such as {remedy}", path.display());
    fs::read_to_string(path).map_err(|error| told(error).into())
}

impl Options {
    fn setting(&self) -> Result<Setting, Failure> {
        let mut setting = match &self.setting {
            None => Setting::built_in()?,
            Some(path) => {
                let text = read("setting", path, "simulations/economics.toml")?;
                Setting::parse(&text).map_err(|error| format!("--setting {}: {error}", path.display()))?
            }
        };
        setting.workload.requests = self.requests.unwrap_or(setting.workload.requests);
        setting.workload.days = self.days.unwrap_or(setting.workload.days);
        setting.workload.cached = self.cached;
        // With the flags in the names' place, where a flag gave the number.
        setting.check().map_err(|error| {
            let text = error.to_string();
            let flag = |field: &str| text.replace(&format!("workload.{field}"), &format!("--{field}"));
            match (self.requests, self.days) {
                (Some(_), _) if text.starts_with("workload.requests") => flag("requests"),
                (_, Some(_)) if text.starts_with("workload.days") => flag("days"),
                _ => text,
            }
        })?;
        Ok(setting)
    }

    fn list(&self) -> Result<List, Failure> {
        let list = offers::built_in()?;
        let Some(path) = &self.prices else { return Ok(list) };
        let text = read("prices", path, "policy/src/prices/list.toml")?;
        let own = List::parse(&text).map_err(|error| format!("--prices {}: {error}", path.display()))?;
        Ok(own.from(&path.display().to_string()).over(list))
    }

    fn mixes(&self, setting: &Setting) -> Result<Vec<(usize, Mix)>, Failure> {
        let known = || setting.mixes.iter().map(|mix| mix.name.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(name) = self.mixes.iter().find(|name| !setting.mixes.iter().any(|mix| mix.name == **name)) {
            return Err(format!("--mix '{name}': there is no such mix; name one of {}", known()).into());
        }
        let wanted = |mix: &Mix| self.mixes.is_empty() || self.mixes.contains(&mix.name);
        Ok(setting.mixes.iter().cloned().enumerate().filter(|(_, mix)| wanted(mix)).collect())
    }

    fn pool(&self, scorer: &LinearScorer) -> Result<(Pool, String), Failure> {
        let beside = || {
            let folder = std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from("../shared/routing"), PathBuf::from);
            Some(folder.join(FILE)).filter(|file| file.is_file())
        };
        let path = if self.made_up { None } else { self.data.clone().or_else(beside) };
        let Some(path) = path else {
            if self.learn || self.plot.is_some() {
                let flag = if self.learn { "--learn" } else { "--plot" };
                return Err(format!("{flag} needs labelled prompts: name their file with --data FILE").into());
            }
            let pool = Pool::made_up(self.seed, scorer);
            let count = pool.items.len();
            return Ok((pool, format!("prompts: {count} made up, as there are no labelled ones: quality is not told")));
        };
        let pool = Pool::labelled(&path, scorer)?;
        let text = format!(
            "prompts: {} of {}, the fifth by a fixed seed that the weights have not seen (they were learned from the other {})",
            pool.items.len(),
            path.file_name().unwrap_or_default().to_string_lossy(),
            pool.learned.len()
        );
        Ok((pool, text))
    }
}
