use std::time::Duration;

use proptest::prelude::*;
use protocol::config::Config;
use protocol::money::Money;

use super::*;

fn prices(text: &str) -> Prices {
    let config = Config::parse(text).unwrap();
    Prices::new(&config.prices, &config.placement)
}

fn nanos(text: &str) -> Nanos {
    text.parse::<Money>().unwrap().0
}

fn price(input: &str, cached: &str, output: &str) -> Price {
    Price { input: nanos(input), cached: nanos(cached), output: nanos(output) }
}

const OWN: &str = "[prices.models.own]\ngpu_hour = \"3.60\"\n";

#[test]
fn what_is_configured_goes_before_the_list_and_that_before_the_default() {
    let prices = prices(
        "[prices.models.\"openai/gpt-4o\"]\ninput = \"2\"\noutput = \"8\"\n[prices.models.small]\ninput = \"0.5\"\noutput = \"1\"",
    );
    let of = |model: &str, provider| prices.of(model, provider).unwrap();
    assert_eq!(of("gpt-4o", Some("openai")), Priced { price: price("2", "2", "8"), source: "cluster.toml".into() });
    assert_eq!(
        of("gpt-4o-mini", Some("openai")),
        Priced { price: price("0.15", "0.075", "0.60"), source: "list of 2026-11".into() }
    );
    assert_eq!(of("small", None).price, price("0.5", "0.5", "1"));
    let default = Priced { price: price("1", "0.10", "2"), source: "default".into() };
    assert_eq!(of("other", None), default);
    assert_eq!(of("gpt-4o-mini", None), default, "an own model with that name is no provider's");
    assert_eq!(of("gpt-4o-mini-2099", Some("openai")), default, "names match exactly");
    assert_eq!(prices.price("gpt-4o", Some("openai")), Ok(price("2", "2", "8")));
    assert_eq!(prices.price("small", None), Ok(price("0.5", "0.5", "1")));
    let all = prices.all(["small", "another"]);
    let names: Vec<(&str, &str)> = all.iter().map(|model| (model.model.as_str(), model.source.as_str())).collect();
    assert_eq!(names, [("another", "default"), ("openai/gpt-4o", "cluster.toml"), ("small", "cluster.toml")]);
}

#[test]
fn what_has_no_price_is_refused_if_that_is_wanted() {
    let prices = prices("[prices]\nunknown = \"refuse\"\nlist = false");
    let error = prices.of("gpt-4o", Some("openai")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("[prices.models.\"openai/gpt-4o\"]") && text.contains("prices.unknown"), "{text}");
    assert!(prices.price("small", None).is_err());
    assert!(prices.all(["small"]).is_empty());
}

#[test]
fn an_hour_becomes_tokens_by_what_is_assumed_and_then_by_what_is_measured() {
    let mut prices = prices(OWN);
    // 0.001 a second; 2,000 tokens a second; 20.2 ms for one token.
    let first = prices.of("own", None).unwrap();
    assert_eq!(first, Priced { price: price("0.50", "0.05", "20.20"), source: "gpu-hour, not measured yet".into() });
    let rates = Rates { prefill: 10_000, step: Duration::from_millis(10), sequence: Duration::from_micros(250) };
    prices.observe("own", rates, 0);
    assert_eq!(prices.of("own", None).unwrap().source, "gpu-hour, partly measured");
    assert_eq!(prices.price("own", None).unwrap(), price("0.10", "0.01", "20.20"), "nothing was decoded");
    prices.observe("own", rates, 40);
    // A step of 20 ms gives 40 tokens.
    let second = prices.of("own", None).unwrap();
    assert_eq!(second, Priced { price: price("0.10", "0.01", "0.50"), source: "gpu-hour, measured".into() });
    prices.observe("own", Rates { sequence: Duration::from_millis(1), ..rates }, 40);
    let third = prices.price("own", None).unwrap();
    assert!(third.output > nanos("0.50") && third.output < nanos("0.55"), "one report moves it little: {third:?}");
    for _ in 0..400 {
        prices.observe("own", Rates { sequence: Duration::from_millis(1), ..rates }, 40);
    }
    let last = prices.price("own", None).unwrap().output;
    assert!(last.0.abs_diff(nanos("1.25").0) < 1_000_000, "{last}");
    assert_eq!(first.price, price("0.50", "0.05", "20.20"), "what was taken before stays as it was");
}

#[test]
fn the_price_of_a_token_is_the_time_of_all_steps_over_the_tokens_of_all_steps() {
    let mut prices = prices(OWN);
    let rates = Rates { prefill: 1_000, step: Duration::from_millis(10), sequence: Duration::ZERO };
    for _ in 0..2_000 {
        prices.observe("own", rates, 1);
        prices.observe("own", rates, 19);
    }
    // 20 ms for 20 tokens, not the mean of 10 ms and 0.53 ms.
    let output = prices.price("own", None).unwrap().output.0 as f64 / nanos("1").0 as f64;
    assert!((0.95..1.05).contains(&output), "{output}");
}

#[test]
fn no_report_makes_a_price_nothing_or_too_much() {
    let mut prices = prices(OWN);
    for (prefill, step, sequence, batch) in [
        (u32::MAX, Duration::from_nanos(1), Duration::ZERO, u32::MAX),
        (1, Duration::MAX, Duration::MAX, 1),
        (0, Duration::ZERO, Duration::MAX, u32::MAX),
    ] {
        prices.observe("own", Rates { prefill, step, sequence }, batch);
        let Price { input, cached, output } = prices.price("own", None).unwrap();
        for amount in [input, cached, output] {
            assert!(amount > Nanos(0) && amount <= nanos("1000000"), "{amount}");
        }
    }
    prices.observe("unknown", Rates::default(), 1);
}

