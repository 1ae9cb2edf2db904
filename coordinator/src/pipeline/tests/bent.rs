//! What overload does to requests, and what it leaves alone.

use protocol::config::{Contexts, Degrade};
use protocol::job::Class;

use super::*;

fn degrade() -> Degrade {
    Degrade { context: Contexts { interactive: 90, standard: 60, bulk: 20 }, max_tokens: 5, ..Degrade::default() }
}

fn bent(level: u8, forbid: &[u8], class: Class, input: Input, params: Params) -> Task {
    let request = Request { model: "mock".into(), input, params, ..Request::default() };
    let bend = Bend::new(level, forbid, class, &degrade());
    prepare(request, origin(), &card(), Arc::new(Text::new(mock::bundle()).unwrap()), &bend).unwrap()
}

fn turns() -> Vec<ChatMessage> {
    let turn = ChatMessage::new;
    vec![turn("system", "brief"), turn("user", "older"), turn("assistant", "first"), turn("user", "newest")]
}

fn extras() -> Params {
    Params { n: Some(3), logprobs: Some(2), max_tokens: Some(4), ..Params::default() }
}

fn tokens(messages: &[ChatMessage]) -> Vec<TokenId> {
    Text::new(mock::bundle()).unwrap().chat(messages).unwrap()
}

#[test]
fn rung_1_leaves_extras_out() {
    let task = bent(1, &[], Class::Standard, text("abc"), extras());
    assert_eq!((task.choices, task.sampling.logprobs, task.limits.max_tokens), (1, None, Tokens(4)));
    assert_eq!(task.degraded, ["1:logprobs=none", "1:n=1"]);
    let plain = bent(5, &[], Class::Standard, text("abc"), Params { max_tokens: Some(4), ..Params::default() });
    assert!(plain.degraded.is_empty(), "nothing was changed");
}

#[test]
fn rung_2_drops_the_oldest_turns_by_class_and_caps_the_answer() {
    let all = turns();
    assert!((60..90).contains(&tokens(&all).len()), "{}", tokens(&all).len());
    let most = Params { max_tokens: Some(9), ..Params::default() };
    let task = bent(2, &[], Class::Standard, Input::Chat(all.clone()), most.clone());
    let kept = [all[0].clone(), all[2].clone(), all[3].clone()];
    assert_eq!(task.prompt, tokens(&kept));
    assert_eq!(task.limits.max_tokens, Tokens(5));
    assert_eq!(task.degraded, ["2:dropped-turns=1", "2:max_tokens=5"]);
    // System turns and the last user turn stay, whatever the limit.
    let task = bent(2, &[], Class::Bulk, Input::Chat(all.clone()), most.clone());
    assert_eq!(task.prompt, tokens(&[all[0].clone(), all[3].clone()]));
    assert_eq!(task.degraded[0], "2:dropped-turns=2");
    let task = bent(2, &[], Class::Interactive, Input::Chat(all.clone()), most);
    assert_eq!((task.prompt, task.degraded), (tokens(&all), vec!["2:max_tokens=5".to_owned()]));
}

#[test]
fn a_rung_that_is_forbidden_touches_nothing() {
    for forbid in [&[1, 2][..], &[1, 2, 3, 4, 5]] {
        let task = bent(5, forbid, Class::Bulk, Input::Chat(turns()), Params { max_tokens: Some(9), ..extras() });
        assert_eq!((task.prompt, task.choices), (tokens(&turns()), 3));
        assert!(task.degraded.is_empty());
    }
    let task = bent(2, &[2], Class::Bulk, text("abc"), extras());
    assert_eq!((task.choices, task.degraded.len()), (1, 2));
}

#[test]
fn the_same_question_is_known_by_all_that_its_answer_depends_on() {
    let task = |words: &str, params: Params| made(text(words), params).unwrap();
    let greedy = Params { temperature: Some(0.0), ..Params::default() };
    let key = |task: &Task, seeded: bool| question(task, &card(), seeded);
    let first = key(&task("abc", greedy.clone()), false).unwrap();
    // A greedy answer does not depend on the seed.
    assert_eq!(key(&task("abc", Params { seed: Some(9), ..greedy.clone() }), true), Some(first));
    assert_eq!(key(&task("abc", Params::default()), false), None, "drawn by chance");
    let seeded = |seed| Params { seed: Some(seed), ..Params::default() };
    assert_ne!(key(&task("abc", seeded(1)), true), key(&task("abc", seeded(2)), true));
    for other in [
        Params { max_tokens: Some(3), ..greedy.clone() },
        Params { stop: vec!["x".into()], ..greedy.clone() },
        Params { logprobs: Some(0), ..greedy.clone() },
        Params { presence_penalty: Some(0.5), ..greedy.clone() },
        Params { ignore_eos: true, ..greedy.clone() },
        Params { n: Some(2), ..greedy.clone() },
    ] {
        assert_ne!(key(&task("abc", other.clone()), false), Some(first), "{other:?}");
    }
    assert_ne!(key(&task("abd", greedy.clone()), false), Some(first));
    let mut foreign = task("abc", greedy);
    foreign.salt = [4; 16];
    assert_ne!(key(&foreign, false), Some(first), "another tenant");
    foreign.salt = [3; 16];
    assert_ne!(question(&foreign, &Card { weights: [1; 32], ..card() }, false), Some(first), "other weights");
}
