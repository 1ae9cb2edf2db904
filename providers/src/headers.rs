//! What the headers of a response tell of limits and times.
//!
//! Rules: names do not depend on the API, since gateways hand on those of whom they ask. Moments are compared with
//! the response's own `Date`, so that clocks need not agree.

use std::time::Duration;

use policy::upstream::headers::{http_date, reset, retry_after, retry_after_ms, until};
use policy::upstream::limits::{Headers, Told};
use protocol::units::UnixMillis;
use reqwest::header::HeaderMap;

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name).and_then(|value| value.trim().parse().ok())
}

/// All that they tell. `now` is our own clock, for servers that tell no time.
pub(crate) fn learn(headers: &HeaderMap, now: UnixMillis) -> Headers {
    let now = text(headers, "date").and_then(http_date).unwrap_or(now);
    let openai = |what: &str| Told {
        limit: number(headers, &format!("x-ratelimit-limit-{what}")),
        remaining: number(headers, &format!("x-ratelimit-remaining-{what}")),
        reset: text(headers, &format!("x-ratelimit-reset-{what}")).and_then(reset),
    };
    let anthropic = |what: &str| Told {
        limit: number(headers, &format!("anthropic-ratelimit-{what}-limit")),
        remaining: number(headers, &format!("anthropic-ratelimit-{what}-remaining")),
        reset: text(headers, &format!("anthropic-ratelimit-{what}-reset")).and_then(|value| until(value, now)),
    };
    let first = |all: [Told; 3]| all.into_iter().find(|told| told.remaining.is_some()).unwrap_or_default();
    let millis = ["retry-after-ms", "x-ms-retry-after-ms"].into_iter();
    let millis = millis.filter_map(|name| text(headers, name).and_then(retry_after_ms)).next();
    Headers {
        requests: first([openai("requests"), anthropic("requests"), Told::default()]),
        tokens: first([openai("tokens"), anthropic("input-tokens"), anthropic("tokens")]),
        output: anthropic("output-tokens"),
        retry_after: millis.or_else(|| text(headers, "retry-after").and_then(|value| retry_after(value, now))),
    }
}

/// When to come again after a refusal: what is said, else when what is spent is full again.
pub(crate) fn come_again(told: &Headers) -> Option<Duration> {
    let spent = [told.requests, told.tokens, told.output].into_iter().filter(|told| told.remaining == Some(0));
    told.retry_after.or_else(|| spent.filter_map(|told| told.reset).max())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    /// Sat, 28 Nov 2026 02:30:00 GMT.
    const NOW: UnixMillis = UnixMillis(1_795_833_000_000);

    fn of(lines: &[(&'static str, &'static str)]) -> Headers {
        let pairs = lines.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)));
        learn(&pairs.collect(), NOW)
    }

    #[test]
    fn openais_limits() {
        let told = of(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]);
        let requests = Told { limit: Some(60), remaining: Some(59), reset: Some(Duration::from_secs(1)) };
        let tokens = Told { limit: Some(150_000), remaining: Some(0), reset: Some(Duration::from_secs(360)) };
        assert_eq!(told, Headers { requests, tokens, ..Headers::default() });
        assert_eq!(come_again(&told), Some(Duration::from_secs(360)));
    }

    #[test]
    fn anthropics_limits_by_the_servers_own_clock() {
        let told = of(&[
            ("date", "Sat, 28 Nov 2026 02:29:00 GMT"),
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-28T02:30:00Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "4000"),
            ("anthropic-ratelimit-tokens-remaining", "7"),
            ("anthropic-ratelimit-output-tokens-remaining", "9"),
        ]);
        assert_eq!(told.requests.reset, Some(Duration::from_secs(60)));
        assert_eq!((told.tokens.remaining, told.output.remaining), (Some(4000), Some(9)));
        assert_eq!(come_again(&told), Some(Duration::from_secs(60)));
    }

    #[test]
    fn each_way_to_say_when_to_come_again() {
        for (lines, wait) in [
            (vec![("retry-after", "7")], Some(7000)),
            (vec![("retry-after", "Sat, 28 Nov 2026 02:30:09 GMT")], Some(9000)),
            (vec![("retry-after-ms", "150"), ("retry-after", "1")], Some(150)),
            (vec![("x-ms-retry-after-ms", "250")], Some(250)),
            (vec![("retry-after", "later")], None),
            (vec![("retry-after", "9999999999")], Some(3_600_000)),
        ] {
            assert_eq!(of(&lines).retry_after, wait.map(Duration::from_millis), "{lines:?}");
        }
    }
}
