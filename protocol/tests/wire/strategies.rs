//! Any frame at all: every kind, every variant.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use protocol::answer::*;
use protocol::cache::{BlockKey, CacheBatch, CacheChange, CacheResync};
use protocol::engine::{Card, JobFault, Load, RefusalReason};
use protocol::frame::Frame;
use protocol::ids::{ClusterId, Incarnation, JobKey, NodeId, RequestId, TokenId};
use protocol::job::{Class, Finish, Job, JobUsage, Limits, Logprobs, Sampled, Sampling};
use protocol::message::*;
use protocol::request::{Care, ChatMessage, Input, Params, Request, Tool, ToolCall, ToolChoice, Tools};
use protocol::serving::{LoadState, ModelPlace, Serving};
use protocol::tree::{ActorState, Tree, TreeLine};
use protocol::units::{Blocks, Nanos, Tokens};
use protocol::version::{Version, VersionMismatch, Versions};

mod asking;
mod escrow;
mod manage;
mod moved;
mod people;

use asking::{answer, job_error, request, route};
use escrow::escrow;
use manage::manage;
use moved::{files, pull};
use people::{line, place, status};

type Any<T> = BoxedStrategy<T>;

fn text() -> Any<String> {
    prop_oneof![Just(String::new()), any::<String>(), "[a-z]{1,8}"].boxed()
}

fn bytes() -> Any<Vec<u8>> {
    vec(any::<u8>(), 0..300).boxed()
}

/// Finite: a frame with NaN is not equal to itself.
fn float() -> Any<f32> {
    prop::num::f32::NORMAL.boxed()
}

fn tokens() -> Any<Tokens> {
    any::<u64>().prop_map(Tokens).boxed()
}

fn blocks() -> Any<Blocks> {
    any::<u64>().prop_map(Blocks).boxed()
}

fn token() -> Any<TokenId> {
    any::<u32>().prop_map(TokenId).boxed()
}

fn span() -> Any<Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)).boxed()
}

fn versions() -> Any<Versions> {
    any::<(u16, u16)>()
        .prop_map(|(oldest, newest)| Versions { oldest: Version(oldest), newest: Version(newest) })
        .boxed()
}

fn mismatch() -> Any<VersionMismatch> {
    (versions(), versions()).prop_map(|(ours, theirs)| VersionMismatch { ours, theirs }).boxed()
}

fn key() -> Any<JobKey> {
    any::<(u128, u32, u32)>()
        .prop_map(|(request, choice, attempt)| JobKey { request: RequestId(request), choice, attempt })
        .boxed()
}

fn load() -> Any<Load> {
    (any::<(u64, u32, u32)>(), tokens(), tokens(), blocks(), blocks())
        .prop_map(|((step, running, waiting), prefill, context, blocks_used, blocks_total)| Load {
            step,
            running,
            waiting,
            prefill,
            context,
            blocks_used,
            blocks_total,
        })
        .boxed()
}

fn card() -> Any<Card> {
    let hashes = any::<([u8; 32], [u8; 32])>();
    (vec(text(), 4), hashes, any::<(u32, u32, u64)>(), tokens(), tokens(), blocks())
        .prop_map(|(words, (weights, text), (vocabulary, jobs, block_bytes), context, block, blocks)| {
            let [model, architecture, dtype, device] = <[String; 4]>::try_from(words).unwrap();
            Card {
                model,
                architecture,
                weights,
                text,
                context,
                vocabulary,
                block,
                blocks,
                jobs,
                dtype,
                device,
                block_bytes,
            }
        })
        .boxed()
}

fn action() -> Any<OrderAction> {
    prop_oneof![
        span().prop_map(|limit| OrderAction::Drain { limit }),
        Just(OrderAction::Resume),
        text().prop_map(|model| OrderAction::Load { model }),
        (text(), span()).prop_map(|(model, limit)| OrderAction::Unload { model, limit }),
    ]
    .boxed()
}

