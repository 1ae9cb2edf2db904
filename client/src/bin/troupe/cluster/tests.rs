use super::*;

const NOTHING: Options = Options { server: Vec::new(), key_file: None, ca_file: None, fingerprint: None };

#[test]
fn a_state_folder_nearby_is_the_default_and_options_win() {
    let state = tempfile::tempdir().unwrap();
    fs::write(state.path().join(KEY_FILE), "from-state\n").unwrap();
    fs::write(state.path().join(CA_FILE), "pem").unwrap();
    let given = state.path().join("given");
    fs::write(&given, "from-file\n").unwrap();

    assert_eq!(NOTHING.key(None, state.path()).unwrap(), ApiKey::new("from-state"));
    let ca = state.path().join(CA_FILE);
    assert_eq!(NOTHING.trust(state.path()).unwrap(), Trust::CaFile(ca));

    let variable = Some("from-variable".to_owned());
    assert_eq!(NOTHING.key(variable.clone(), state.path()).unwrap(), ApiKey::new("from-variable"));
    let file = Options { key_file: Some(given), ..NOTHING };
    assert_eq!(file.key(variable, state.path()).unwrap(), ApiKey::new("from-file"));
    let pinned = Options { fingerprint: Some("ab".into()), ..NOTHING };
    assert_eq!(pinned.trust(state.path()).unwrap(), Trust::Fingerprint("ab".into()));
}

#[test]
fn what_is_missing_is_named_with_the_remedy() {
    let empty = tempfile::tempdir().unwrap();
    let key = NOTHING.key(Some("  ".into()), empty.path()).unwrap_err().to_string();
    assert!(key.contains("--key-file") && key.contains("admin.key"), "{key}");
    let trust = NOTHING.trust(empty.path()).unwrap_err().to_string();
    assert!(trust.contains("--ca-file") && trust.contains("--fingerprint"), "{trust}");

    let file = Options { key_file: Some(empty.path().join("none")), ..NOTHING };
    let missing = file.key(None, empty.path()).unwrap_err().to_string();
    assert!(missing.contains("none cannot be read"), "{missing}");
}
