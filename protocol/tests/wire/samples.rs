//! One frame or more of every kind, with values that tell fields apart.

use std::time::Duration;

use protocol::answer::{
    Answer, CallDelta, ClusterStatus, Delta, ErrorKind, FinishReason, JobError, ModelStatus, NodeState, NodeStatus,
    Route, Started, TokenText, Usage,
};
use protocol::cache::{BlockKey, CacheBatch, CacheChange, CacheResync};
use protocol::engine::{BlockHash, Card, JobFault, Layout, Load, RefusalReason};
use protocol::files::{FileChunk, FileEnd, FileEntry, FileList, FileWanted, FilesRefused, FilesWanted, Sha256};
use protocol::frame::Frame;
use protocol::ids::{ClusterId, Incarnation, JobKey, NodeId, RequestId, TokenId};
use protocol::job::{Class, Finish, Job, JobUsage, Limits, Logprobs, Sampled, Sampling};
use protocol::message::*;
use protocol::pull::{PullBlocks, PullRefused, PulledBlock, PulledEnd};
use protocol::request::{Care, ChatMessage, Input, Params, Request, Tool, ToolCall, ToolChoice, Tools};
use protocol::serving::{LoadState, ModelPlace, Serving};
use protocol::tree::{ActorState, Tree, TreeLine};
use protocol::units::{Blocks, Nanos, Tokens};
use protocol::version::{Version, VersionMismatch, Versions};

mod escrow;
mod manage;

const KEY: JobKey = JobKey { request: RequestId(0xabc), choice: 1, attempt: 2 };
const OURS: Versions = Versions { oldest: Version(0), newest: Version(3) };

fn load() -> Load {
    Load {
        step: 300,
        running: 1,
        waiting: 2,
        prefill: Tokens(3),
        context: Tokens(4),
        blocks_used: Blocks(5),
        blocks_total: Blocks(70_000),
    }
}

fn mismatch() -> VersionMismatch {
    VersionMismatch { ours: OURS, theirs: Versions { oldest: Version(4), newest: Version(5) } }
}

/// All of them, in the order of their kinds.
pub(crate) fn all() -> Vec<Frame> {
    let mut frames = control();
    frames.extend(attempt());
    frames.extend(events());
    frames.extend(join());
    frames.extend(client());
    frames.extend(pull());
    frames.extend(files());
    frames
}

fn control() -> Vec<Frame> {
    let card = Card {
        model: "m".into(),
        architecture: "llama".into(),
        weights: [1; 32],
        text: [2; 32],
        context: Tokens(2048),
        vocabulary: 49_152,
        block: Tokens(32),
        blocks: Blocks(64),
        jobs: 8,
        dtype: "bf16".into(),
        device: "cpu".into(),
        block_bytes: 4096,
    };
    let worker = WorkerReport {
        ready: true,
        load: load(),
        oldest: Duration::from_millis(1500),
        still: Duration::from_micros(7),
        rates: Rates { prefill: 900, step: Duration::from_millis(8), sequence: Duration::from_micros(90) },
    };
    vec![
        Hello {
            versions: OURS,
            node: NodeId(0x0102_0304_0506_0708),
            name: "a".into(),
            incarnation: Incarnation(9),
            build: "0.1.0".into(),
            cards: vec![card],
            hashing: 1,
            role: Role::Decode,
            peer: Some("192.0.2.1:7700".into()),
        }
        .into(),
        Welcome { version: Version(3), cluster: ClusterId(0x11), report_every: Duration::from_millis(200) }.into(),
        Refusal::Version(mismatch()).into(),
        Refusal::Identity { certified: NodeId(1), claimed: NodeId(2) }.into(),
        Refusal::Superseded { newer: Incarnation(10) }.into(),
        Refusal::Full { limit: 64 }.into(),
        Refusal::Hashing { ours: 1, theirs: 2 }.into(),
        Refusal::BlockSize { model: "m".into(), ours: Tokens(32), theirs: Tokens(16) }.into(),
        Refusal::Unexpected("late".into()).into(),
        Report { incarnation: Incarnation(9), sequence: 251, workers: vec![worker], draining: true }.into(),
        Drain {}.into(),
        Goodbye { reason: "stops".into() }.into(),
        Order { action: OrderAction::Drain { limit: Duration::from_secs(30) } }.into(),
        Order { action: OrderAction::Resume }.into(),
        Order { action: OrderAction::Load { model: "m".into() } }.into(),
        Order { action: OrderAction::Unload { model: "m".into(), limit: Duration::from_secs(30) } }.into(),
        Serving { cards: Vec::new(), models: places() }.into(),
        Tree { lines: lines() }.into(),
    ]
}