fn control() -> Any<Frame> {
    let role = select(vec![Role::Any, Role::Prefill, Role::Decode]);
    let ways = (any::<u16>(), role, option::of(text()));
    let hello = (versions(), any::<(u64, u64)>(), text(), text(), vec(card(), 0..4), ways).prop_map(
        |(versions, (node, incarnation), name, build, cards, (hashing, role, peer))| {
            let (node, incarnation) = (NodeId(node), Incarnation(incarnation));
            Hello { versions, node, name, incarnation, build, cards, hashing, role, peer }.into()
        },
    );
    let welcome = (any::<(u16, u64)>(), span()).prop_map(|((version, cluster), report_every)| {
        Welcome { version: Version(version), cluster: ClusterId(cluster), report_every }.into()
    });
    let refusal = prop_oneof![
        mismatch().prop_map(Refusal::Version),
        any::<(u64, u64)>().prop_map(|(a, b)| Refusal::Identity { certified: NodeId(a), claimed: NodeId(b) }),
        any::<u64>().prop_map(|newer| Refusal::Superseded { newer: Incarnation(newer) }),
        any::<u32>().prop_map(|limit| Refusal::Full { limit }),
        any::<(u16, u16)>().prop_map(|(ours, theirs)| Refusal::Hashing { ours, theirs }),
        (text(), tokens(), tokens()).prop_map(|(model, ours, theirs)| Refusal::BlockSize { model, ours, theirs }),
        text().prop_map(Refusal::Unexpected),
    ];
    let rates = (any::<u32>(), span(), span()).prop_map(|(prefill, step, sequence)| Rates { prefill, step, sequence });
    let worker = (any::<bool>(), load(), span(), span(), rates)
        .prop_map(|(ready, load, oldest, still, rates)| WorkerReport { ready, load, oldest, still, rates });
    let report =
        (any::<(u64, u64, bool)>(), vec(worker, 0..9)).prop_map(|((incarnation, sequence, draining), workers)| {
            Report { incarnation: Incarnation(incarnation), sequence, workers, draining }.into()
        });
    prop_oneof![
        hello,
        welcome,
        refusal.prop_map(Frame::from),
        report,
        Just(Drain {}.into()),
        text().prop_map(|reason| Goodbye { reason }.into()),
        action().prop_map(|action| Order { action }.into()),
        vec(line(), 0..5).prop_map(|lines| Tree { lines }.into()),
        (vec(card(), 0..4), vec(place(), 0..4)).prop_map(|(cards, models)| Serving { cards, models }.into()),
    ]
    .boxed()
}

fn sampling() -> Any<Sampling> {
    let biases = vec((token(), float()), 0..5);
    (vec(float(), 6), any::<(u32, u64, Option<u8>)>(), biases)
        .prop_map(|(numbers, (top_k, seed, logprobs), logit_bias)| {
            let [temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty] =
                <[f32; 6]>::try_from(numbers).unwrap();
            Sampling {
                temperature,
                top_k,
                top_p,
                min_p,
                repetition_penalty,
                presence_penalty,
                frequency_penalty,
                logit_bias,
                seed,
                logprobs,
            }
        })
        .boxed()
}

fn job() -> Any<Job> {
    let limits = (tokens(), tokens(), vec(token(), 0..4)).prop_map(|(max_tokens, min_tokens, stop_ids)| Limits {
        max_tokens,
        min_tokens,
        stop_ids,
    });
    (key(), text(), vec(token(), 0..50), vec(token(), 0..50), sampling(), limits, any::<([u8; 16], u8)>())
        .prop_map(|(key, model, prompt, generated, sampling, limits, (salt, priority))| Job {
            key,
            model,
            prompt,
            generated,
            sampling,
            limits,
            salt,
            priority,
        })
        .boxed()
}

fn refused() -> Any<Frame> {
    let reason = prop_oneof![
        any::<u32>().prop_map(|limit| RefusalReason::QueueFull { limit }),
        (tokens(), tokens()).prop_map(|(queued, limit)| RefusalReason::QueueTokens { queued, limit }),
        select(vec![
            RefusalReason::Draining,
            RefusalReason::NotReady,
            RefusalReason::EmptyPrompt,
            RefusalReason::NothingToDo
        ]),
        text().prop_map(|model| RefusalReason::UnknownModel { model }),
        (tokens(), tokens()).prop_map(|(tokens, limit)| RefusalReason::PromptTooLong { tokens, limit }),
        (blocks(), blocks()).prop_map(|(needed, limit)| RefusalReason::TooManyBlocks { needed, limit }),
        (token(), any::<u32>()).prop_map(|(token, vocabulary)| RefusalReason::BadToken { token, vocabulary }),
        key().prop_map(|key| RefusalReason::Duplicate { key }),
    ];
    (reason, option::of(span()), load())
        .prop_map(|(reason, retry_after, load)| Refused { reason, retry_after, load }.into())
        .boxed()
}

