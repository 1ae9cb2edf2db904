use super::*;

const FILE: &str = include_str!("../../../cluster.toml");

fn paths(text: &str) -> Vec<String> {
    Config::parse(text).unwrap_err().faults.into_iter().map(|fault| fault.path).collect()
}

#[test]
fn the_file_in_the_repository_states_the_defaults() {
    let mut config = Config::parse(FILE).unwrap();
    let model = config.models.remove("smollm2").expect("cluster.toml names the small model");
    assert_eq!(config, Config::default());
    assert_eq!(model, Model { path: model.path.clone(), ..Model::default() });
}

#[test]
fn every_key_stands_in_the_file_with_a_comment_before_it() {
    let mut full = Config::default();
    full.node.name = Some("a".into());
    full.node.threads = Some(1);
    full.coordinator.threads = Some(1);
    full.node.metrics = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
    full.node.listen = Some(SocketAddr::from(([127, 0, 0, 1], 2)));
    full.node.address = Some("a:2".into());
    full.node.hub = Some("https://a".into());
    let (source, sha256) = (Some(Source::Node), Some(Hashes::One(crate::files::Sha256([0; 32]))));
    let model = Model { context: Some(2048), path: "x".into(), source, sha256, ..Model::default() };
    full.models.insert("smollm2".into(), model);
    let provider = Provider {
        base: Some("https://a".into()),
        key_env: Some("A".into()),
        key_file: Some("a".into()),
        ca_file: Some("a".into()),
        ..Provider::default()
    };
    full.providers.insert("openai".into(), provider);
    full.fallbacks.insert("smollm2".into(), Fallbacks::default());
    let all = toml::Table::try_from(&full).unwrap();
    for (section, value) in &all {
        let section_table = value.as_table().unwrap();
        let keys: Vec<&String> = match section.as_str() {
            "models" | "fallbacks" => section_table["smollm2"].as_table().unwrap().keys().collect(),
            "providers" => section_table["openai"].as_table().unwrap().keys().collect(),
            _ => section_table.keys().collect(),
        };
        for key in keys {
            assert!(documented(section, key), "cluster.toml lacks {section}.{key}, or a comment above it");
        }
    }
}

/// Whether the key stands in its section, active or commented out, right below a comment.
fn documented(section: &str, key: &str) -> bool {
    let mut inside = false;
    let mut before = "";
    for line in FILE.lines() {
        if let Some(head) = line.trim_start_matches("# ").strip_prefix('[') {
            inside = head.starts_with(section);
        }
        let bare = line.trim_start_matches("# ");
        if inside && bare.split_once(" = ").is_some_and(|(name, _)| name == key) {
            return before.starts_with('#');
        }
        before = line;
    }
    false
}

#[test]
fn keys_that_are_commented_out_work_when_they_are_not() {
    let text: String = FILE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(bare) if bare.starts_with('[') && bare.ends_with(']') => bare,
            Some(bare)
                if bare
                    .split_once(" = ")
                    .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_')) =>
            {
                bare
            }
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n");
    let config = Config::parse(&text).unwrap();
    assert!(config.coordinator.threads.is_some());
    let openai = &config.providers["openai"];
    let bare = Provider {
        base: Some(openai.kind.base().into()),
        key_env: openai.key_env.clone(),
        key_file: openai.key_file.clone(),
        ca_file: openai.ca_file.clone(),
        models: openai.models.clone(),
        ..Provider::default()
    };
    assert_eq!(*openai, bare, "the example states the defaults");
    assert!(!config.fallbacks["smollm2"].down.is_empty());
    assert!(config.node.threads.is_some() && config.node.metrics.is_some() && config.node.name.is_some());
}

#[test]
fn an_empty_file_is_the_default_cluster() {
    assert_eq!(Config::parse(""), Ok(Config::default()));
}

#[test]
fn all_faults_come_at_once_each_with_its_path() {
    let text = r#"
        colour = "red"
        [coordinator]
        http = "nowhere"
        max_requests = 0
        threads = 0
        body_limit = "4 parsecs"
        [node]
        coordinators = ["here"]
        device = "tpu"
        [models.small]
        kv_memory = 12
        dtype = "f16"
        speed = 9
        [wire]
        keep_alive = "9s"
        [health]
        stall = "0s"
    "#;
    let mut found = paths(text);
    found.sort();
    let mut expected = vec![
        "colour",
        "coordinator.body_limit",
        "coordinator.http",
        "coordinator.max_requests",
        "coordinator.threads",
        "health.stall",
        "models.small.dtype",
        "models.small.kv_memory",
        "models.small.path",
        "models.small.speed",
        "node.coordinators",
        "node.device",
        "wire.keep_alive",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_fault_says_what_to_write() {
    let error = Config::parse("[wire]\nidle = \"5s\"\nkeep_alive = \"fast\"").unwrap_err().to_string();
    assert!(error.contains("wire.idle: no such key; known here: `keep_alive`"), "{error}");
    assert!(error.contains("wire.keep_alive: 'fast' is not a time span"), "{error}");
}

#[test]
fn text_that_is_no_toml_is_shown_with_its_place() {
    let error = Config::parse("[wire\n").unwrap_err();
    assert_eq!(error.faults.len(), 1);
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[test]
fn a_section_of_the_wrong_shape_is_one_fault() {
    assert_eq!(paths("wire = 3"), ["wire"]);
    assert_eq!(paths("models = [1, 2]"), ["models"]);
}
