//! What operators ask about keys, budgets, usage and decisions.

use std::time::Duration;

use protocol::account::{
    Budget, CacheUse, Increase, KeyLimits, KeyRecord, KeySettings, Outcome, Period, Scope, Subject, UsageRecord, Window,
};
use protocol::answer::{ErrorKind, JobError, Route};
use protocol::frame::Frame;
use protocol::ids::RequestId;
use protocol::job::Class;
use protocol::manage::*;
use protocol::message::Rates;
use protocol::money::Price;
use protocol::units::{Nanos, Percent, Percentile, Tokens, UnixMillis};

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn settings() -> KeySettings {
    KeySettings {
        name: "n".into(),
        organisation: text("o"),
        team: text("t"),
        admin: true,
        models: vec!["m".into()],
        limits: KeyLimits { requests_per_minute: Some(60), tokens_per_minute: Some(10_000), parallel: Some(4) },
        class: Class::Interactive,
        tags: vec!["a".into(), "b".into()],
        expires: Some(UnixMillis(1_700_000_000_000)),
        guardrails: vec!["g".into()],
        cache: CacheUse::Off,
        fallbacks: [("m".to_owned(), vec!["c".to_owned()])].into(),
    }
}

pub(super) fn record() -> KeyRecord {
    KeyRecord { id: "key-1".into(), hash: [7; 32], created: UnixMillis(5), revoked: true, settings: settings() }
}

pub(super) fn budget() -> Budget {
    let scope = Scope {
        organisation: text("o"),
        team: text("t"),
        key: text("k"),
        model: text("m"),
        tag: text("a"),
        provider: text("p"),
    };
    Budget {
        id: "b".into(),
        scope,
        limit: Nanos(5_000_000_000),
        window: Window { every: Period::Week, zone: text("Europe/Berlin") },
        alerts: vec![50, 80, 100],
        soft: true,
        increase: Some(Increase { amount: Nanos(7), until: UnixMillis(9) }),
    }
}

fn state() -> BudgetState {
    BudgetState {
        budget: budget(),
        settled: Nanos(1),
        reserved: Nanos(2),
        since: UnixMillis(3),
        resets: Some(UnixMillis(4)),
    }
}

pub(super) fn usage() -> UsageRecord {
    let subject = Subject {
        organisation: text("o"),
        team: text("t"),
        key: "k".into(),
        model: "m".into(),
        tags: vec!["a".into()],
        provider: text("p"),
    };
    UsageRecord {
        request: RequestId(0xabc),
        at: UnixMillis(6),
        subject,
        asked: "auto".into(),
        prompt: Tokens(10),
        cached: Tokens(8),
        completion: Tokens(5),
        reserved: Nanos(90),
        cost: Nanos(77),
        disputed: Nanos(3),
        outcome: Outcome::Cancelled,
    }
}

fn explanation() -> Explanation {
    let candidate = Candidate {
        model: "m".into(),
        place: "a".into(),
        money: Nanos(77),
        time: Duration::from_millis(300),
        cached: Tokens(8),
        chosen: true,
        why: "cheapest".into(),
    };
    Explanation {
        request: RequestId(0xabc),
        at: UnixMillis(6),
        key: "k".into(),
        asked: "auto".into(),
        route: Some(Route { asked: "auto".into(), tier: "small".into(), score: 321, because: vec!["sticky".into()] }),
        reserved: Nanos(90),
        candidates: vec![candidate],
        steps: vec!["asked a".into()],
    }
}

fn wishes() -> Vec<Manage> {
    let place = UsagePlace { at: UnixMillis(6), request: RequestId(0xabc) };
    let query = UsageQuery {
        since: Some(UnixMillis(1)),
        until: Some(UnixMillis(2)),
        key: text("k"),
        model: text("m"),
        tag: text("a"),
        after: Some(place),
        limit: 100,
    };
    vec![
        Manage::CreateKey(settings()),
        Manage::ListKeys,
        Manage::UpdateKey { key: "k".into(), settings: KeySettings::default() },
        Manage::RevokeKey { key: "k".into() },
        Manage::PutBudget(budget()),
        Manage::ListBudgets,
        Manage::RemoveBudget { id: "b".into() },
        Manage::Usage(query),
        Manage::Explain { request: RequestId(0xabc) },
        Manage::Prices,
        Manage::Scale(target()),
        Manage::ScaleTrace { model: text("m") },
    ]
}

fn target() -> ScaleQuery {
    let (ttft, latency, inter_token) = (Duration::from_millis(500), Duration::from_secs(9), Duration::from_millis(50));
    ScaleQuery {
        model: text("m"),
        ttft: Some(ttft),
        latency: Some(latency),
        inter_token: Some(inter_token),
        percentile: Percentile::P99,
        headroom: Percent(20),
        most: 64,
    }
}

fn advice() -> ScaleAdvice {
    let row = ScaleRow {
        nodes: 3,
        meets: true,
        ttft: Some(Duration::from_millis(400)),
        latency: Some(Duration::from_secs(8)),
        inter_token: None,
        refused: 1,
        busy: Percent(60),
        hits: Percent(40),
    };
    ScaleAdvice {
        model: "m".into(),
        target: target(),
        nodes: 2,
        requests: 100,
        over: Duration::from_secs(60),
        unserved: 4,
        measured: Some(Duration::from_millis(700)),
        rows: vec![row],
        advised: Some(3),
        because: text("b"),
        hour: Some(Nanos(5)),
        currency: "USD".into(),
        speed: Rates { prefill: 5, step: Duration::from_millis(7), sequence: Duration::from_millis(1) },
        room: Tokens(32),
        sure: Sure::Fairly,
        notes: vec!["n".into()],
    }
}

fn answers() -> Vec<Result<Managed, JobError>> {
    let price = Price { input: Nanos(10), cached: Nanos(1), output: Nanos(30) };
    let next = Some(UsagePlace { at: UnixMillis(6), request: RequestId(0xabc) });
    vec![
        Ok(Managed::KeyCreated { record: record(), secret: "s".into() }),
        Ok(Managed::Key(record())),
        Ok(Managed::Keys(vec![record()])),
        Ok(Managed::Budget(state())),
        Ok(Managed::Budgets(vec![state()])),
        Ok(Managed::Done("d".into())),
        Ok(Managed::Usage { records: vec![usage()], next }),
        Ok(Managed::Explained(Box::new(explanation()))),
        Ok(Managed::Prices(vec![PricedModel { model: "m".into(), price, source: "cluster.toml".into() }])),
        Ok(Managed::Scale(Box::new(advice()))),
        Ok(Managed::ScaleTrace { model: "m".into(), block: Tokens(128), lines: "{}".into() }),
        Err(JobError::new(ErrorKind::Forbidden, "no")),
    ]
}

/// All wishes, then all answers.
pub(super) fn all() -> Vec<Frame> {
    let wishes = wishes().into_iter().map(|manage| AskManage { manage }.into());
    wishes.chain(answers().into_iter().map(|outcome| AnswerManage { outcome }.into())).collect()
}
