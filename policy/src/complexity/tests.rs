use proptest::prelude::*;
use protocol::request::{ChatMessage, Input, Tool, Tools};

use super::tiers::{Mode, Thresholds, choose};
use super::*;

const HARD: &str = "Let $p(x)$ be a polynomial with integer coefficients such that $p(0) = 3$ and $p(1) = 8$. Prove \
                    that it has no integer root, and find the least degree for which $p(p(2)) \\equiv 1 \\pmod{5}$.";
const EASY: &str = "What do you use to sweep the kitchen floor after dinner?";

fn scorer() -> LinearScorer {
    LinearScorer::built_in().unwrap()
}

fn of(text: &str) -> Score {
    scorer().score(&Prompt::text(text))
}

fn chat(turns: &[(&str, &str)]) -> Input {
    Input::Chat(turns.iter().map(|(role, text)| ChatMessage::new(*role, *text)).collect())
}

fn in_chat(turns: &[(&str, &str)]) -> Score {
    scorer().score(&Prompt::of(&chat(turns), &Tools::default()))
}

#[test]
fn a_proof_is_harder_than_a_household_question() {
    let (hard, easy) = (of(HARD), of(EASY));
    assert!(hard.fails() > 0.6 && easy.fails() < 0.35, "{hard:?} {easy:?}");
    assert!(hard.need() > easy.need(), "{hard:?} {easy:?}");
    let tier = |score| choose(score, Mode::Best, &Thresholds::standard(2));
    assert_eq!((tier(hard), tier(easy)), (1, 0));
}

#[test]
fn case_and_courtesy_do_not_matter() {
    for text in [HARD, EASY, "Sort these towns by height and answer as JSON: Potosí, Leadville, La Paz"] {
        let plain = of(text);
        for other in [
            text.to_lowercase(),
            text.to_uppercase(),
            format!("Hi there! {text}"),
            format!("Please help me: {text}"),
            format!("Good morning, could you please help me with this? {text} Thanks in advance!"),
            format!("  {}  \n", text.replace(' ', "  ")),
        ] {
            assert_eq!(of(&other), plain, "{other}");
        }
    }
}

#[test]
fn a_short_turn_is_as_hard_as_what_it_refers_to() {
    let alone = of("commit it");
    let talk = in_chat(&[("user", HARD), ("assistant", "Here is the proof: ..."), ("user", "commit it")]);
    let asked = of(HARD);
    assert!(
        (talk.fails() - asked.fails()).abs() < (talk.fails() - alone.fails()).abs(),
        "{talk:?} {alone:?} {asked:?}"
    );
}

#[test]
fn the_last_long_turn_weighs_most() {
    let up = in_chat(&[("user", EASY), ("assistant", "A broom."), ("user", HARD)]);
    let down = in_chat(&[("user", HARD), ("assistant", "Done."), ("user", EASY)]);
    assert!(up.fails() > down.fails(), "{up:?} {down:?}");
}

#[test]
fn the_system_prompt_and_answers_are_not_read() {
    let plain = in_chat(&[("user", EASY)]);
    assert_eq!(in_chat(&[("system", HARD), ("user", EASY)]), plain);
    let answered = |answer: &str| in_chat(&[("user", EASY), ("assistant", answer), ("user", EASY)]);
    assert_eq!(answered(&"a".repeat(HARD.len())), answered(HARD));
}

#[test]
fn a_role_of_ones_own_is_read_where_there_is_no_user() {
    assert_eq!(in_chat(&[("system", "x"), ("human", HARD)]), of(HARD));
}

#[test]
fn tools_turns_length_and_other_scripts_make_it_harder() {
    let input = Input::Text(EASY.to_owned());
    let tools = Tools { list: vec![Tool::default()], ..Tools::default() };
    assert!(scorer().score(&Prompt::of(&input, &tools)).need() > of(EASY).need());
    let many: Vec<(&str, &str)> = (0..10).flat_map(|_| [("user", EASY), ("assistant", "ok")]).collect();
    assert!(in_chat(&[&many[..], &[("user", EASY)]].concat()).need() > of(EASY).need());
    let ids = |count| Input::Tokens(vec![protocol::ids::TokenId(1); count]);
    let of_ids = |count| scorer().score(&Prompt::of(&ids(count), &Tools::default()));
    assert!(of_ids(20_000).need() > of_ids(10).need());
    assert!(Vector::of("どの金属が手の中で溶けますか").foreign > 0.9);
    assert!(Vector::of("Où est la bibliothèque ?").foreign < 0.01);
}

#[test]
fn the_middle_of_a_long_text_is_not_read() {
    let long = |middle: &str| format!("{}{middle}{}", EASY.repeat(60), HARD.repeat(20));
    assert_eq!(of(&long(&"a".repeat(9000))), of(&long(&"{".repeat(9000))));
}

#[test]
fn only_numbers_of_use_make_a_score() {
    assert_eq!(Score::new(f64::NAN, f64::INFINITY), Score::new(0.5, 1.0));
    assert_eq!(Score::new(-3.0, f64::NEG_INFINITY), Score::new(0.0, 0.0));
    assert_eq!([Score::new(1.0, 0.0).thousandths(), Score::new(0.1234, 0.0).thousandths()], [1000, 123]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_conversation_has_a_score(
        turns in prop::collection::vec((prop::sample::select(vec!["system", "user", "assistant", "tool", ""]), ".{0,300}"), 0..12),
        repeats in 1..40_usize,
        tools in 0..200_usize,
    ) {
        let turns: Vec<ChatMessage> = turns.iter().map(|(role, text)| ChatMessage::new(*role, text.repeat(repeats))).collect();
        let tools = Tools { list: vec![Tool::default(); tools], ..Tools::default() };
        let input = Input::Chat(turns);
        let score = scorer().score(&Prompt::of(&input, &tools));
        prop_assert!((0.0..=1.0).contains(&score.fails()) && (0.0..=1.0).contains(&score.need()));
        prop_assert_eq!(score, scorer().score(&Prompt::of(&input, &tools)));
    }

    #[test]
    fn every_count_is_within_bounds(text in "(\\PC|[\\n\\\\$=_{}`'0-9 ]){0,2000}") {
        let vector = Vector::of(&text);
        prop_assert!(vector.counts.iter().all(|count| (0.0..=1.0).contains(count)), "{:?}", vector.counts);
    }
}
