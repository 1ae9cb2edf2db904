//! `troupe explain` and `troupe prices`: why a request went where it went, and what everything costs.

use client::{Client, Manage, Managed};
use protocol::ids::RequestId;
use protocol::manage::{Candidate, Explanation, PricedModel};
use protocol::money::Money;
use views::decisions::{ExplanationView, PriceView};
use views::moment::Moment;

use crate::failure::{Failure, unexpected};
use crate::out::Out;
use crate::table::{json, printable, table};

/// See why a request went where it went.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Its id, from the header x-request-id or the id of its answer.
    #[arg(value_name = "REQUEST_ID", value_parser = request)]
    request: RequestId,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// See what a million tokens cost, by model.
#[derive(Debug, clap::Args)]
pub(crate) struct Prices {
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

fn request(text: &str) -> Result<RequestId, String> {
    let plain = text.strip_prefix("chatcmpl-").or_else(|| text.strip_prefix("cmpl-")).unwrap_or(text);
    plain.parse().map_err(|_| "give 32 hexadecimal digits, as the header x-request-id has them".to_owned())
}

/// Runs `explain`.
///
/// # Errors
/// Nothing is known of the request, or the cluster does not answer.
pub(crate) async fn run(client: &Client, options: &Options, out: &mut Out) -> Result<(), Failure> {
    match client.manage(Manage::Explain { request: options.request }).await? {
        Managed::Explained(explanation) if options.json => out.write(&json(&ExplanationView::from(*explanation))?),
        Managed::Explained(explanation) => out.write(&told(&explanation)),
        other => Err(unexpected(&other)),
    }
}

/// Runs `prices`.
///
/// # Errors
/// The cluster does not answer.
pub(crate) async fn prices(client: &Client, options: &Prices, out: &mut Out) -> Result<(), Failure> {
    match client.manage(Manage::Prices).await? {
        Managed::Prices(prices) if options.json => {
            out.write(&json(&prices.into_iter().map(PriceView::from).collect::<Vec<_>>())?)
        }
        Managed::Prices(prices) => out.write(&listed(&prices)),
        other => Err(unexpected(&other)),
    }
}

fn told(explanation: &Explanation) -> String {
    let mut text = format!("{} of {} for '{}'\n", explanation.request, explanation.key, explanation.asked);
    text += &format!("decided  {}\n", Moment(explanation.at));
    if let Some(route) = &explanation.route {
        let because =
            if route.because.is_empty() { String::new() } else { format!(", because of {}", route.because.join(", ")) };
        text += &format!(
            "tier     {} at a score of {}.{:03}{because}\n",
            route.tier,
            route.score / 1000,
            route.score % 1000
        );
    }
    text += &format!("reserved {}\n", Money(explanation.reserved));
    let text: String = text.split('\n').map(printable).collect::<Vec<_>>().join("\n");
    let row = |one: &Candidate| {
        [
            if one.chosen { "*" } else { "" }.to_owned(),
            one.model.clone(),
            one.place.clone(),
            Money(one.money).to_string(),
            format!("{} ms", one.time.as_millis()),
            one.cached.0.to_string(),
            one.why.clone(),
        ]
    };
    let rows: Vec<_> = explanation.candidates.iter().map(row).collect();
    let candidates = if rows.is_empty() {
        "no models were compared\n".to_owned()
    } else {
        table(["", "MODEL", "PLACE", "COST", "TIME", "CACHED", "WHY"], &[3, 4, 5], &rows)
    };
    let steps = (1..).zip(&explanation.steps).map(|(at, step): (u32, _)| format!("{at}. {}\n", printable(step)));
    text + &candidates + &steps.collect::<String>()
}

fn listed(prices: &[PricedModel]) -> String {
    if prices.is_empty() {
        return "nothing has a price: see [prices] in cluster.toml\n".to_owned();
    }
    let row = |priced: &PricedModel| {
        let amount = |nanos| Money(nanos).to_string();
        let price = &priced.price;
        [priced.model.clone(), amount(price.input), amount(price.cached), amount(price.output), priced.source.clone()]
    };
    let rows: Vec<_> = prices.iter().map(row).collect();
    table(["MODEL", "INPUT/M", "CACHED/M", "OUTPUT/M", "SOURCE"], &[1, 2, 3], &rows)
}

#[cfg(test)]
mod tests;
