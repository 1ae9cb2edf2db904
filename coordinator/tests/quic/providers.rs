//! A whole coordinator before providers that are played: who answers in the end, and what is billed for it.

use std::time::Duration;

use ::providers::mock::{Beat, Mock, Reply, Say};
use protocol::account::{Budget, KeyLimits, KeySettings, Outcome, Period, UsageRecord, Window};
use protocol::answer::{Answer, ErrorKind, FinishReason, JobError, Started, Usage};

use protocol::config::{Config, Fallbacks, ModelPrice, Prices, ProviderKind, Tier};
use protocol::manage::{Manage, Managed};
use protocol::message::Ask;
use protocol::money::{Money, Price};
use protocol::request::{ChatMessage, Input, Params, Request, Tool};
use protocol::units::{Nanos, Span, Tokens};
use protocol::version::Versions;
use text::{Special, Text};
use transport::connection::Connection;
use transport::error::Code;
use transport::quic::QuicConnection;

use crate::PACE;
use crate::bed::{Bed, Guest, ask, manage, next, until, usage};

/// 7, 3 and 11 nanos for a token of a provider; 1, 1 and 2 for one of our own.
const THERE: Price = Price { input: Nanos(7_000_000), cached: Nanos(3_000_000), output: Nanos(11_000_000) };
const HERE: Price = Price { input: Nanos(1_000_000), cached: Nanos(1_000_000), output: Nanos(2_000_000) };
/// What the client asks for.
const MODEL: &str = "large";

/// A coordinator with one provider, `away`, and a node that stands in for it.
struct Stage {
    mock: Mock,
    bed: Bed,
    _node: Guest,
    client: QuicConnection,
}

fn price(price: Price) -> ModelPrice {
    let (input, cached, output) = (Some(Money(price.input)), Some(Money(price.cached)), Some(Money(price.output)));
    ModelPrice { input, cached, output, ..ModelPrice::default() }
}

/// The node stands in whatever happens.
fn stands_in(config: &mut Config) {
    config.fallbacks = [(MODEL.to_owned(), Fallbacks { any: vec!["mock".to_owned()], ..Fallbacks::default() })].into();
}

impl Stage {
    async fn of(kind: ProviderKind, change: impl FnOnce(&mut Config)) -> Self {
        let mock = Mock::start().await.unwrap();
        let mut away = mock.config(kind, MODEL, "there");
        away.retries = 0;
        let bed = Bed::start_with(|config| {
            config.providers = [("away".to_owned(), away)].into();
            let models = [("away/there".to_owned(), price(THERE)), ("mock".to_owned(), price(HERE))].into();
            config.prices = Prices { models, ..Prices::default() };
            change(config);
        })
        .await;
        let (node, client) = (bed.node(5, PACE).await, bed.client().await);
        let window = Window { every: Period::Total, zone: None };
        let all = Budget { id: "all".to_owned(), limit: Nanos(1_000_000_000), window, ..Budget::default() };
        manage(&client, Manage::PutBudget(all)).await.unwrap();
        Self { mock, bed, _node: node, client }
    }

    async fn ask(&self, request: Request) -> Told {
        let told = Told::of(ask(&self.client, request).await);
        if let (Some(usage), Some(started)) = (told.usage, &told.started) {
            let records = usage_of(&self.client, started).await;
            assert_eq!(usage.cost, sum(&records), "the client was told otherwise than what is booked: {records:?}");
        }
        let Ok(Managed::Budgets(budgets)) = manage(&self.client, Manage::ListBudgets).await else {
            panic!("no budgets")
        };
        let records = usage(&self.client).await;
        assert_eq!((budgets[0].settled, budgets[0].reserved), (sum(&records), Nanos::ZERO), "{records:?}");
        told
    }
}

fn sum(records: &[UsageRecord]) -> Nanos {
    Nanos(records.iter().map(|record| record.cost.0).sum())
}

/// The records of one request: the last of them stands for the attempt that has ended it.
async fn usage_of(client: &QuicConnection, started: &Started) -> Vec<UsageRecord> {
    let all = usage(client).await;
    all.into_iter().filter(|record| record.request.0 >> 8 == started.request.0 >> 8).collect()
}

