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
use protocol::money::Price;
use protocol::units::{Nanos, Tokens, UnixMillis};

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
    ]
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
        Err(JobError::new(ErrorKind::Forbidden, "no")),
    ]
}

/// All wishes, then all answers.
pub(super) fn all() -> Vec<Frame> {
    let wishes = wishes().into_iter().map(|manage| AskManage { manage }.into());
    wishes.chain(answers().into_iter().map(|outcome| AnswerManage { outcome }.into())).collect()
}