fn attempt() -> Vec<Frame> {
    let sampling = Sampling {
        temperature: 0.5,
        logit_bias: vec![(TokenId(5), -1.0)],
        seed: 42,
        logprobs: Some(2),
        ..Sampling::default()
    };
    let limits = Limits { max_tokens: Tokens(16), min_tokens: Tokens(1), stop_ids: vec![TokenId(2)] };
    let job = Job {
        key: KEY,
        model: "m".into(),
        prompt: vec![TokenId(1), TokenId(300), TokenId(70_000)],
        generated: vec![TokenId(4)],
        sampling,
        limits,
        salt: [6; 16],
        priority: 3,
    };
    let pull = Pull { node: NodeId(5), address: "192.0.2.1:7700".into(), blocks: Blocks(3) };
    let logprobs = Logprobs { chosen: -0.5, top: vec![(TokenId(8), -0.25)] };
    let tokens =
        vec![Sampled { token: TokenId(7), logprobs: None }, Sampled { token: TokenId(8), logprobs: Some(logprobs) }];
    let usage = JobUsage { prompt: Tokens(10), cached: Tokens(8), generated: Tokens(6), recomputed: Tokens(4) };
    let refused = |reason, retry_after| Frame::from(Refused { reason, retry_after, load: load() });
    let mut frames = vec![
        Submit {
            job,
            deadline: Some(Duration::from_secs(3)),
            pull: Some(pull),
            gather: Some(Duration::from_millis(100)),
        }
        .into(),
        Granted { cached: Tokens(32), queue: Tokens(512) }.into(),
        refused(RefusalReason::QueueFull { limit: 8 }, Some(Duration::from_secs(2))),
    ];
    let reasons = [
        RefusalReason::QueueTokens { queued: Tokens(9000), limit: Tokens(8000) },
        RefusalReason::Draining,
        RefusalReason::NotReady,
        RefusalReason::UnknownModel { model: "x".into() },
        RefusalReason::PromptTooLong { tokens: Tokens(9), limit: Tokens(8) },
        RefusalReason::TooManyBlocks { needed: Blocks(9), limit: Blocks(8) },
        RefusalReason::EmptyPrompt,
        RefusalReason::BadToken { token: TokenId(9), vocabulary: 8 },
        RefusalReason::NothingToDo,
        RefusalReason::Duplicate { key: KEY },
    ];
    frames.extend(reasons.map(|reason| refused(reason, None)));
    let rest: [Frame; 11] = [
        Begun { cached: Tokens(32) }.into(),
        TokenBatch { first: Tokens(5), tokens }.into(),
        Finished { finish: Finish::Stop, usage }.into(),
        Finished { finish: Finish::Length, usage }.into(),
        Finished { finish: Finish::Cancelled, usage }.into(),
        Failed { error: JobFault::NotFinite { position: Tokens(17) } }.into(),
        Failed { error: JobFault::WorkerLost { reason: "gone".into() } }.into(),
        Failed { error: JobFault::Drained }.into(),
        Failed { error: JobFault::Expired }.into(),
        FetchText { hash: [2; 32] }.into(),
        TextChunk { bytes: vec![1, 2, 3], last: true }.into(),
    ];
    frames.extend(rest);
    frames
}

fn events() -> Vec<Frame> {
    let keys = vec![BlockKey(1), BlockKey(u64::MAX)];
    let changes = vec![CacheChange::Cleared, CacheChange::Stored(keys), CacheChange::Removed(vec![BlockKey(1)])];
    vec![
        CacheBatch { model: "m".into(), epoch: 3, sequence: 0, changes }.into(),
        CacheResync { model: "m".into() }.into(),
    ]
}

