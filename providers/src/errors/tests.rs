use serde_json::json;

use super::*;

fn kind(status: u16, body: &Value) -> FailureKind {
    let said = Said::find(body).unwrap_or_else(|| Said::plain(&body.to_string()));
    said.failure(Some(status), None).kind
}

#[test]
fn openais_words() {
    let error =
        |kind: &str, code: &str, message: &str| json!({"error": {"type": kind, "code": code, "message": message}});
    for (status, body, expected) in [
        (400, error("invalid_request_error", "context_length_exceeded", "This model's"), FailureKind::ContextWindow),
        (400, error("invalid_request_error", "content_filter", "The response was"), FailureKind::ContentPolicy),
        (400, error("invalid_request_error", "content_policy_violation", ""), FailureKind::ContentPolicy),
        (429, error("insufficient_quota", "insufficient_quota", "You exceeded"), FailureKind::Budget),
        (429, error("tokens", "rate_limit_exceeded", "Rate limit reached"), FailureKind::RateLimited),
        (401, error("invalid_request_error", "invalid_api_key", "Incorrect"), FailureKind::Auth),
        (404, error("invalid_request_error", "model_not_found", "does not exist"), FailureKind::Auth),
        (400, error("invalid_request_error", "unsupported_value", "temperature"), FailureKind::Invalid),
        (500, error("server_error", "", "The server had an error"), FailureKind::Down),
        (503, error("server_error", "", "The engine is currently overloaded"), FailureKind::RateLimited),
        (503, json!("<html>upstream connect error</html>"), FailureKind::Down),
        (504, json!("<html>gateway timeout</html>"), FailureKind::Timeout),
        (302, json!(""), FailureKind::Garbled),
        // vLLM.
        (
            400,
            json!({"object": "error", "message": "maximum context length is 2048 tokens", "code": 400}),
            FailureKind::ContextWindow,
        ),
        // Azure.
        (
            400,
            json!({"error": {"code": "content_filter", "message": "", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
            FailureKind::ContentPolicy,
        ),
        // OpenRouter: 200, and the status inside.
        (200, json!({"error": {"code": 502, "message": "Provider returned error"}}), FailureKind::Down),
        (200, json!({"error": {"code": 402, "message": "Insufficient credits"}}), FailureKind::Budget),
        (200, json!({"error": {"code": 429, "message": "slow down"}}), FailureKind::RateLimited),
        (200, json!({"error": "out of memory"}), FailureKind::Down),
    ] {
        assert_eq!(kind(status, &body), expected, "{status} {body}");
    }
}

#[test]
fn anthropics_words() {
    let error = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
    for (status, body, expected) in [
        (529, error("overloaded_error", "Overloaded"), FailureKind::RateLimited),
        (429, error("rate_limit_error", "Number of requests"), FailureKind::RateLimited),
        (
            400,
            error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
            FailureKind::ContextWindow,
        ),
        (
            400,
            error("invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 3"),
            FailureKind::ContextWindow,
        ),
        (413, error("request_too_large", "Request exceeds"), FailureKind::ContextWindow),
        (400, error("invalid_request_error", "Your credit balance is too low"), FailureKind::Budget),
        (400, error("invalid_request_error", "Output blocked by content filtering policy"), FailureKind::ContentPolicy),
        (400, error("invalid_request_error", "messages: at least one message is required"), FailureKind::Invalid),
        (401, error("authentication_error", "invalid x-api-key"), FailureKind::Auth),
        (403, error("permission_error", "not allowed"), FailureKind::Auth),
        (500, error("api_error", "Internal server error"), FailureKind::Down),
        // Inside a stream there is no status.
        (200, error("overloaded_error", "Overloaded"), FailureKind::RateLimited),
        (200, error("api_error", "Internal server error"), FailureKind::Down),
    ] {
        assert_eq!(kind(status, &body), expected, "{status} {body}");
    }
}

#[test]
fn googles_words() {
    let error =
        |code: u16, status: &str, message: &str| json!({"error": {"code": code, "status": status, "message": message}});
    let list = json!([error(503, "UNAVAILABLE", "The service is currently unavailable.")]);
    let key = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid", "details": [{"reason": "API_KEY_INVALID"}]}});
    for (status, body, expected) in [
        (429, error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota"), FailureKind::RateLimited),
        (503, error(503, "UNAVAILABLE", "The model is overloaded."), FailureKind::RateLimited),
        (503, list, FailureKind::Down),
        (400, key, FailureKind::Auth),
        (
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            ),
            FailureKind::ContextWindow,
        ),
        (400, error(400, "INVALID_ARGUMENT", "Please use a valid role"), FailureKind::Invalid),
        (504, error(504, "DEADLINE_EXCEEDED", ""), FailureKind::Timeout),
        (500, error(500, "INTERNAL", ""), FailureKind::Down),
        (200, error(429, "RESOURCE_EXHAUSTED", ""), FailureKind::RateLimited),
    ] {
        assert_eq!(kind(status, &body), expected, "{status} {body}");
    }
}

#[test]
fn the_body_may_say_when_to_come_again_and_headers_win() {
    let body = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m", "details": [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13.5s"},
    ]}});
    let said = Said::find(&body).unwrap();
    assert_eq!(said.failure(Some(429), None).retry_after, Some(Duration::from_millis(13_500)));
    let second = Duration::from_secs(1);
    assert_eq!(said.failure(Some(429), Some(second)).retry_after, Some(second));
}

#[test]
fn what_is_no_error_is_none() {
    for body in [json!({"choices": []}), json!({"error": null}), json!([]), json!(3), json!({"type": "message_start"})]
    {
        assert!(Said::find(&body).is_none(), "{body}");
    }
}

#[test]
fn words_are_short_and_in_one_line() {
    let long = format!("a\nb\u{1b}[31m{}", "x".repeat(9000));
    let failure = Said::plain(&long).failure(Some(500), None);
    assert!(
        failure.message.chars().count() < 450 && !failure.message.contains(['\n', '\u{1b}']),
        "{}",
        failure.message
    );
    assert!(Said::plain(" ").failure(None, None).message.contains("without a word"));
}
