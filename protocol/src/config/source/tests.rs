use super::super::Config;
use super::*;

fn hub(repo: &str, file: Option<&str>, revision: Option<&str>) -> Source {
    let (file, revision) = (file.map(str::to_owned), revision.map(str::to_owned));
    Source::Hub(HubSource { repo: repo.to_owned(), file, revision })
}

#[test]
fn sources_are_written_as_they_are_read() {
    let all = [
        ("hf:org/repo", hub("org/repo", None, None)),
        ("hf:org/repo@v1.0", hub("org/repo", None, Some("v1.0"))),
        ("hf:org/repo@refs/pr/3", hub("org/repo", None, Some("refs/pr/3"))),
        ("hf:org/repo/a-Q4_0.gguf", hub("org/repo", Some("a-Q4_0.gguf"), None)),
        ("hf:org/repo/sub/a.GGUF@main", hub("org/repo", Some("sub/a.GGUF"), Some("main"))),
        ("folder:/shared/models/x", Source::Folder("/shared/models/x".into())),
        ("folder:C:d", Source::Folder("C:d".into())),
        ("node", Source::Node),
    ];
    for (text, source) in all {
        assert_eq!(text.parse(), Ok(source.clone()), "{text}");
        assert_eq!(source.to_string(), text);
    }
}

#[test]
fn what_could_lead_elsewhere_is_no_source() {
    let bad = |text: &str| text.parse::<Source>().unwrap_err();
    for text in ["", "here", "node:a", "https://huggingface.co/org/repo", "HF:org/repo", "/a/path"] {
        assert!(matches!(bad(text), BadSource::Unknown(_)), "{text}");
    }
    for text in ["hf:", "hf:repo", "hf:../repo", "hf:org/..", "hf:org/", "hf:/repo", "hf:o rg/repo", "hf:org/re?po"] {
        assert!(matches!(bad(text), BadSource::Repo(_)), "{text}");
    }
    let files =
        ["a.safetensors", ".gguf", "../a.gguf", "a/../b.gguf", "a\\b.gguf", "/a.gguf", "a%2e.gguf", "a#.gguf", ""];
    for file in files {
        assert!(matches!(bad(&format!("hf:org/repo/{file}")), BadSource::File(_)), "{file}");
    }
    for text in ["hf:org/repo@", "hf:org/repo@..", "hf:org/repo@a//b", "hf:org/repo@a@b", "hf:org/repo@a b"] {
        assert!(matches!(bad(text), BadSource::Revision(_)), "{text}");
    }
    assert_eq!(bad("folder:"), BadSource::Folder);
}

fn faults(text: &str) -> Vec<String> {
    Config::parse(text).map_or_else(|error| error.faults.iter().map(|fault| fault.path.clone()).collect(), |_| vec![])
}

#[test]
fn a_model_has_a_path_or_a_source() {
    assert_eq!(faults("[models.a]\nsource = \"hf:org/repo\""), Vec::<String>::new());
    assert_eq!(faults("[models.a]\nblock = 32"), ["models.a.path"]);
    assert_eq!(faults("[models.a]\nsource = \"nowhere\"\npath = \"x\""), ["models.a.source"]);
    assert_eq!(faults("[models.a]\nsource = \"node\""), ["models.a.source"]);
    assert_eq!(faults("[node]\npeers = [\"a:1\"]\n[models.a]\nsource = \"node\""), Vec::<String>::new());
    let config = Config::parse("[models.a]\nsource = \"hf:org/repo\"\npath = \"x\"").unwrap();
    assert_eq!(config.models["a"].fetched(), None, "a path of its own wins");
}

#[test]
fn a_hash_is_one_or_one_for_each_file() {
    let hash = "ab".repeat(32);
    let parsed = |value: &str| Config::parse(&format!("[models.a]\npath = \"x\"\nsha256 = {value}"));
    let of = |value: &str| parsed(value).unwrap().models["a"].sha256.clone().unwrap();
    assert_eq!(of(&format!("\"{hash}\"")), Hashes::One(Sha256([0xab; 32])));
    let each = BTreeMap::from([("m.gguf".to_owned(), Sha256([0xab; 32]))]);
    assert_eq!(of(&format!("{{ \"m.gguf\" = \"{hash}\" }}")), Hashes::Each(each));
    for bad in ["\"abc\"", "{ \"m.gguf\" = \"abc\" }", "{}", "7"] {
        let error = parsed(bad).unwrap_err();
        assert!(error.faults.iter().all(|fault| fault.path.starts_with("models.a.sha256")), "{bad}: {error}");
    }
    assert!(parsed("\"abc\"").unwrap_err().to_string().contains("64 hexadecimal digits"));
}

#[test]
fn what_a_node_cannot_use_is_named() {
    assert_eq!(faults("[node]\nmodels = \"\"\nmodels_limit = \"1KiB\"\nhub = \"ftp://x\"\npeers = [\"a\"]").len(), 4);
    for hub in ["https://huggingface.co", "http://127.0.0.1:8080", "https://mirror/hf"] {
        assert_eq!(faults(&format!("[node]\nhub = \"{hub}\"")), Vec::<String>::new());
    }
    for hub in ["huggingface.co", "https://", "https:///x", "https://user@host", "https://h?x", "file:///etc"] {
        assert_eq!(faults(&format!("[node]\nhub = \"{hub}\"")), ["node.hub"], "{hub}");
    }
}