#[derive(Debug, Default)]
struct Told {
    started: Option<Started>,
    text: String,
    call: Option<(String, String)>,
    reason: Option<FinishReason>,
    usage: Option<Usage>,
    error: Option<JobError>,
}

impl Told {
    fn of(answers: Vec<Answer>) -> Self {
        let mut told = Self::default();
        for answer in answers {
            assert!(told.usage.is_none() && told.error.is_none(), "something follows the end: {answer:?}");
            match answer {
                Answer::Started(started) => assert!(told.started.replace(started).is_none(), "it begins twice"),
                Answer::Delta(delta) => {
                    told.text.push_str(&delta.text);
                    for piece in delta.calls {
                        let call = told.call.get_or_insert_default();
                        call.0.push_str(&piece.name.unwrap_or_default());
                        call.1.push_str(&piece.arguments);
                    }
                }
                Answer::Finished { reason, .. } => assert!(told.reason.replace(reason).is_none(), "it ends twice"),
                Answer::Done { usage } => told.usage = Some(usage),
                Answer::Failed(error) => told.error = Some(error),
            }
        }
        told
    }

    /// Who has answered, and why, if it was not the provider.
    fn by(&self) -> (&str, Vec<&str>) {
        let started = self.started.as_ref().unwrap();
        let because = started.route.iter().flat_map(|route| &route.because).map(String::as_str).collect();
        (&started.model, because)
    }
}

fn chat() -> Vec<ChatMessage> {
    vec![ChatMessage::new("user", "Please count for me.")]
}

fn request(max_tokens: u32) -> Request {
    let params = Params { max_tokens: Some(max_tokens), ..Params::default() };
    Request { model: MODEL.to_owned(), input: Input::Chat(chat()), params, ..Request::default() }
}

/// What stands for a whole answer of the node's own.
#[track_caller]
fn all_here(records: &[UsageRecord]) {
    match records {
        [record] => {
            assert_eq!((record.subject.provider.as_deref(), record.outcome), (None, Outcome::Done));
            assert_eq!((record.subject.model.as_str(), record.asked.as_str()), ("mock", MODEL));
            assert_eq!(record.cost, HERE.cost(record.prompt, record.cached, record.completion).unwrap());
        }
        other => panic!("not one record: {other:?}"),
    }
}

#[tokio::test]
async fn each_api_streams_and_is_billed_what_it_wrote() {
    for kind in ProviderKind::ALL {
        let stage = Stage::of(kind, |_| {}).await;
        stage.mock.push(Reply::words(12));
        let told = stage.ask(request(64)).await;
        let words: String = (0..12).map(|i| format!("word{i} ")).collect();
        assert_eq!((told.text.as_str(), told.reason), (words.as_str(), Some(FinishReason::Stop)), "{kind:?}");
        assert_eq!(told.started.as_ref().unwrap().provider.as_deref(), Some("away"));
        let (written, records) = (stage.mock.totals(), usage(&stage.client).await);
        let [record] = records.as_slice() else { panic!("{kind:?}: not one record: {records:?}") };
        assert_eq!((record.prompt, record.completion), (written.prompt, written.completion), "{kind:?}");
        assert_eq!((record.completion, record.outcome, record.disputed), (Tokens(12), Outcome::Done, Nanos::ZERO));
        assert_eq!(record.cost, THERE.cost(written.prompt, Tokens::ZERO, Tokens(12)).unwrap());
        assert_eq!(record.subject.provider.as_deref(), Some("away"));
    }
}

#[tokio::test]
async fn each_api_calls_a_function() {
    for kind in ProviderKind::ALL {
        let stage = Stage::of(kind, |_| {}).await;
        stage.mock.push(Reply::call("weather", &["{\"city\":", "\"Oslo\"}"]));
        let mut asked = request(64);
        let parameters = r#"{"type":"object","properties":{"city":{"type":"string"}}}"#.to_owned();
        let tool = Tool { name: "weather".to_owned(), parameters: Some(parameters), ..Tool::default() };
        asked.tools.list = vec![tool];
        let told = stage.ask(asked).await;
        let (name, arguments) = told.call.clone().unwrap();
        let arguments: serde_json::Value = serde_json::from_str(&arguments).unwrap();
        assert_eq!((name.as_str(), arguments), ("weather", serde_json::json!({"city": "Oslo"})), "{kind:?}");
        assert_eq!(told.reason, Some(FinishReason::ToolCalls), "{kind:?}");
        let (written, records) = (stage.mock.totals(), usage(&stage.client).await);
        assert_eq!((records[0].prompt, records[0].completion), (written.prompt, written.completion), "{kind:?}");
    }
}

