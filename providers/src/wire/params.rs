//! What the APIs lack.
//!
//! Rules: what an API has not, and would change the answer, is refused with its name; a value that changes nothing is
//! left out. What the provider's `drop` names is never sent and never a reason to refuse.

use protocol::config::ProviderKind;
use protocol::request::{Params, Request};

use super::Ask;
use crate::call::Failure;

/// What a kind has not.
fn lacks(ask: &Ask<'_>) -> &'static [&'static str] {
    match ask.config.kind {
        ProviderKind::OpenAi if ask.config.vllm => &[],
        ProviderKind::OpenAi => &["top_k", "min_p", "repetition_penalty", "min_tokens", "stop_token_ids", "ignore_eos"],
        ProviderKind::Anthropic => &[
            "min_p",
            "repetition_penalty",
            "min_tokens",
            "stop_token_ids",
            "ignore_eos",
            "presence_penalty",
            "frequency_penalty",
            "logit_bias",
            "seed",
            "logprobs",
        ],
        ProviderKind::Gemini => &[
            "min_p",
            "repetition_penalty",
            "min_tokens",
            "stop_token_ids",
            "ignore_eos",
            "logit_bias",
            "logprobs",
            "parallel_tool_calls",
            "strict",
        ],
    }
}

/// Whether a request asks for it, with a value that changes something.
fn asks(request: &Request, field: &str) -> bool {
    let Params { top_k, min_p, repetition_penalty, min_tokens, stop_token_ids, ignore_eos, .. } = &request.params;
    let Params { presence_penalty, frequency_penalty, logit_bias, seed, logprobs, .. } = &request.params;
    match field {
        "top_k" => top_k.is_some_and(|k| k > 0),
        "min_p" => min_p.is_some_and(|p| p > 0.0),
        "repetition_penalty" => repetition_penalty.is_some_and(|penalty| penalty != 1.0),
        "min_tokens" => min_tokens.is_some_and(|tokens| tokens > 0),
        "stop_token_ids" => !stop_token_ids.is_empty(),
        "ignore_eos" => *ignore_eos,
        "presence_penalty" => presence_penalty.is_some_and(|penalty| penalty != 0.0),
        "frequency_penalty" => frequency_penalty.is_some_and(|penalty| penalty != 0.0),
        "logit_bias" => !logit_bias.is_empty(),
        "seed" => seed.is_some(),
        "logprobs" => logprobs.is_some(),
        "parallel_tool_calls" => request.tools.parallel == Some(false) && !request.tools.list.is_empty(),
        "strict" => request.tools.list.iter().any(|tool| tool.strict == Some(true)),
        _ => false,
    }
}

/// Refuses what the API lacks.
pub(super) fn check(ask: &Ask<'_>) -> Result<(), Failure> {
    let (provider, kind) = (ask.provider, ask.config.kind.as_str());
    if let Some(field) = lacks(ask).iter().find(|field| asks(ask.request, field) && !ask.drops(field)) {
        return Err(Failure::invalid(
            *field,
            format_args!("is nothing that provider {provider} ({kind}) has: leave it out, or ask another model"),
        ));
    }
    let params = &ask.request.params;
    let (most_choices, most_stops, hottest) = match ask.config.kind {
        ProviderKind::OpenAi if ask.config.vllm => (u32::MAX, usize::MAX, 2.0),
        ProviderKind::OpenAi => (u32::MAX, 4, 2.0),
        ProviderKind::Anthropic => (1, usize::MAX, 1.0),
        ProviderKind::Gemini => (8, 5, 2.0),
    };
    let at_most = |what: &dyn std::fmt::Display, most: &dyn std::fmt::Display| {
        format!("is {what}, and provider {provider} ({kind}) allows {most}: lower it, or ask another model")
    };
    if ask.choices() > most_choices {
        return Err(Failure::invalid("n", at_most(&ask.choices(), &most_choices)));
    }
    if params.stop.len() > most_stops && !ask.drops("stop") {
        return Err(Failure::invalid("stop", at_most(&format_args!("{} texts", params.stop.len()), &most_stops)));
    }
    if let Some(temperature) = params.temperature.filter(|t| *t > hottest)
        && !ask.drops("temperature")
    {
        return Err(Failure::invalid("temperature", at_most(&temperature, &hottest)));
    }
    Ok(())
}

impl Ask<'_> {
    /// Whether the settings say that it is not sent.
    pub(super) fn drops(&self, field: &str) -> bool {
        self.config.drop.iter().any(|drop| drop == field)
    }

    /// Whether it is sent: the API has it, and the settings do not drop it.
    pub(super) fn sends(&self, field: &str) -> bool {
        !lacks(self).contains(&field) && !self.drops(field)
    }
}
