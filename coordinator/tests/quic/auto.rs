//! Models that the cluster chooses, of nodes and of a provider, and who stands in for whom.

use protocol::account::{Budget, Period, Scope, UsageRecord, Window};
use protocol::answer::{Answer, ErrorKind, Started, Usage};
use protocol::config::{Config, Fallbacks, ModelPrice, ProviderKind, Tier};
use protocol::manage::{Explanation, Manage, Managed, UsageQuery};
use protocol::money::Money;
use protocol::request::{ChatMessage, Input, Params, Request};
use protocol::units::{Nanos, Tokens};
use providers::mock::{Mock, Reply};
use transport::quic::QuicConnection;

use crate::PACE;
use crate::bed::{Bed, ask, manage};

/// Of a provider.
const BIG: &str = "big";

/// A tier of a node's model, and one of a provider's. `auto:cheap` never goes up, `auto:best` always.
fn tiers(config: &mut Config, mock: &Mock) {
    let tier = |name: &str, model: &str| Tier { name: name.into(), models: vec![model.into()] };
    config.routing.tiers = vec![tier("small", "mock"), tier("large", BIG)];
    (config.routing.cheap, config.routing.best) = (vec![1.0], vec![0.0]);
    config.providers.insert("acme".into(), mock.config(ProviderKind::OpenAi, BIG, "gpt-9"));
    let price = |input: u64, output: u64| ModelPrice {
        input: Some(Money(Nanos(input * 1_000_000_000))),
        output: Some(Money(Nanos(output * 1_000_000_000))),
        ..ModelPrice::default()
    };
    config.prices.models.insert("mock".into(), price(1, 2));
    config.prices.models.insert("acme/gpt-9".into(), price(10, 30));
}

fn chat(model: &str) -> Request {
    let params = Params { max_tokens: Some(12), temperature: Some(0.0), ..Params::default() };
    let input = Input::Chat(vec![ChatMessage::new("user", "name a river")]);
    let mut request = Request { model: model.into(), input, params, ..Request::default() };
    request.care.fresh = true;
    request
}

struct Told {
    started: Started,
    text: String,
    usage: Usage,
}

fn told(answers: &[Answer]) -> Told {
    let Some(Answer::Started(started)) = answers.first() else { panic!("no beginning: {answers:?}") };
    let Some(Answer::Done { usage }) = answers.last() else { panic!("no end: {answers:?}") };
    let text = answers.iter().filter_map(|piece| match piece {
        Answer::Delta(delta) => Some(delta.text.as_str()),
        _ => None,
    });
    Told { started: started.clone(), text: text.collect(), usage: *usage }
}

async fn records(client: &QuicConnection) -> Vec<UsageRecord> {
    match manage(client, Manage::Usage(UsageQuery { limit: 100, ..UsageQuery::default() })).await {
        Ok(Managed::Usage { records, .. }) => records,
        other => panic!("no usage: {other:?}"),
    }
}

async fn explained(client: &QuicConnection, told: &Told) -> Explanation {
    match manage(client, Manage::Explain { request: told.started.request }).await {
        Ok(Managed::Explained(explanation)) => *explanation,
        other => panic!("no explanation: {other:?}"),
    }
}

#[tokio::test]
async fn the_cheapest_model_that_is_good_enough_answers_and_says_why() {
    let mock = Mock::start().await.unwrap();
    let bed = Bed::start_with(|config| tiers(config, &mock)).await;
    let _node = bed.node(5, PACE).await;
    let client = bed.client().await;

    let small = told(&ask(&client, chat("auto:cheap")).await);
    let route = small.started.route.clone().unwrap();
    assert_eq!((small.started.model.as_str(), small.started.provider.as_deref()), ("mock", None));
    assert_eq!((route.asked.as_str(), route.tier.as_str()), ("auto:cheap", "small"));
    let large = told(&ask(&client, chat("auto:best")).await);
    assert_eq!((large.started.model.as_str(), large.started.provider.as_deref()), (BIG, Some("acme")));
    assert_eq!(large.text, "Hello there");
    assert_eq!(large.started.route.clone().unwrap().tier, "large");

    let why = explained(&client, &small).await;
    let told: Vec<_> = why.candidates.iter().map(|one| (one.model.as_str(), one.place.as_str(), one.chosen)).collect();
    assert_eq!(told, [("mock", "node-5", true), (BIG, "acme", false)]);
    assert!(why.candidates[0].money < why.candidates[1].money);
    let why = explained(&client, &large).await;
    assert_eq!(why.candidates.len(), 1, "the small one is not good enough: {:?}", why.candidates);

    let all = records(&client).await;
    let billed: Vec<_> = all.iter().map(|record| (record.subject.model.as_str(), record.asked.as_str())).collect();
    assert_eq!(billed, [("mock", "auto:cheap"), (BIG, "auto:best")]);
    assert_eq!(all[0].cost, small.usage.cost);
    assert_eq!(all[1].cost, large.usage.cost);
    assert_eq!(all[1].subject.provider.as_deref(), Some("acme"));
}