fn join() -> Vec<Frame> {
    vec![
        Join { versions: OURS, secret: vec![9; 4], node: NodeId(1), request: vec![0x30, 0] }.into(),
        Joined { cluster: ClusterId(0x11), certificate: vec![0x30, 1], authority: vec![0x30, 2] }.into(),
        JoinRefused::Version(mismatch()).into(),
        JoinRefused::WrongToken.into(),
        JoinRefused::BadRequest("no".into()).into(),
    ]
}

fn client() -> Vec<Frame> {
    let params = Params {
        n: Some(2),
        max_tokens: Some(16),
        temperature: Some(0.5),
        logit_bias: vec![(TokenId(5), 1.0)],
        stop: vec!["\n".into()],
        stop_token_ids: vec![TokenId(6)],
        seed: Some(42),
        logprobs: Some(1),
        ..Params::default()
    };
    let message = ChatMessage {
        role: "user".into(),
        content: "hi é".into(),
        name: Some("n".into()),
        tool_calls: vec![ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into() }],
        tool_call: Some("c".into()),
    };
    let care = Care {
        session: Some("s".into()),
        class: Some(Class::Interactive),
        forbid: vec![2, 3],
        fresh: true,
        again: true,
        whole: true,
        tags: vec!["t".into()],
        idempotency: Some("i".into()),
        deadline: Some(Duration::from_millis(1500)),
    };
    let ask = |input, params, care| {
        Frame::from(Ask { request: Request { model: "m".into(), input, params, care, tools: tools() } })
    };
    let mut error = JobError::new(ErrorKind::Invalid, "bad").field("n").retry_after(Duration::from_secs(1));
    let denied = error.clone();
    error.kind = ErrorKind::Internal;
    let text =
        TokenText { token: TokenId(7), bytes: vec![0xc3], logprob: -0.5, top: vec![(TokenId(8), vec![0xa9], -1.0)] };
    let answers = [
        Answer::Started(Started {
            request: RequestId(0xabc),
            model: "m".into(),
            node: "a".into(),
            prompt: Tokens(10),
            cached: Tokens(8),
            predicted: Tokens(9),
            granted: Tokens(7),
            degraded: vec!["1:n=1".into()],
            replayed: true,
            provider: Some("p".into()),
            route: Some(Route {
                asked: "auto".into(),
                tier: "small".into(),
                score: 321,
                because: vec!["sticky".into()],
            }),
        }),
        Answer::Delta(Delta {
            choice: 1,
            text: "Paris".into(),
            logprobs: vec![text],
            calls: vec![CallDelta { index: 1, id: Some("c".into()), name: Some("f".into()), arguments: "{".into() }],
        }),
        Answer::Finished { choice: 1, reason: FinishReason::Stop },
        Answer::Finished { choice: 1, reason: FinishReason::Length },
        Answer::Done { usage: Usage { prompt: Tokens(10), cached: Tokens(8), completion: Tokens(6), cost: Nanos(77) } },
        Answer::Failed(error),
    ];
    let mut frames = vec![
        ClientHello { versions: OURS, key: "sk-1".into(), agent: "t/0".into() }.into(),
        ClientWelcome { version: Version(3), cluster: ClusterId(0x11) }.into(),
        ClientRefused::Version(mismatch()).into(),
        ClientRefused::Denied(denied).into(),
        ask(Input::Chat(vec![message]), params, care),
        ask(Input::Text("once".into()), Params::default(), Care::default()),
        ask(Input::Tokens(vec![TokenId(1)]), Params::default(), Care::default()),
    ];
    frames.extend(answers.map(|answer| Answered { answer }.into()));
    frames.push(AskStatus {}.into());
    let states = [NodeState::Ready, NodeState::Starting, NodeState::Idle, NodeState::Suspect, NodeState::Draining];
    let nodes = states.map(node).to_vec();
    frames.push(Status { status: ClusterStatus { cluster: "c".into(), nodes, requests: 3, tree: lines() } }.into());
    frames.push(OrderNode { node: "a".into(), action: OrderAction::Resume }.into());
    frames.push(Ordered { outcome: Ok("it drains".into()) }.into());
    frames.push(Ordered { outcome: Err(JobError::new(ErrorKind::Invalid, "no such node")) }.into());
    frames.extend(manage::all());
    frames.extend(escrow::all());
    frames
}

