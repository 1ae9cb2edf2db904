//! What clients ask, and what they are answered.

use super::*;

fn tools() -> Any<Tools> {
    let tool = (text(), option::of(text()), option::of(text()), option::of(any::<bool>()))
        .prop_map(|(name, description, parameters, strict)| Tool { name, description, parameters, strict });
    let choice = prop_oneof![
        Just(ToolChoice::None),
        Just(ToolChoice::Auto),
        Just(ToolChoice::Required),
        text().prop_map(ToolChoice::Named),
    ];
    (vec(tool, 0..3), option::of(choice), option::of(any::<bool>()))
        .prop_map(|(list, choice, parallel)| Tools { list, choice, parallel })
        .boxed()
}

pub(super) fn request() -> Any<Request> {
    let call = (text(), text(), text()).prop_map(|(id, name, arguments)| ToolCall { id, name, arguments });
    let message = (text(), text(), option::of(text()), vec(call, 0..3), option::of(text())).prop_map(
        |(role, content, name, tool_calls, tool_call)| ChatMessage { role, content, name, tool_calls, tool_call },
    );
    let input = prop_oneof![
        vec(message, 0..5).prop_map(Input::Chat),
        text().prop_map(Input::Text),
        vec(token(), 0..50).prop_map(Input::Tokens),
    ];
    let floats = vec(option::of(float()), 6);
    let lists = (vec((token(), float()), 0..4), vec(text(), 0..4), vec(token(), 0..4));
    let counts = any::<[Option<u32>; 4]>();
    let params = (floats, lists, counts, any::<(bool, Option<u64>, Option<u8>)>()).prop_map(
        |(
            floats,
            (logit_bias, stop, stop_token_ids),
            [n, max_tokens, min_tokens, top_k],
            (ignore_eos, seed, logprobs),
        )| {
            let [temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty] =
                <[Option<f32>; 6]>::try_from(floats).unwrap();
            Params {
                n,
                max_tokens,
                min_tokens,
                temperature,
                top_p,
                top_k,
                min_p,
                repetition_penalty,
                presence_penalty,
                frequency_penalty,
                logit_bias,
                stop,
                stop_token_ids,
                ignore_eos,
                seed,
                logprobs,
            }
        },
    );
    let class = option::of(select(Class::ALL.to_vec()));
    let labels = (vec(text(), 0..3), option::of(text()), option::of(span()));
    let care = (option::of(text()), class, vec(any::<u8>(), 0..6), any::<(bool, bool, bool)>(), labels).prop_map(
        |(session, class, forbid, (fresh, again, whole), (tags, idempotency, deadline))| Care {
            session,
            class,
            forbid,
            fresh,
            again,
            whole,
            tags,
            idempotency,
            deadline,
        },
    );
    (text(), input, params, care, tools())
        .prop_map(|(model, input, params, care, tools)| Request { model, input, params, care, tools })
        .boxed()
}

pub(super) fn job_error() -> Any<JobError> {
    use ErrorKind as E;
    let kind = select(vec![
        E::Invalid,
        E::ContextLength,
        E::Unauthorized,
        E::UnknownModel,
        E::Overloaded,
        E::NoNode,
        E::NodeLost,
        E::Timeout,
        E::Internal,
        E::Busy,
        E::RateLimited,
        E::OverBudget,
        E::Forbidden,
        E::ContentPolicy,
        E::ProviderFailed,
    ]);
    (kind, text(), option::of(text()), option::of(span()))
        .prop_map(|(kind, message, field, retry_after)| JobError { kind, message, field, retry_after })
        .boxed()
}

pub(super) fn route() -> Any<Route> {
    (text(), text(), any::<u16>(), vec(text(), 0..3))
        .prop_map(|(asked, tier, score, because)| Route { asked, tier, score, because })
        .boxed()
}

pub(super) fn answer() -> Any<Answer> {
    let top = vec((token(), bytes(), float()), 0..3);
    let token_text = (token(), bytes(), float(), top).prop_map(|(token, bytes, logprob, top)| TokenText {
        token,
        bytes,
        logprob,
        top,
    });
    let counts = (tokens(), tokens(), tokens(), tokens());
    let why = (option::of(text()), option::of(route()));
    let started = (any::<u128>(), text(), text(), counts, vec(text(), 0..3), any::<bool>(), why).prop_map(
        |(request, model, node, (prompt, cached, predicted, granted), degraded, replayed, (provider, route))| {
            let request = RequestId(request);
            Answer::Started(Started {
                request,
                model,
                node,
                prompt,
                cached,
                predicted,
                granted,
                degraded,
                replayed,
                provider,
                route,
            })
        },
    );
    let call = (any::<u32>(), option::of(text()), option::of(text()), text())
        .prop_map(|(index, id, name, arguments)| CallDelta { index, id, name, arguments });
    prop_oneof![
        started,
        (any::<u32>(), text(), vec(token_text, 0..4), vec(call, 0..2))
            .prop_map(|(choice, text, logprobs, calls)| { Answer::Delta(Delta { choice, text, logprobs, calls }) }),
        (
            any::<u32>(),
            select(vec![
                FinishReason::Stop,
                FinishReason::Length,
                FinishReason::ToolCalls,
                FinishReason::ContentFilter
            ])
        )
            .prop_map(|(choice, reason)| Answer::Finished { choice, reason }),
        (tokens(), tokens(), tokens(), any::<u64>()).prop_map(|(prompt, cached, completion, cost)| Answer::Done {
            usage: Usage { prompt, cached, completion, cost: Nanos(cost) }
        }),
        job_error().prop_map(Answer::Failed),
    ]
    .boxed()
}