fn attempt() -> Any<Frame> {
    let logprobs = (float(), vec((token(), float()), 0..5)).prop_map(|(chosen, top)| Logprobs { chosen, top });
    let sampled = (token(), option::of(logprobs)).prop_map(|(token, logprobs)| Sampled { token, logprobs });
    let usage = (tokens(), tokens(), tokens(), tokens()).prop_map(|(prompt, cached, generated, recomputed)| JobUsage {
        prompt,
        cached,
        generated,
        recomputed,
    });
    let fault = prop_oneof![
        tokens().prop_map(|position| JobFault::NotFinite { position }),
        text().prop_map(|reason| JobFault::WorkerLost { reason }),
        select(vec![JobFault::Drained, JobFault::Expired]),
    ];
    let pull = (any::<u64>(), text(), blocks()).prop_map(|(node, address, blocks)| Pull {
        node: NodeId(node),
        address,
        blocks,
    });
    prop_oneof![
        (job(), option::of(span()), option::of(pull), option::of(span()))
            .prop_map(|(job, deadline, pull, gather)| { Submit { job, deadline, pull, gather }.into() }),
        (tokens(), tokens()).prop_map(|(cached, queue)| Granted { cached, queue }.into()),
        refused(),
        tokens().prop_map(|cached| Begun { cached }.into()),
        (tokens(), vec(sampled, 0..20)).prop_map(|(first, tokens)| TokenBatch { first, tokens }.into()),
        (select(vec![Finish::Stop, Finish::Length, Finish::Cancelled]), usage).prop_map(|(finish, usage)| Finished {
            finish,
            usage
        }
        .into()),
        fault.prop_map(|error| Failed { error }.into()),
        any::<[u8; 32]>().prop_map(|hash| FetchText { hash }.into()),
        (bytes(), any::<bool>()).prop_map(|(bytes, last)| TextChunk { bytes, last }.into()),
    ]
    .boxed()
}

fn join() -> Any<Frame> {
    let refused = prop_oneof![
        mismatch().prop_map(JoinRefused::Version),
        Just(JoinRefused::WrongToken),
        text().prop_map(JoinRefused::BadRequest),
    ];
    prop_oneof![
        (versions(), bytes(), any::<u64>(), bytes()).prop_map(|(versions, secret, node, request)| Join {
            versions,
            secret,
            node: NodeId(node),
            request
        }
        .into()),
        (any::<u64>(), bytes(), bytes()).prop_map(|(cluster, certificate, authority)| {
            Joined { cluster: ClusterId(cluster), certificate, authority }.into()
        }),
        refused.prop_map(Frame::from),
    ]
    .boxed()
}

fn events() -> Any<Frame> {
    let keys = || vec(any::<u64>().prop_map(BlockKey), 0..20);
    let change = prop_oneof![
        Just(CacheChange::Cleared),
        keys().prop_map(CacheChange::Stored),
        keys().prop_map(CacheChange::Removed),
    ];
    prop_oneof![
        (text(), any::<(u64, u64)>(), vec(change, 0..5))
            .prop_map(|(model, (epoch, sequence), changes)| { CacheBatch { model, epoch, sequence, changes }.into() }),
        text().prop_map(|model| CacheResync { model }.into()),
    ]
    .boxed()
}

fn client() -> Any<Frame> {
    let refused = prop_oneof![mismatch().prop_map(ClientRefused::Version), job_error().prop_map(ClientRefused::Denied)];
    prop_oneof![
        (versions(), text(), text()).prop_map(|(versions, key, agent)| ClientHello { versions, key, agent }.into()),
        any::<(u16, u64)>().prop_map(|(version, cluster)| {
            ClientWelcome { version: Version(version), cluster: ClusterId(cluster) }.into()
        }),
        refused.prop_map(Frame::from),
        request().prop_map(|request| Ask { request }.into()),
        answer().prop_map(|answer| Answered { answer }.into()),
        Just(AskStatus {}.into()),
        status().prop_map(|status| Status { status }.into()),
        (text(), action()).prop_map(|(node, action)| OrderNode { node, action }.into()),
        text().prop_map(|said| Ordered { outcome: Ok(said) }.into()),
        job_error().prop_map(|error| Ordered { outcome: Err(error) }.into()),
    ]
    .boxed()
}

/// Any frame.
pub(crate) fn frame() -> Any<Frame> {
    prop_oneof![control(), attempt(), events(), join(), client(), manage(), escrow(), pull(), files()].boxed()
}
