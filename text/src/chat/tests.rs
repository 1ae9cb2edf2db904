use super::*;

fn render(source: &str, messages: &[ChatMessage]) -> Result<String, ChatError> {
    ChatTemplate::new(source)?.render(messages, &TokenNames { bos: Some("<s>".into()), ..TokenNames::default() })
}

fn user(text: &str) -> [ChatMessage; 1] {
    [ChatMessage::new("user", text)]
}

#[test]
fn a_template_sees_messages_tokens_and_python_methods() {
    let source = "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m.content.strip() }}\n{% endfor %}\n{% if add_generation_prompt %}[assistant]{% endif %}";
    assert_eq!(render(source, &user("  hi ")).unwrap(), "<s>[user] hi\n[assistant]");
}

#[test]
fn a_template_may_refuse_and_says_why() {
    let source =
        "{% if messages[0].role != 'system' %}{{ raise_exception('a system message comes first') }}{% endif %}";
    let error = render(source, &user("hi")).unwrap_err();
    assert!(error.to_string().contains("a system message comes first"), "{error}");
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let source = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x{% endfor %}{% endfor %}{% endfor %}";
    assert!(matches!(render(source, &user("hi")), Err(ChatError::Refused(_))));
}

#[test]
fn broken_templates_and_empty_conversations_are_errors() {
    assert!(matches!(ChatTemplate::new("{% for %}"), Err(ChatError::Template(_))));
    assert_eq!(render("x", &[]), Err(ChatError::Empty));
}

#[test]
fn tools_and_documents_are_defined_as_none() {
    let source = "{% if tools is defined and tools is not none %}tools{% endif %}{{ documents is none }}";
    assert_eq!(render(source, &user("hi")).unwrap(), "True");
}
