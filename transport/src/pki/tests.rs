use super::*;

const NOW: i64 = 1_800_000_000;

#[test]
fn an_authority_is_made_once_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let made = ClusterAuthority::load_or_create(folder.path(), NOW).unwrap();
    let read = ClusterAuthority::load_or_create(folder.path(), NOW + 99).unwrap();
    assert_eq!(made.fingerprint(), read.fingerprint());
    assert_eq!(made.cluster(), read.cluster());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join(CA_KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_node_certificate_names_the_node_whatever_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let authority = ClusterAuthority::load_or_create(folder.path(), NOW).unwrap();
    let request = NodeRequest::new(NodeId(1)).unwrap();
    let certificate = authority.sign_node(&request.request, NodeId(2), NOW).unwrap();
    assert_eq!(node_of(&certificate), Some(NodeId(2)));
    assert_eq!(node_of(authority.certificate()), None);
    assert!(matches!(authority.sign_node(b"nonsense", NodeId(2), NOW), Err(PkiError::Request(_))));
    let credentials = request.signed(certificate.to_vec(), authority.certificate().to_vec());
    credentials.save(folder.path()).unwrap();
    let read = Credentials::load(folder.path()).unwrap().unwrap();
    assert_eq!(
        (read.certificate, read.authority, read.key),
        (credentials.certificate, credentials.authority, credentials.key)
    );
}

#[test]
fn a_damaged_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Credentials::load(folder.path()).unwrap().is_none());
    std::fs::write(folder.path().join(NODE_CERTIFICATE), "x").unwrap();
    assert!(matches!(Credentials::load(folder.path()), Err(PkiError::Io { .. })));
    std::fs::write(folder.path().join(CA_CERTIFICATE), "x").unwrap();
    let error = ClusterAuthority::load_or_create(folder.path(), NOW).unwrap_err();
    assert!(error.to_string().contains("ca.crt"), "{error}");
}

#[test]
fn a_key_of_another_authority_is_refused() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    ClusterAuthority::load_or_create(folder.path(), NOW).unwrap();
    ClusterAuthority::load_or_create(other.path(), NOW).unwrap();
    std::fs::copy(other.path().join(CA_KEY), folder.path().join(CA_KEY)).unwrap();
    let error = ClusterAuthority::load_or_create(folder.path(), NOW).unwrap_err();
    assert!(error.to_string().contains("is not the key of ca.crt"), "{error}");
    std::fs::remove_file(folder.path().join(CA_CERTIFICATE)).unwrap();
    let error = ClusterAuthority::load_or_create(folder.path(), NOW).unwrap_err();
    assert!(error.to_string().contains("ca.crt: is missing"), "{error}");
}

#[test]
fn stale_and_foreign_credentials_are_told_with_a_remedy() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let authority = ClusterAuthority::load_or_create(folder.path(), NOW).unwrap();
    let foreign = ClusterAuthority::load_or_create(other.path(), NOW).unwrap();
    let request = NodeRequest::new(NodeId(1)).unwrap();
    let certificate = authority.sign_node(&request.request, NodeId(1), NOW).unwrap();
    let credentials = request.signed(certificate.to_vec(), authority.certificate().to_vec());
    let ours = JoinToken::new(authority.fingerprint(), [1; 32]);
    let theirs = JoinToken::new(foreign.fingerprint(), [1; 32]);
    credentials.check(folder.path(), None, NOW).unwrap();
    credentials.check(folder.path(), Some(&ours), NOW).unwrap();
    let late = NOW + LEAF_LIFE.whole_seconds() + 1;
    let error = credentials.check(folder.path(), Some(&ours), late).unwrap_err();
    assert!(matches!(error, PkiError::Expired { .. }) && error.to_string().contains("join again"), "{error}");
    let error = credentials.check(folder.path(), Some(&theirs), NOW).unwrap_err();
    assert!(matches!(error, PkiError::OtherCluster { wanted, .. } if wanted == foreign.cluster()), "{error}");
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
}
