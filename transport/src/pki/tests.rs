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
    assert_eq!((read.certificate, read.authority, read.key), (credentials.certificate, credentials.authority, credentials.key));
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