/// Every way to say when to come again: after so many milliseconds.
fn refusals(kind: ProviderKind) -> Vec<(Reply, u64)> {
    let gemini = r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"40s"}]}}"#;
    let plain = r#"{"error":{"type":"rate_limit_error","code":"rate_limit_exceeded","message":"slow down"}}"#;
    let refusal = || Reply::status(429, plain);
    let spent = |reply: Reply| reply.header("x-ratelimit-remaining-requests", "0");
    let mut all = vec![
        (refusal().header("retry-after", "20"), 20_000),
        (refusal().header("retry-after-ms", "30500"), 30_500),
        (spent(refusal()).header("x-ratelimit-reset-requests", "1m10s"), 70_000),
    ];
    if kind == ProviderKind::Gemini {
        all.push((Reply::status(429, gemini), 40_000));
    }
    all
}

#[tokio::test]
async fn a_provider_that_takes_no_more_is_waited_for_or_left_and_bills_nothing() {
    for kind in ProviderKind::ALL {
        // Nobody stands in: the client hears when to come again.
        for (reply, millis) in refusals(kind) {
            let stage = Stage::of(kind, |_| {}).await;
            stage.mock.push(reply);
            let error = stage.ask(request(8)).await.error.unwrap();
            let told = (error.kind, error.retry_after);
            assert_eq!(told, (ErrorKind::Overloaded, Some(Duration::from_millis(millis))), "{kind:?}");
            // It is not even asked again before that.
            let error = stage.ask(request(8)).await.error.unwrap();
            assert!(error.kind == ErrorKind::Overloaded && error.retry_after.is_some(), "{kind:?}: {error:?}");
            assert_eq!((stage.mock.asked().len(), usage(&stage.client).await.len()), (1, 0), "{kind:?}");
        }
        // The node does.
        let stage = Stage::of(kind, stands_in).await;
        stage.mock.push(refusals(kind).remove(0).0);
        assert_eq!(stage.ask(request(8)).await.by(), ("mock", vec!["fallback:rate_limit"]), "{kind:?}");
        all_here(&usage(&stage.client).await);
        // It was a matter of a moment, and the same provider is asked again.
        let stage = Stage::of(kind, |config| {
            stands_in(config);
            config.providers.get_mut("away").unwrap().retries = 1;
        })
        .await;
        stage.mock.push(Reply::status(429, "{}").header("retry-after-ms", "20"));
        assert_eq!(stage.ask(request(8)).await.by(), (MODEL, vec![]), "{kind:?}");
        assert_eq!((stage.mock.asked().len(), usage(&stage.client).await.len()), (2, 1), "{kind:?}");
    }
}

#[tokio::test]
async fn what_fails_before_its_answer_is_answered_by_the_node_and_bills_nothing() {
    let wrong = r#"{"error":{"type":"server_error","message":"something broke"}}"#;
    for kind in ProviderKind::ALL {
        for (what, reply) in [
            ("500", Reply::status(500, wrong)),
            ("503 without JSON", Reply::status(503, "<html>")),
            ("200 with an error body", Reply::status(200, wrong)),
            ("cut at once", Reply::beats(vec![Beat::Cut])),
            ("garbled at once", Reply::beats(vec![Beat::Malformed])),
            ("nothing for a while", Reply::words(3).delay(Duration::from_secs(600))),
            ("pings alone", Reply::beats(vec![Beat::Ping, Beat::Silence])),
        ] {
            let stage = Stage::of(kind, |config| {
                stands_in(config);
                let away = config.providers.get_mut("away").unwrap();
                (away.first_token, away.stall) = (Span(Duration::from_millis(300)), Span(Duration::from_millis(300)));
            })
            .await;
            stage.mock.push(reply);
            let told = stage.ask(request(8)).await;
            assert_eq!(told.error, None, "{kind:?}, {what}");
            assert_eq!(told.by().0, "mock", "{kind:?}, {what}");
            let records = usage(&stage.client).await;
            assert!(records.iter().all(|record| record.subject.provider.is_none() || record.completion.0 == 0));
            all_here(&records[records.len() - 1..]);
        }
    }
}

