//! What operators ask about keys, budgets, usage and decisions.

use protocol::account::{
    Budget, CacheUse, Increase, KeyLimits, KeyRecord, KeySettings, Outcome, Period, Scope, Subject, UsageRecord, Window,
};
use protocol::manage::*;
use protocol::money::Price;
use protocol::units::{Percent, Percentile, UnixMillis};

use super::*;

pub(super) fn nanos() -> Any<Nanos> {
    any::<u64>().prop_map(Nanos).boxed()
}

pub(super) fn moment() -> Any<UnixMillis> {
    any::<u64>().prop_map(UnixMillis).boxed()
}

fn maybe() -> Any<Option<String>> {
    option::of(text()).boxed()
}

fn texts() -> Any<Vec<String>> {
    vec(text(), 0..3).boxed()
}

fn settings() -> Any<KeySettings> {
    let who = (text(), maybe(), maybe(), any::<bool>());
    let limits = any::<(Option<u32>, Option<u64>, Option<u32>)>().prop_map(
        |(requests_per_minute, tokens_per_minute, parallel)| KeyLimits {
            requests_per_minute,
            tokens_per_minute,
            parallel,
        },
    );
    let care = (select(Class::ALL.to_vec()), select(vec![CacheUse::On, CacheUse::Off]), option::of(moment()));
    let fallbacks = proptest::collection::btree_map(text(), texts(), 0..3);
    (who, limits, care, (texts(), texts(), texts()), fallbacks)
        .prop_map(|(who, limits, (class, cache, expires), (models, tags, guardrails), fallbacks)| {
            let (name, organisation, team, admin) = who;
            KeySettings {
                name,
                organisation,
                team,
                admin,
                models,
                limits,
                class,
                tags,
                expires,
                guardrails,
                cache,
                fallbacks,
            }
        })
        .boxed()
}

pub(super) fn record() -> Any<KeyRecord> {
    (text(), any::<[u8; 32]>(), moment(), any::<bool>(), settings())
        .prop_map(|(id, hash, created, revoked, settings)| KeyRecord { id, hash, created, revoked, settings })
        .boxed()
}

pub(super) fn budget() -> Any<Budget> {
    let scope = (maybe(), maybe(), maybe(), maybe(), maybe(), maybe()).prop_map(
        |(organisation, team, key, model, tag, provider)| Scope { organisation, team, key, model, tag, provider },
    );
    let every = select(vec![Period::Hour, Period::Day, Period::Week, Period::Month, Period::Total]);
    let window = (every, maybe()).prop_map(|(every, zone)| Window { every, zone });
    let increase = (nanos(), moment()).prop_map(|(amount, until)| Increase { amount, until });
    (text(), scope, nanos(), window, bytes(), any::<bool>(), option::of(increase))
        .prop_map(|(id, scope, limit, window, alerts, soft, increase)| Budget {
            id,
            scope,
            limit,
            window,
            alerts,
            soft,
            increase,
        })
        .boxed()
}

fn state() -> Any<BudgetState> {
    (budget(), nanos(), nanos(), moment(), option::of(moment()))
        .prop_map(|(budget, settled, reserved, since, resets)| BudgetState { budget, settled, reserved, since, resets })
        .boxed()
}

fn place() -> Any<UsagePlace> {
    (moment(), any::<u128>()).prop_map(|(at, request)| UsagePlace { at, request: RequestId(request) }).boxed()
}

pub(super) fn usage() -> Any<UsageRecord> {
    use Outcome::{Cancelled, Done, Failed, Lost, Replayed};
    let subject = (maybe(), maybe(), text(), text(), texts(), maybe()).prop_map(
        |(organisation, team, key, model, tags, provider)| Subject { organisation, team, key, model, tags, provider },
    );
    let outcome = select(vec![Done, Cancelled, Failed, Replayed, Lost]);
    (place(), subject, text(), (tokens(), tokens(), tokens()), (nanos(), nanos(), nanos()), outcome)
        .prop_map(|(place, subject, asked, (prompt, cached, completion), (reserved, cost, disputed), outcome)| {
            UsageRecord {
                request: place.request,
                at: place.at,
                subject,
                asked,
                prompt,
                cached,
                completion,
                reserved,
                cost,
                disputed,
                outcome,
            }
        })
        .boxed()
}

fn explanation() -> Any<Explanation> {
    let candidate = (text(), text(), nanos(), span(), tokens(), any::<bool>(), text()).prop_map(
        |(model, place, money, time, cached, chosen, why)| Candidate { model, place, money, time, cached, chosen, why },
    );
    (place(), text(), text(), option::of(route()), nanos(), vec(candidate, 0..3), texts())
        .prop_map(|(place, key, asked, route, reserved, candidates, steps)| Explanation {
            request: place.request,
            at: place.at,
            key,
            asked,
            route,
            reserved,
            candidates,
            steps,
        })
        .boxed()
}

