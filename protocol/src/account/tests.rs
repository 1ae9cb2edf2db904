use super::*;

#[test]
fn a_scope_matches_what_agrees_in_all_its_fields() {
    let subject = Subject {
        organisation: Some("acme".into()),
        team: None,
        key: "key-1".into(),
        model: "big".into(),
        tags: vec!["a".into(), "b".into()],
        provider: None,
    };
    let scope = |change: fn(&mut Scope)| {
        let mut scope = Scope::default();
        change(&mut scope);
        scope
    };
    assert!(Scope::default().matches(&subject));
    assert!(scope(|s| s.organisation = Some("acme".into())).matches(&subject));
    assert!(scope(|s| (s.key, s.tag) = (Some("key-1".into()), Some("b".into()))).matches(&subject));
    assert!(!scope(|s| (s.key, s.tag) = (Some("key-1".into()), Some("c".into()))).matches(&subject));
    assert!(!scope(|s| s.team = Some("red".into())).matches(&subject));
    assert!(!scope(|s| s.provider = Some("openai".into())).matches(&subject));
    assert!(!scope(|s| s.model = Some("small".into())).matches(&subject));
}