#[tokio::test]
async fn a_cut_answer_goes_on_at_the_node_and_the_client_sees_one() {
    let words = "word0 word1 word2 word3 ";
    for kind in ProviderKind::ALL {
        for last in [Beat::Cut, Beat::Silence, Beat::Malformed] {
            let what = format!("{kind:?}, {last:?}");
            let stage = Stage::of(kind, |config| {
                stands_in(config);
                config.providers.get_mut("away").unwrap().stall = Span(Duration::from_millis(300));
            })
            .await;
            let mut reply = Reply::words(12).then(4, Beat::Wait(Duration::from_millis(50)));
            reply.beats.push(last);
            stage.mock.push(reply);
            let mut asked = request(60);
            asked.params.temperature = Some(0.0);
            let told = stage.ask(asked).await;
            assert_eq!(told.error, None, "{what}");
            let rest = told.text.strip_prefix(words).unwrap_or_else(|| panic!("{what}: {}", told.text));
            // As the node goes on with any text.
            let text = Text::new(actors::mock::bundle()).unwrap();
            let mut prompt = text.chat(&chat()).unwrap();
            prompt.extend(text.encode(words, Special::Plain).unwrap());
            let mut direct = crate::bed::request(60 - words.len() as u32);
            direct.input = Input::Tokens(prompt.clone());
            (direct.params.temperature, direct.params.ignore_eos, direct.care.fresh) = (Some(0.0), false, true);
            let direct = Told::of(ask(&stage.client, direct).await);
            assert_eq!((rest, told.reason), (direct.text.as_str(), direct.reason), "{what}");

            let records = usage_of(&stage.client, told.started.as_ref().unwrap()).await;
            let [there, here] = records.as_slice() else { panic!("{what}: not two records: {records:?}") };
            assert_eq!((there.outcome, there.subject.provider.as_deref()), (Outcome::Failed, Some("away")), "{what}");
            // Only one API says how much there was before the end; of others the text is counted.
            let least = stage.mock.totals().completion;
            let most = if kind == ProviderKind::Gemini { least } else { Tokens::of(words.len()) };
            assert!(there.completion >= least && there.completion <= most, "{what}: {there:?}");
            all_here(std::slice::from_ref(here));
            assert_eq!((here.prompt, here.completion), (Tokens::of(prompt.len()), Tokens::of(rest.len())), "{what}");
            assert_eq!(told.usage.unwrap().completion, there.completion + here.completion, "{what}");
        }
    }
}

#[tokio::test]
async fn a_call_that_was_cut_is_not_begun_anew() {
    for kind in [ProviderKind::OpenAi, ProviderKind::Anthropic] {
        let stage = Stage::of(kind, stands_in).await;
        let call = Beat::Call { name: "weather".to_owned(), arguments: vec!["{\"ci".to_owned()] };
        stage.mock.push(Reply::beats(vec![call, Beat::Wait(Duration::from_millis(50)), Beat::Cut]));
        let mut asked = request(64);
        asked.tools.list = vec![Tool { name: "weather".to_owned(), ..Tool::default() }];
        let error = stage.ask(asked).await.error.unwrap();
        assert_eq!(error.kind, ErrorKind::ProviderFailed, "{kind:?}: {error:?}");
        let records = usage(&stage.client).await;
        assert!(records.len() == 1 && records[0].outcome == Outcome::Failed && records[0].cost > Nanos::ZERO);
    }
}

