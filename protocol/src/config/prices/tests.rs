use super::*;
use crate::config::Config;

fn prices(text: &str) -> Prices {
    Config::parse(text).unwrap().prices
}

/// Paths and problems of all faults.
fn faults(text: &str) -> Vec<(String, String)> {
    let error = Config::parse(text).unwrap_err();
    error.faults.into_iter().map(|fault| (fault.path, fault.problem)).collect()
}

#[test]
fn prices_are_read_and_what_is_cached_costs_as_much_as_what_is_not() {
    let prices = prices(
        r#"
        [prices]
        unknown = "refuse"
        [prices.models."openai/gpt-4o"]
        input = "2.50"
        cached = "1.25"
        output = "10"
        [prices.models.plain]
        input = "1"
        output = "2"
        [prices.models.own]
        gpu_hour = "3.13"
        gpus = 4
        [prices.models.gift]
        free = true
        [prices.models.half]
        free = true
        input = "0"
        output = "1"
    "#,
    );
    assert_eq!(prices.unknown, Unknown::Refuse);
    let of = |name: &str| prices.models[name].basis();
    let tokens = |input, cached, output| {
        Basis::Tokens(Price { input: milli(input).0, cached: milli(cached).0, output: milli(output).0 })
    };
    assert_eq!(of("openai/gpt-4o"), tokens(2_500, 1_250, 10_000));
    assert_eq!(of("plain"), tokens(1_000, 1_000, 2_000));
    assert_eq!(of("own"), Basis::Time { hour: milli(12_520).0, cached: None });
    assert_eq!(of("gift"), tokens(0, 0, 0));
    assert_eq!(of("half"), tokens(0, 0, 1_000));
}

#[test]
fn what_cannot_be_meant_is_a_fault_with_its_path_and_a_remedy() {
    for (text, path, remedy) in [
        ("[prices]\ncurrency = \"dollars\"", "prices.currency", "USD"),
        ("[prices]\nunknown = \"never\"", "prices.unknown", "refuse"),
        ("[prices]\nunknown = 3", "prices.unknown", "refuse"),
        ("[prices]\nunknown = { input = \"0\", output = \"1\" }", "prices.unknown.input", "give a price"),
        ("[prices]\nunknown = { input = \"1\", output = \"1\", each = \"1\" }", "prices.unknown.each", "known here"),
        ("[prices.models.a]\ninput = \"-1\"\noutput = \"1\"", "prices.models.a.input", "not negative"),
        ("[prices.models.a]\ninput = \"0\"\noutput = \"1\"", "prices.models.a.input", "free = true"),
        ("[prices.models.a]\ninput = \"1\"\ncached = \"0\"\noutput = \"1\"", "prices.models.a.cached", "free = true"),
        ("[prices.models.a]\ninput = \"1000001\"\noutput = \"1\"", "prices.models.a.input", "at most 1000000.00"),
        ("[prices.models.a]\ninput = \"99999999999\"\noutput = \"1\"", "prices.models.a.input", "at most"),
        ("[prices.models.a]\ninput = \"1\"", "prices.models.a.output", "left out"),
        ("[prices.models.a]", "prices.models.a", "gpu_hour"),
        ("[prices.models.a]\ngpu_hour = \"1\"\ninput = \"1\"", "prices.models.a.gpu_hour", "only one"),
        ("[prices.models.a]\ngpu_hour = \"0\"", "prices.models.a.gpu_hour", "free = true"),
        ("[prices.models.a]\ngpu_hour = \"1\"\ngpus = 0", "prices.models.a.gpus", "1 to 10000"),
        ("[prices.models.a]\ninput = \"1\"\noutput = \"1\"\ngpus = 2", "prices.models.a.gpus", "gpu_hour"),
        ("[prices.models.a]\ninput = \"1\"\noutput = \"1\"\nsecond = \"1\"", "prices.models.a.second", "known here"),
        ("[prices.models.a]\nfree = true\ninput = \"1\"\noutput = \"1\"", "prices.models.a.free", "leave it out"),
        ("[prices.models.a]\nfree = true\ngpu_hour = \"1\"", "prices.models.a.free", "leave it out"),
        ("[prices.models.a]\ninput = 1.5\noutput = \"1\"", "prices.models.a.input", "expected a string"),
    ] {
        let found = faults(text);
        assert!(found.iter().any(|(at, problem)| at == path && problem.contains(remedy)), "{text}: {found:?}");
        assert_eq!(found.len(), 1, "{text}: {found:?}");
    }
}
