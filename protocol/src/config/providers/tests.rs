use super::super::Config;
use super::*;

fn faults(text: &str) -> Vec<String> {
    Config::parse(text).map_or_else(|error| error.faults.into_iter().map(|fault| fault.path).collect(), |_| Vec::new())
}

#[test]
fn models_are_a_table_or_a_list() {
    let models = |text: &str| Config::parse(text).unwrap().providers["a"].models.0.clone();
    let both = models("[providers.a]\nmodels = { big = \"x/big-2\" }");
    assert_eq!(both, BTreeMap::from([("big".to_owned(), "x/big-2".to_owned())]));
    let same = models("[providers.a]\nmodels = [\"big\"]");
    assert_eq!(same, BTreeMap::from([("big".to_owned(), "big".to_owned())]));
    let found = faults("[providers.a]\nmodels = 3");
    assert!(!found.is_empty() && found.iter().all(|path| path == "providers.a.models"), "{found:?}");
}

#[test]
fn each_kind_has_a_public_address() {
    for kind in ProviderKind::ALL {
        let text = format!("[providers.a]\nkind = \"{}\"\nmodels = [\"m\"]", kind.as_str());
        assert_eq!(Config::parse(&text).unwrap().providers["a"].kind, kind);
        assert!(is_base(kind.base()));
    }
}

#[test]
fn what_cannot_work_is_named_at_once() {
    let text = r#"
        [providers.a]
        base = "ftp://x"
        key_file = ""
        ca_file = ""
        models = []
        headers = { Authorization = "Bearer x" }
        drop = ["model"]
        prefill = true
        stall = "0s"
        first_token = "20m"
        parallel = 0
        retries = 11
        [providers.b]
        kind = "gemini"
        vllm = true
        models = { "a b" = "x", c = "../x" }
        headers = { "a b" = "x" }
    "#;
    let mut found = faults(text);
    found.sort();
    let a = "base ca_file drop first_token headers key_file models parallel prefill retries stall";
    let mut expected: Vec<String> = a.split(' ').map(|key| format!("providers.a.{key}")).collect();
    expected.extend(["headers", "models", "models", "vllm"].map(|key| format!("providers.b.{key}")));
    assert_eq!(found, expected);
}

#[test]
fn one_name_means_one_sort_of_model() {
    let text = "[models.m]\npath = \"x\"\n[providers.a]\nmodels = [\"m\"]";
    assert_eq!(faults(text), ["providers.a.models"]);
    // Two providers of one model stand in for each other.
    assert_eq!(faults("[providers.a]\nmodels = [\"m\"]\n[providers.b]\nmodels = [\"m\"]"), Vec::<String>::new());
}

#[test]
fn secrets_are_not_shown() {
    let error = Config::parse("[providers.a]\nmodels = [\"m\"]\nkey_env = \"sk-secret\"").unwrap_err().to_string();
    assert!(error.contains("providers.a.key_env") && !error.contains("sk-secret"), "{error}");
    let config = Config::parse("[providers.a]\nmodels = [\"m\"]\nheaders = { x-org = \"hidden\" }").unwrap();
    let shown = format!("{config:?}");
    assert!(shown.contains("x-org") && !shown.contains("hidden"), "{shown}");
}