fn tools() -> Tools {
    let tool =
        Tool { name: "f".into(), description: Some("d".into()), parameters: Some("{}".into()), strict: Some(true) };
    Tools { list: vec![tool], choice: Some(ToolChoice::Named("f".into())), parallel: Some(false) }
}

fn node(state: NodeState) -> NodeStatus {
    let model = ModelStatus {
        model: "m".into(),
        dtype: "bf16".into(),
        device: "cpu".into(),
        context: Tokens(2048),
        running: 1,
        waiting: 2,
        prefill: Tokens(3),
        blocks_used: Blocks(4),
        blocks_total: Blocks(64),
        steps: 300,
    };
    NodeStatus {
        id: "01".into(),
        name: "a".into(),
        state,
        build: "0.1.0".into(),
        address: "127.0.0.1:1".into(),
        models: vec![model],
        silent: Duration::from_millis(20),
        tree: Vec::new(),
        places: places(),
    }
}

fn places() -> Vec<ModelPlace> {
    let states = [
        LoadState::Idle,
        LoadState::Loading { fetched: None },
        LoadState::Loading { fetched: Some(40) },
        LoadState::Loaded,
        LoadState::Unloading,
        LoadState::failed("f"),
    ];
    states.map(|state| ModelPlace { model: "m".into(), state }).to_vec()
}

fn lines() -> Vec<TreeLine> {
    let states = [ActorState::Running, ActorState::Restarting, ActorState::Dead, ActorState::Done];
    let line = |state| TreeLine { depth: 1, name: "w".into(), state, restarts: 2, failure: Some("f".into()) };
    states.map(line).to_vec()
}

fn pull() -> Vec<Frame> {
    let layout = Layout {
        weights: [1; 32],
        dtype: "bf16".into(),
        format: "kernels int8".into(),
        hashing: 1,
        block: 32,
        layers: 30,
        heads: 3,
        dim: 64,
        bytes: 4096,
    };
    let (first, second) = (BlockHash::root([1; 16]), BlockHash::root([2; 16]));
    vec![
        PullBlocks { model: "m".into(), layout: layout.clone(), hashes: vec![first, second] }.into(),
        PulledBlock { hash: first, parent: None, bytes: vec![1, 2] }.into(),
        PulledBlock { hash: second, parent: Some(first), bytes: vec![3] }.into(),
        PulledEnd { blocks: Blocks(2) }.into(),
        PullRefused::Closed.into(),
        PullRefused::Busy { limit: 4 }.into(),
        PullRefused::UnknownModel { model: "m".into() }.into(),
        PullRefused::Layout { theirs: Box::new(layout) }.into(),
        PullRefused::TooLarge { blocks: Blocks(5000), bytes: 16 << 20 }.into(),
    ]
}

fn files() -> Vec<Frame> {
    let file = FileEntry { name: "m.gguf".into(), size: 70_000, sha256: Sha256([3; 32]) };
    vec![
        FilesWanted { model: "m".into() }.into(),
        FileList { files: vec![file], total: 70_000 }.into(),
        FileWanted { model: "m".into(), name: "m.gguf".into(), offset: 300 }.into(),
        FileChunk { bytes: vec![1, 2] }.into(),
        FileEnd {}.into(),
        FilesRefused::Busy { limit: 4 }.into(),
        FilesRefused::UnknownModel { model: "m".into() }.into(),
        FilesRefused::UnknownFile { name: "n".into() }.into(),
        FilesRefused::Offset { offset: 9, size: 8 }.into(),
        FilesRefused::Changed { name: "n".into() }.into(),
        FilesRefused::Unreadable { problem: "gone".into() }.into(),
    ]
}