#[tokio::test]
async fn a_breaker_opens_after_faults_and_heals() {
    for kind in ProviderKind::ALL {
        let stage = Stage::of(kind, |config| {
            stands_in(config);
            config.breaker.faults = 3;
            config.breaker.cooldown = Span(Duration::from_secs(3600));
            config.breaker.max_cooldown = Span(Duration::from_secs(3600));
        })
        .await;
        stage.mock.always(Reply::status(500, "{}"));
        for _ in 0..8 {
            assert_eq!(stage.ask(request(4)).await.by().0, "mock", "{kind:?}");
        }
        assert_eq!(stage.mock.asked().len(), 3, "{kind:?}: it is asked although its breaker is open");

        let stage = Stage::of(kind, |config| {
            stands_in(config);
            config.breaker.faults = 1;
            config.breaker.cooldown = Span(Duration::from_millis(50));
        })
        .await;
        stage.mock.push(Reply::status(500, "{}"));
        assert_eq!(stage.ask(request(4)).await.by().0, "mock", "{kind:?}");
        until(async || (stage.ask(request(4)).await.by().0 == MODEL).then_some(())).await;
        assert_eq!(stage.ask(request(4)).await.by().0, MODEL, "{kind:?}: it is closed again");
    }
}

#[tokio::test]
async fn a_provider_that_lies_or_says_nothing_is_billed_within_what_was_set_aside() {
    for kind in ProviderKind::ALL {
        let stage = Stage::of(kind, |_| {}).await;
        for (what, say) in [
            ("far too much", Say::These(5_000_000, 0, 5_000_000, 0)),
            ("nothing", Say::Nothing),
            ("zero", Say::These(0, 0, 0, 0)),
            ("more cached than there is", Say::These(10, 5_000_000, 12, 0)),
        ] {
            stage.mock.push(Reply::words(40).say(say));
            let told = stage.ask(request(64)).await;
            let records = usage_of(&stage.client, told.started.as_ref().unwrap()).await;
            let [record] = records.as_slice() else { panic!("{kind:?}, {what}: {records:?}") };
            assert!(record.cost > Nanos::ZERO && record.cost <= record.reserved, "{kind:?}, {what}: {record:?}");
            assert!(
                record.completion > Tokens::ZERO && record.completion <= Tokens(64),
                "{kind:?}, {what}: {record:?}"
            );
            // One API counts what is cached beside the prompt, so that it is never more.
            let disputes = what == "far too much" || (what.contains("cached") && kind == ProviderKind::Anthropic);
            assert_eq!(record.disputed > Nanos::ZERO, disputes, "{kind:?}, {what}: {record:?}");
        }
    }
}

/// Leaves after so many pieces; what is booked then.
async fn leave(stage: &Stage, pieces: usize) -> UsageRecord {
    let (mut writer, mut reader) = stage.client.open().await.unwrap();
    writer.send(Ask { request: request(64) }).await.unwrap();
    for _ in 0..pieces {
        next(&mut reader).await;
    }
    stage.mock.until(|state| state.totals.running == 1).await;
    writer.reset(Code::Cancelled);
    reader.stop(Code::Cancelled);
    stage.mock.until(|state| state.totals.cancelled == 1).await;
    until(async || usage(&stage.client).await.pop()).await
}

#[tokio::test]
async fn whoever_leaves_ends_the_stream_there_and_pays_for_what_came() {
    for kind in ProviderKind::ALL {
        let stage = Stage::of(kind, |_| {}).await;
        stage.mock.push(Reply::words(3).then(3, Beat::Silence));
        // The beginning, and three words.
        let record = leave(&stage, 4).await;
        assert_eq!((record.outcome, stage.mock.totals().completion), (Outcome::Cancelled, Tokens(3)), "{kind:?}");
        assert!(record.prompt > Tokens::ZERO && record.completion >= Tokens(3), "{kind:?}: {record:?}");
        assert!(record.completion <= Tokens(64), "{kind:?}: {record:?}");
    }
}

#[tokio::test]
async fn regression_whoever_left_before_the_first_token_had_the_prompt_for_nothing() {
    for kind in ProviderKind::ALL {
        let stage = Stage::of(kind, |_| {}).await;
        stage.mock.push(Reply::words(3).delay(Duration::from_secs(600)));
        let record = leave(&stage, 0).await;
        assert_eq!((record.outcome, record.completion), (Outcome::Cancelled, Tokens::ZERO), "{kind:?}");
        assert!(record.prompt > Tokens::ZERO && record.cost > Nanos::ZERO, "{kind:?}: {record:?}");
        stage.bed.stop();
    }
}

