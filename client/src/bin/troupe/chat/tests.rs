use super::*;

fn roles(turns: &[ChatMessage]) -> Vec<&str> {
    turns.iter().map(|turn| turn.role.as_str()).collect()
}

#[test]
fn a_conversation_sends_what_was_said_and_forgets_on_reset() {
    let mut conversation = Conversation::new(Some("Be brief.".into()));
    conversation.keep("one?", "1.".into());
    assert_eq!(roles(&conversation.with("two?")), ["system", "user", "assistant", "user"]);
    conversation.reset();
    assert_eq!(roles(&conversation.with("two?")), ["system", "user"]);
}

#[test]
fn a_question_without_any_answer_is_not_kept() {
    let mut conversation = Conversation::new(None);
    conversation.keep("one?", String::new());
    assert_eq!(roles(&conversation.with("two?")), ["user"]);
}