fn wish() -> Any<Manage> {
    let query = (option::of(moment()), option::of(moment()), (maybe(), maybe(), maybe()), option::of(place()));
    let query = (query, any::<u32>()).prop_map(|((since, until, (key, model, tag), after), limit)| UsageQuery {
        since,
        until,
        key,
        model,
        tag,
        after,
        limit,
    });
    prop_oneof![
        settings().prop_map(Manage::CreateKey),
        (text(), settings()).prop_map(|(key, settings)| Manage::UpdateKey { key, settings }),
        text().prop_map(|key| Manage::RevokeKey { key }),
        budget().prop_map(Manage::PutBudget),
        text().prop_map(|id| Manage::RemoveBudget { id }),
        query.prop_map(Manage::Usage),
        any::<u128>().prop_map(|request| Manage::Explain { request: RequestId(request) }),
        select(vec![Manage::ListKeys, Manage::ListBudgets, Manage::Prices]),
        target().prop_map(Manage::Scale),
        maybe().prop_map(|model| Manage::ScaleTrace { model }),
    ]
    .boxed()
}

fn target() -> Any<ScaleQuery> {
    let time = || option::of(span());
    let share = select(vec![Percentile::P50, Percentile::P99]);
    (maybe(), (time(), time(), time()), share, any::<u8>(), any::<u32>())
        .prop_map(|(model, (ttft, latency, inter_token), percentile, headroom, most)| ScaleQuery {
            model,
            ttft,
            latency,
            inter_token,
            percentile,
            headroom: Percent(headroom),
            most,
        })
        .boxed()
}

fn advice() -> Any<ScaleAdvice> {
    let time = || option::of(span());
    let row = (any::<u32>(), any::<bool>(), (time(), time(), time()), any::<u64>(), (any::<u8>(), any::<u8>()));
    let row = row.prop_map(|(nodes, meets, (ttft, latency, inter_token), refused, (busy, hits))| ScaleRow {
        nodes,
        meets,
        ttft,
        latency,
        inter_token,
        refused,
        busy: Percent(busy),
        hits: Percent(hits),
    });
    let known = (text(), target(), any::<u32>(), (any::<u64>(), any::<u64>()), span(), time());
    let advised = (option::of(any::<u32>()), maybe(), option::of(nanos()), text());
    let speed = (any::<u32>(), span(), span()).prop_map(|(prefill, step, sequence)| Rates { prefill, step, sequence });
    let sure = select(vec![Sure::Little, Sure::Fairly, Sure::Well]);
    (known, vec(row, 0..3), advised, speed, tokens(), sure, texts())
        .prop_map(|(known, rows, advised, speed, room, sure, notes)| {
            let (model, target, nodes, (requests, unserved), over, measured) = known;
            let (advised, because, hour, currency) = advised;
            ScaleAdvice {
                model,
                target,
                nodes,
                requests,
                over,
                unserved,
                measured,
                rows,
                advised,
                because,
                hour,
                currency,
                speed,
                room,
                sure,
                notes,
            }
        })
        .boxed()
}

fn said() -> Any<Managed> {
    let priced = (text(), nanos(), nanos(), nanos(), text()).prop_map(|(model, input, cached, output, source)| {
        PricedModel { model, price: Price { input, cached, output }, source }
    });
    prop_oneof![
        (record(), text()).prop_map(|(record, secret)| Managed::KeyCreated { record, secret }),
        record().prop_map(Managed::Key),
        vec(record(), 0..3).prop_map(Managed::Keys),
        state().prop_map(Managed::Budget),
        vec(state(), 0..3).prop_map(Managed::Budgets),
        text().prop_map(Managed::Done),
        (vec(usage(), 0..3), option::of(place())).prop_map(|(records, next)| Managed::Usage { records, next }),
        explanation().prop_map(|explanation| Managed::Explained(Box::new(explanation))),
        vec(priced, 0..3).prop_map(Managed::Prices),
        advice().prop_map(|advice| Managed::Scale(Box::new(advice))),
        (text(), tokens(), text()).prop_map(|(model, block, lines)| Managed::ScaleTrace { model, block, lines }),
    ]
    .boxed()
}

pub(super) fn manage() -> Any<Frame> {
    prop_oneof![
        wish().prop_map(|manage| AskManage { manage }.into()),
        said().prop_map(|said| AnswerManage { outcome: Ok(said) }.into()),
        job_error().prop_map(|error| AnswerManage { outcome: Err(error) }.into()),
    ]
    .boxed()
}