#[tokio::test]
async fn regression_a_stand_in_after_a_billed_failure_had_no_record_of_its_own() {
    let stage = Stage::of(ProviderKind::Anthropic, stands_in).await;
    // It has said what the prompt costs, and then nothing that can be read.
    stage.mock.push(Reply::beats(vec![Beat::Malformed]));
    let told = stage.ask(request(8)).await;
    let records = usage_of(&stage.client, told.started.as_ref().unwrap()).await;
    let [there, here] = records.as_slice() else { panic!("not two records: {records:?}") };
    assert_eq!((there.outcome, there.completion), (Outcome::Failed, Tokens::ZERO));
    all_here(std::slice::from_ref(here));
}

fn tiers(config: &mut Config, models: [&str; 2]) {
    let tier = |model: &str| Tier { name: format!("tier-{model}"), models: vec![model.to_owned()] };
    (config.routing.tiers, config.routing.unsure) = (models.map(tier).into(), 1.0);
    // Whatever it seems to need, the first is good enough.
    (config.routing.cheap, config.routing.balanced, config.routing.best) = (vec![1.0], vec![1.0], vec![1.0]);
}

/// A question that the lowest tier is asked first.
fn easy() -> Request {
    let mut request = request(8);
    request.model = "auto:cheap".to_owned();
    request
}

#[tokio::test]
async fn an_answer_that_was_thrown_away_is_billed_beside_the_one_that_was_not() {
    let stage = Stage::of(ProviderKind::OpenAi, |config| tiers(config, ["mock", MODEL])).await;
    stage.mock.push(Reply::words(5));
    let told = stage.ask(easy()).await;
    assert_eq!((told.by().0, told.text.as_str()), (MODEL, "word0 word1 word2 word3 word4 "));
    let records = usage_of(&stage.client, told.started.as_ref().unwrap()).await;
    let models: Vec<&str> = records.iter().map(|record| record.subject.model.as_str()).collect();
    assert_eq!(models, ["mock", MODEL], "{records:?}");
    assert!(records.iter().all(|record| record.outcome == Outcome::Done && record.cost > Nanos::ZERO), "{records:?}");
}

#[tokio::test]
async fn regression_a_held_back_answer_that_broke_was_waited_for_without_end_and_its_cost_not_told() {
    let stage = Stage::of(ProviderKind::OpenAi, |config| {
        tiers(config, [MODEL, "mock"]);
        // The better one is not the cheaper one.
        let dear = Price { output: Nanos(500_000_000), ..THERE };
        config.prices.models.insert("mock".to_owned(), price(dear));
    })
    .await;
    let mut reply = Reply::words(12).then(4, Beat::Wait(Duration::from_millis(50)));
    reply.beats.push(Beat::Cut);
    stage.mock.push(reply);
    let told = stage.ask(easy()).await;
    assert_eq!(told.by().0, "mock");
    let records = usage_of(&stage.client, told.started.as_ref().unwrap()).await;
    assert_eq!(records.len(), 2, "{records:?}");
}

#[tokio::test]
async fn regression_a_request_that_went_on_elsewhere_counted_as_two_of_a_minute() {
    let stage = Stage::of(ProviderKind::OpenAi, stands_in).await;
    let limits = KeyLimits { requests_per_minute: Some(2), ..KeyLimits::default() };
    let settings = KeySettings { name: "few".to_owned(), limits, ..KeySettings::default() };
    let Ok(Managed::KeyCreated { secret, .. }) = manage(&stage.client, Manage::CreateKey(settings)).await else {
        panic!("no key")
    };
    let (client, _) = stage.bed.greet(&secret, Versions::OURS).await;
    stage.mock.always(Reply::status(500, "{}"));
    for _ in 0..2 {
        assert_eq!(Told::of(ask(&client, request(4)).await).by().0, "mock");
    }
    assert_eq!(Told::of(ask(&client, request(4)).await).error.unwrap().kind, ErrorKind::RateLimited);
}
