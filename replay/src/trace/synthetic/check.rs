//! Plans that make no trace: found here, in one place.

use std::time::Duration;

use protocol::units::{Span, Tokens};

use super::{Kind, Plan};
use crate::trace::read::LONGEST;

/// Requests of a trace.
const MOST_REQUESTS: u32 = 10_000_000;
/// Groups of prompts.
const MOST_GROUPS: u32 = 1_000_000;
/// Whatever lasts longer is a mistake.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Requests from one burst to the next, in the mean.
const FEWEST_IN_BURST: f64 = 0.01;

/// Why a plan makes no trace. Options are named as on the command line.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// A number that cannot be.
    #[error("--{option} is {value}: give {remedy}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What it says.
        value: String,
        /// What to give instead.
        remedy: String,
    },
    /// It would last too long.
    #[error("the trace would last longer than {limit}: ask for fewer requests, or a higher --rate")]
    Long {
        /// The longest.
        limit: Span,
    },
}

pub(super) fn check(plan: &Plan) -> Result<(), PlanError> {
    let fault = |option, value: String, remedy: String| Err(PlanError::Option { option, value, remedy });
    if !(1..=MOST_REQUESTS).contains(&plan.requests) {
        return fault("requests", plan.requests.to_string(), format!("1 to {MOST_REQUESTS}"));
    }
    if !(1e-6..=1e6).contains(&plan.rate) {
        return fault("rate", plan.rate.to_string(), "0.000001 to 1000000 requests a second".to_owned());
    }
    if !(1..=LONGEST).contains(&plan.block.0) {
        return fault("block", plan.block.0.to_string(), format!("1 to {LONGEST} tokens; Mooncake's traces have 512"));
    }
    if plan.groups > MOST_GROUPS {
        return fault("groups", plan.groups.to_string(), format!("at most {MOST_GROUPS}"));
    }
    if plan.prefix.0 > LONGEST / 2 {
        return fault("prefix", plan.prefix.0.to_string(), format!("at most {} tokens", LONGEST / 2));
    }
    if plan.groups > 0 && plan.prefix < plan.block {
        let remedy = format!("at least a block, {} tokens: only whole blocks are shared", plan.block.0);
        return fault("prefix", plan.prefix.0.to_string(), remedy);
    }
    if !(0.0..=8.0).contains(&plan.skew) {
        return fault("skew", plan.skew.to_string(), "0 (all groups alike) to 8".to_owned());
    }
    match plan.kind {
        Kind::Bursts => bursts(plan),
        Kind::Agents => agents(plan),
        Kind::SharedPrefix | Kind::NoSharing | Kind::DecodeHeavy => Ok(()),
    }
}

fn bursts(plan: &Plan) -> Result<(), PlanError> {
    for (option, value, least) in [("on", plan.on, Duration::from_millis(1)), ("off", plan.off, Duration::ZERO)] {
        if value < least || value > LONGEST_WAIT {
            let (value, remedy) = (Span(value).to_string(), format!("{} to {}", Span(least), Span(LONGEST_WAIT)));
            return Err(PlanError::Option { option, value, remedy });
        }
    }
    if plan.rate * (plan.on + plan.off).as_secs_f64() < FEWEST_IN_BURST {
        let least = FEWEST_IN_BURST / (plan.on + plan.off).as_secs_f64();
        let remedy = format!("at least {least:.6}, or longer --on and --off: nearly all bursts would be empty");
        return Err(PlanError::Option { option: "rate", value: plan.rate.to_string(), remedy });
    }
    Ok(())
}

fn agents(plan: &Plan) -> Result<(), PlanError> {
    let fault = |option, value: String, remedy: String| Err(PlanError::Option { option, value, remedy });
    if !(1.0..=10_000.0).contains(&plan.turns) {
        return fault("turns", plan.turns.to_string(), "1 to 10000 requests of a conversation".to_owned());
    }
    for (option, value) in [("think", plan.think), ("pace", plan.pace)] {
        if value > LONGEST_WAIT {
            return fault(option, Span(value).to_string(), format!("at most {}", Span(LONGEST_WAIT)));
        }
    }
    if plan.context < plan.prefix + Tokens(2) || plan.context.0 > LONGEST {
        let remedy = format!("at least two tokens more than --prefix, {}, and at most {LONGEST}", plan.prefix.0);
        return fault("context", plan.context.0.to_string(), remedy);
    }
    Ok(())
}