#[tokio::test]
async fn regression_a_request_that_names_its_model_is_not_said_to_have_found_nobody() {
    let mock = Mock::start().await.unwrap();
    let bed = Bed::start_with(|config| tiers(config, &mock)).await;
    let _node = bed.node(5, PACE).await;
    let client = bed.client().await;
    for (model, by) in [("mock", "own nodes"), (BIG, "provider acme")] {
        let answer = told(&ask(&client, chat(model)).await);
        let why = explained(&client, &answer).await;
        assert!(why.candidates.is_empty(), "nothing was compared: {why:?}");
        assert!(why.steps[0].contains(model) && why.steps[0].contains(by), "{:?}", why.steps);
    }
}

#[tokio::test]
async fn an_unsure_answer_is_thrown_away_and_billed_and_a_sure_one_kept() {
    let mock = Mock::start().await.unwrap();
    // The mock node is sure of each token by a half.
    for (threshold, model) in [(0.6, BIG), (0.4, "mock")] {
        let bed = Bed::start_with(|config| {
            tiers(config, &mock);
            config.routing.unsure = threshold;
        })
        .await;
        let _node = bed.node(5, PACE).await;
        let client = bed.client().await;
        let answers = ask(&client, chat("auto:cheap")).await;
        let told = told(&answers);
        assert_eq!(told.started.model, model, "at {threshold}");
        assert_eq!(answers.iter().filter(|piece| matches!(piece, Answer::Started(_))).count(), 1);
        let bare = |piece: &Answer| !matches!(piece, Answer::Delta(delta) if !delta.logprobs.is_empty());
        assert!(answers.iter().all(bare), "nobody asked for log-probabilities");
        let all = records(&client).await;
        let sum: u64 = all.iter().map(|record| record.cost.0).sum();
        assert_eq!(told.usage.cost, Nanos(sum), "the client hears what both have cost");
        if model == BIG {
            assert_eq!(told.text, "Hello there");
            assert_eq!(told.started.route.clone().unwrap().because, ["cascade"]);
            assert!(all[0].completion >= Tokens(8) && all[1].completion == Tokens(2), "{all:?}");
            // The conversation stays there: no second answer is thrown away.
            let mut more = chat("auto:cheap");
            let Input::Chat(turns) = &mut more.input else { panic!("a chat") };
            turns.extend([ChatMessage::new("assistant", "the Rhine"), ChatMessage::new("user", "another")]);
            ask(&client, more).await;
            assert_eq!(records(&client).await.len(), 3);
        } else {
            assert_eq!((all.len(), all[0].completion), (1, told.usage.completion));
        }
    }
}

#[tokio::test]
async fn a_spent_budget_of_a_model_sends_its_requests_to_the_one_that_is_named() {
    let mock = Mock::start().await.unwrap();
    let bed = Bed::start_with(|config| {
        tiers(config, &mock);
        let chain = Fallbacks { budget: vec!["mock".into()], ..Fallbacks::default() };
        config.fallbacks.insert(BIG.into(), chain);
    })
    .await;
    let _node = bed.node(5, PACE).await;
    let client = bed.client().await;
    let budget = Budget {
        id: "big".into(),
        scope: Scope { model: Some(BIG.into()), ..Scope::default() },
        limit: Nanos(1),
        window: Window { every: Period::Total, zone: None },
        ..Budget::default()
    };
    manage(&client, Manage::PutBudget(budget.clone())).await.unwrap();
    let answer = told(&ask(&client, chat(BIG)).await);
    assert_eq!(answer.started.model, "mock");
    assert_eq!(answer.started.route.unwrap().because, ["fallback:budget"]);
    assert!(mock.asked().is_empty(), "nothing was sent to the provider");

    // Where nobody is named, it is refused, and told why.
    manage(
        &client,
        Manage::PutBudget(Budget {
            id: "mock".into(),
            scope: Scope { model: Some("mock".into()), ..Scope::default() },
            ..budget
        }),
    )
    .await
    .unwrap();
    let refused = ask(&client, chat("mock")).await;
    let [Answer::Failed(error)] = &refused[..] else { panic!("not one failure: {refused:?}") };
    assert_eq!(error.kind, ErrorKind::OverBudget);
    assert!(error.message.contains("budget 'mock'"), "{}", error.message);
}