#[test]
fn the_list_in_the_program_can_be_read_and_names_its_sources() {
    let list = List::parse(include_str!("list.toml")).unwrap();
    assert_eq!(list, List::built_in());
    assert!(list.models.len() >= 20);
    for (name, listed) in &list.models {
        assert!(!listed.provider.is_empty() && listed.date.len() >= 4 && !listed.source.is_empty(), "{name}");
        assert!(listed.price.cached <= listed.price.input && listed.price.input <= listed.price.output, "{name}");
    }
    for (model, expected) in [
        ("gpt-4-turbo", price("10", "10", "30")),
        ("claude-3-haiku-20240307", price("0.25", "0.03", "1.25")),
        ("gpt-4o", price("2.50", "1.25", "10")),
    ] {
        assert_eq!(list.models[model].price, expected, "{model}");
    }
    let a100 = &list.hardware["a100-8b"];
    assert_eq!((a100.gpu_hour.0, a100.gpus), (nanos("3.13"), 1));
    assert!(a100.source.contains("TensorRT-LLM"));
}

#[test]
fn a_list_that_cannot_be_used_says_where() {
    for (text, words) in [
        ("[models.a]\ninput = \"1\"", vec!["line 1, [models.a]: ", "output"]),
        ("currency = \"USD\"\n[models.a]\ninput = \"one\"\noutput = \"1\"", vec!["line 3, input: ", "not an amount"]),
        ("[models.a]\ninput = \"0\"\noutput = \"1\"", vec!["models.\"a\".input is 0.00", "more than 0"]),
        ("[models.a]\ninput = \"1\"\noutput = \"1000001\"", vec!["output is 1000001.00", "at most"]),
        ("[models.a]\ninput = \"1\"\noutput = \"1\"\nfree = true", vec!["line 4", "free"]),
        ("[hardware.a]\nmodel = \"m\"\ngpu_hour = \"1\"\nprefill = 0\ndecode = 1", vec!["prefill is 0", "give 1 to"]),
        ("[models", vec!["line 1"]),
    ] {
        let error = List::parse(text).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)) && !error.contains('\n'), "{text}: {error}");
    }
}

fn any_price() -> impl Strategy<Value = Price> {
    (0..100_000_000_000_u64, 0..100_000_000_000_u64, 0..100_000_000_000_u64).prop_map(|(input, cached, output)| Price {
        input: Nanos(input),
        cached: Nanos(cached),
        output: Nanos(output),
    })
}

proptest! {
    #[test]
    fn nothing_within_the_bound_costs_more(
        price in any_price(),
        prompt in 0..200_000_u64,
        most in 0..100_000_u64,
        n in 1..9_u32,
        cached in prop::collection::vec(0..=100_u64, 8),
        made in prop::collection::vec(0..=100_u64, 8),
    ) {
        let bound = upper_bound(&price, Tokens(prompt), Tokens(most), n).unwrap();
        let of = |shares: &[u64], whole: u64| shares.iter().take(n as usize).map(|share| whole * share / 100).sum::<u64>();
        // Each answer with a job of its own, whose prompt is cached more or less; and all with one prompt.
        for prompts in [u64::from(n), 1] {
            let cost = price.cost(Tokens(prompt * prompts), Tokens(of(&cached, prompt)), Tokens(of(&made, most)));
            prop_assert!(cost.unwrap() <= bound);
        }
        prop_assert!(upper_bound(&price, Tokens(prompt + 1), Tokens(most), n).unwrap() >= bound);
        prop_assert!(upper_bound(&price, Tokens(prompt), Tokens(most + 1), n).unwrap() >= bound);
        prop_assert!(upper_bound(&price, Tokens(prompt), Tokens(most), n + 1).unwrap() >= bound);
    }

    #[test]
    fn what_does_not_fit_is_said(price in any_price(), prompt in any::<u64>(), most in any::<u64>(), n in any::<u32>()) {
        if let Ok(bound) = upper_bound(&price, Tokens(prompt), Tokens(most), n) {
            let n = u128::from(n.max(1));
            let sum = n * u128::from(prompt) * u128::from(price.input.max(price.cached).0)
                + n * u128::from(most) * u128::from(price.output.0);
            prop_assert_eq!(u128::from(bound.0), sum.div_ceil(1_000_000));
        }
    }
}

#[test]
fn hardware_that_is_always_busy_costs_its_hours_by_the_token() {
    let hardware = &List::built_in().hardware["a100-8b"];
    let price = hardware.price();
    // 3.13 an hour is 869.4 millionths a second, of which a prompt token takes 1 / 15,200 and one of an answer 1 / 5,040.
    assert_eq!((price.input, price.cached, price.output), (Nanos(57_200_293), Nanos(5_720_030), Nanos(172_508_819)));
    let hour = price.cost(Tokens(15_200 * 1800), Tokens::ZERO, Tokens(5_040 * 1800)).unwrap();
    assert!(hour.0.abs_diff(hardware.gpu_hour.0.0) < 1_000_000, "{hour}");
}

#[test]
fn a_list_goes_before_another_of_its_currency() {
    let list = |text: &str| List::parse(text).unwrap();
    let own = "[models.a]\ninput = '1'\noutput = '2'";
    let both =
        list(own).from("mine").over(list("[models.a]\ninput='9'\noutput='9'\n[models.b]\ninput='3'\noutput='4'"));
    assert_eq!((both.models["a"].price.input.0, both.models.len()), (1_000_000_000, 2));
    assert_eq!((both.models["a"].source.as_str(), both.models["b"].source.as_str()), ("mine", ""));
    let other = list(&format!("currency = 'EUR'\n{own}")).over(list("[models.b]\ninput='3'\noutput='4'"));
    assert_eq!((other.currency.as_str(), other.models.len()), ("EUR", 1));
}
