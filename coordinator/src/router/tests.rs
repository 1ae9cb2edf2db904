use protocol::account::KeySettings;
use protocol::config::Tier;
use protocol::request::ChatMessage;

use policy::complexity::Score;

use super::*;

/// Says of each prompt what its last turn says of itself.
struct Told;

impl Scorer for Told {
    fn score(&self, prompt: &Prompt<'_>) -> Score {
        let need = prompt.turns().find_map(|turn| turn.parse::<f64>().ok()).unwrap_or(0.0);
        Score::new(need / 2.0, need)
    }
}

fn config() -> Routing {
    let tier = |name: &str| Tier { name: name.into(), models: vec![format!("{name}-model")] };
    Routing { tiers: vec![tier("small"), tier("large")], ..Routing::default() }
}

fn router() -> Router {
    Router::with(config(), Arc::new(Told)).unwrap()
}

fn caller(key: &str) -> Caller {
    let salt = *blake3::hash(key.as_bytes()).as_bytes().first_chunk().unwrap();
    Caller { key: key.into(), salt, admin: false, settings: Arc::new(KeySettings::default()) }
}

fn request(model: &str, turns: &[&str]) -> Request {
    let messages = turns.iter().map(|turn| ChatMessage::new("user", *turn)).collect();
    Request { model: model.into(), input: Input::Chat(messages), ..Request::default() }
}

#[tokio::test]
async fn a_mode_decides_how_much_it_takes_to_go_up() {
    let router = router();
    let tier = |mode: &str, need: &str| {
        let request = request(mode, &[need]);
        let mode = router.mode(mode).unwrap().unwrap();
        let mut request = request;
        // Each stands alone.
        request.care.session = Some(format!("{need}{mode}"));
        router.decide(&caller("a"), &request, mode).route.tier
    };
    assert_eq!(tier("auto:cheap", "0.9"), "small");
    assert_eq!(tier("auto:balanced", "0.9"), "large");
    assert_eq!(tier("auto", "0.7"), "small");
    assert_eq!(tier("auto:best", "0.7"), "large");
}

#[tokio::test]
async fn only_auto_is_chosen_for_and_only_where_there_are_tiers() {
    let with = router();
    assert_eq!(with.mode("smollm2").unwrap(), None);
    assert!(with.mode("auto:worst").unwrap_err().message.contains("cheap, balanced or best"));
    assert_eq!(with.names(), ["auto", "auto:cheap", "auto:balanced", "auto:best"]);
    let without = Router::with(Routing::default(), Arc::new(Told)).unwrap();
    let error = without.mode("auto").unwrap_err();
    assert!(error.kind == ErrorKind::UnknownModel && error.message.contains("[routing]"));
    assert!(without.names().is_empty());
}

#[tokio::test]
async fn a_conversation_goes_up_and_does_not_bounce_back() {
    let router = router();
    let decide = |key: &str, turns: &[&str]| {
        let decided = router.decide(&caller(key), &request("auto", turns), Mode::Balanced);
        (decided.route.tier, decided.route.because)
    };
    assert_eq!(decide("a", &["0.1"]), ("small".into(), vec![]));
    assert_eq!(decide("a", &["0.1", "0.99"]), ("large".into(), vec!["raised".to_owned()]));
    assert_eq!(decide("a", &["0.1", "0.99", "0.2"]), ("large".into(), vec!["sticky".to_owned()]));
    assert_eq!(decide("b", &["0.1", "0.99", "0.2"]).0, "small", "another key's conversation is another");
    assert_eq!(decide("a", &["0.15"]).0, "small", "and so is one that begins otherwise");
}

#[tokio::test]
async fn an_unsure_answer_keeps_its_conversation_above() {
    let router = router();
    let first = router.decide(&caller("a"), &request("auto", &["0.1"]), Mode::Balanced);
    router.raise(&first, 1);
    let next = router.decide(&caller("a"), &request("auto", &["0.1", "0.1"]), Mode::Balanced);
    assert_eq!((next.tier, next.route.because), (1, vec!["sticky".to_owned()]));
}

#[test]
fn the_built_in_weights_can_be_read() {
    assert!(Router::new(config()).is_ok());
}