#[tokio::test]
async fn a_node_goes_on_where_a_provider_broke_off_and_both_are_billed() {
    let mock = Mock::start().await.unwrap();
    let bed = Bed::start_with(|config| {
        tiers(config, &mock);
        let chain = Fallbacks { down: vec!["mock".into()], ..Fallbacks::default() };
        config.fallbacks.insert(BIG.into(), chain);
        if let Some(provider) = config.providers.get_mut("acme") {
            provider.retries = 0;
        }
    })
    .await;
    let _node = bed.node(5, PACE).await;
    let client = bed.client().await;
    use providers::mock::Beat;
    mock.push(Reply::beats(vec![Beat::Text("one ".into()), Beat::Text("two ".into()), Beat::Cut]));
    let answers = ask(&client, chat(BIG)).await;
    let answer = told(&answers);
    assert!(answer.text.starts_with("one two ") && answer.text.len() > 8, "{:?}", answer.text);
    assert_eq!(answers.iter().filter(|piece| matches!(piece, Answer::Started(_))).count(), 1, "one unbroken answer");
    let all = records(&client).await;
    assert_eq!(all.iter().map(|record| record.subject.model.as_str()).collect::<Vec<_>>(), [BIG, "mock"]);
    assert_eq!(answer.usage.cost, Nanos(all.iter().map(|record| record.cost.0).sum()));
    assert!(all[0].completion >= Tokens(2) && all[0].request != all[1].request, "{all:?}");
}

#[tokio::test]
async fn an_unsure_answer_is_given_after_all_where_the_next_tier_cannot_answer() {
    let mock = Mock::start().await.unwrap();
    let bed = Bed::start_with(|config| {
        tiers(config, &mock);
        config.routing.unsure = 0.6;
        if let Some(provider) = config.providers.get_mut("acme") {
            provider.retries = 0;
        }
    })
    .await;
    let _node = bed.node(5, PACE).await;
    let client = bed.client().await;
    mock.always(Reply::status(500, "{}"));
    let answer = told(&ask(&client, chat("auto:cheap")).await);
    assert_eq!(answer.started.model, "mock");
    assert!(!answer.text.is_empty() && !mock.asked().is_empty());
    let all = records(&client).await;
    assert_eq!((all.len(), answer.usage.cost), (1, all[0].cost), "it is billed once");
}

#[tokio::test]
async fn regression_an_answer_that_two_stand_ins_go_on_with_is_begun_once() {
    let mock = Mock::start().await.unwrap();
    let bed = Bed::start_with(|config| {
        tiers(config, &mock);
        let mut second = mock.config(ProviderKind::OpenAi, "second", "gpt-8");
        second.prefill = true;
        second.retries = 0;
        config.providers.insert("other".into(), second);
        let chain = Fallbacks { down: vec!["second".into(), "mock".into()], ..Fallbacks::default() };
        config.fallbacks.insert(BIG.into(), chain);
        if let Some(provider) = config.providers.get_mut("acme") {
            provider.retries = 0;
        }
    })
    .await;
    let _node = bed.node(5, PACE).await;
    let client = bed.client().await;
    use providers::mock::Beat;
    mock.push(Reply::beats(vec![Beat::Text("one ".into()), Beat::Text("two ".into()), Beat::Cut]));
    mock.push(Reply::status(500, "{}"));
    let answer = told(&ask(&client, chat(BIG)).await);
    assert_eq!(answer.text.matches("one two").count(), 1, "{:?}", answer.text);
    // The node was given the beginning: what it says is what follows, not an answer of its own from the start.
    let alone = told(&ask(&client, chat("mock")).await);
    assert_ne!(answer.text.strip_prefix("one two ").unwrap(), alone.text);
}

#[tokio::test]
async fn regression_an_answer_of_a_stand_in_is_not_kept_as_the_others() {
    let mock = Mock::start().await.unwrap();
    let bed = Bed::start_with(|config| {
        tiers(config, &mock);
        let chain = Fallbacks { down: vec![BIG.into()], any: vec![BIG.into()], ..Fallbacks::default() };
        config.fallbacks.insert("mock".into(), chain);
        config.accounts.explanations = 8;
    })
    .await;
    let node = bed.node(5, PACE).await;
    let client = bed.client().await;
    let kept = || Request { care: protocol::request::Care::default(), ..chat("mock") };
    let budget = Budget {
        id: "mock".into(),
        scope: Scope { model: Some("mock".into()), ..Scope::default() },
        limit: Nanos(1),
        window: Window { every: Period::Total, zone: None },
        ..Budget::default()
    };
    manage(&client, Manage::PutBudget(budget)).await.unwrap();
    let stood_in = told(&ask(&client, kept()).await);
    assert_eq!(stood_in.text, "Hello there");
    manage(&client, Manage::RemoveBudget { id: "mock".into() }).await.unwrap();
    let own = told(&ask(&client, kept()).await);
    assert!(!own.started.replayed && own.text != "Hello there", "{:?}", own.text);
    drop(node);
}
