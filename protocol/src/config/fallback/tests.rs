use super::super::Config;

const KNOWN: &str = "[models.own]\npath = \"x\"\n[providers.a]\nmodels = { big = \"b\", small = \"s\" }\n";

fn faults(text: &str) -> Vec<(String, String)> {
    Config::parse(&format!("{KNOWN}{text}")).map_or_else(
        |error| error.faults.into_iter().map(|fault| (fault.path, fault.problem)).collect(),
        |_| Vec::new(),
    )
}

#[test]
fn chains_of_own_models_and_of_providers_are_taken() {
    let text = "[fallbacks.own]\ndown = [\"small\", \"big\"]\nany = [\"big\"]\n[fallbacks.big]\nrate_limit = [\"own\"]";
    assert_eq!(faults(text), []);
    let config = Config::parse(&format!("{KNOWN}{text}")).unwrap();
    assert_eq!(config.fallbacks["own"].down, ["small", "big"]);
    assert!(config.has_model("small") && config.has_model("own") && !config.has_model("s"));
}

#[test]
fn unknown_models_cycles_and_repetitions_are_named() {
    let only = |text: &str| {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    };
    let (path, problem) = only("[fallbacks.own]\ndown = [\"bigg\"]");
    assert_eq!(path, "fallbacks.own.down");
    assert!(problem.contains("'bigg'"), "{problem}");
    let (path, problem) = only("[fallbacks.big]\nany = [\"big\"]");
    assert!(path == "fallbacks.big.any" && problem.contains("itself"), "{path}: {problem}");
    let (path, problem) = only("[fallbacks.big]\nbudget = [\"own\", \"own\"]");
    assert!(path == "fallbacks.big.budget" && problem.contains("twice"), "{path}: {problem}");
    assert_eq!(only("[fallbacks.none]\nany = [\"big\"]").0, "fallbacks.none");
    assert_eq!(only("[fallbacks.big]\ndawn = [\"own\"]").0, "fallbacks.big.dawn");
}
