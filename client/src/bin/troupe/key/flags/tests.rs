use clap::Parser;
use protocol::account::KeyLimits;

use super::*;

const NOW: UnixMillis = UnixMillis(1_769_848_200_000);

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

fn applied(mut settings: KeySettings, words: &[&str]) -> Result<KeySettings, String> {
    let line = Line::try_parse_from(std::iter::once(&"x").chain(words)).map_err(|error| error.to_string())?;
    line.flags.apply(&mut settings, NOW).map_err(|error| error.to_string())?;
    Ok(settings)
}

#[test]
fn every_field_has_its_flag() {
    let words = [
        "--name",
        "ann",
        "--organisation",
        "acme",
        "--team",
        "red",
        "--model",
        "a",
        "--model",
        "b",
        "--requests-per-minute",
        "60",
        "--tokens-per-minute",
        "10000",
        "--parallel",
        "4",
        "--class",
        "interactive",
        "--tag",
        "x",
        "--tag",
        "y",
        "--expires",
        "2030-01-31T00:00:00Z",
        "--guardrail",
        "g",
        "--no-cache",
        "--fallback",
        "big=a, b",
        "--admin",
    ];
    let expected = KeySettings {
        name: "ann".into(),
        organisation: Some("acme".into()),
        team: Some("red".into()),
        admin: true,
        models: vec!["a".into(), "b".into()],
        limits: KeyLimits { requests_per_minute: Some(60), tokens_per_minute: Some(10_000), parallel: Some(4) },
        class: Class::Interactive,
        tags: vec!["x".into(), "y".into()],
        expires: Some(UnixMillis(1_896_048_000_000)),
        guardrails: vec!["g".into()],
        cache: CacheUse::Off,
        fallbacks: [("big".to_owned(), vec!["a".to_owned(), "b".to_owned()])].into(),
    };
    assert_eq!(applied(KeySettings::default(), &words), Ok(expected.clone()));
    assert_eq!(applied(expected.clone(), &[]), Ok(expected.clone()), "what is not named stays");
    let other = applied(expected.clone(), &["--no-admin", "--cache", "--tag", "z", "--expires", "1d"]).unwrap();
    assert_eq!((other.admin, other.cache, other.tags), (false, CacheUse::On, vec!["z".to_owned()]));
    assert_eq!(other.expires, Some(UnixMillis(NOW.0 + 86_400_000)));
    let mut cleared = expected;
    for field in <Clear as clap::ValueEnum>::value_variants() {
        field.apply(&mut cleared);
    }
    // What is no flag to clear has flags of its own.
    let bare = KeySettings { admin: true, cache: CacheUse::Off, ..KeySettings::default() };
    assert_eq!(cleared, bare);
}

#[test]
fn what_cannot_be_is_refused_with_a_remedy() {
    for (words, part) in [
        (["--expires", "2020-01-01"], "not later than now"),
        (["--expires", "0d"], "not later than now"),
        (["--expires", "soon"], "as 30d"),
        (["--fallback", "=a"], "MODEL=A,B"),
        (["--fallback", "m=a,,b"], "MODEL=A,B"),
        (["--parallel", "-1"], "-1"),
        (["--parallel", "x"], "invalid"),
    ] {
        let error = applied(KeySettings::default(), &words).unwrap_err();
        assert!(error.contains(part), "{words:?}: {error}");
    }
    let error = applied(KeySettings::default(), &["--fallback", "m=a", "--fallback", "m=b"]).unwrap_err();
    assert!(error.contains("'m' twice"), "{error}");
}
