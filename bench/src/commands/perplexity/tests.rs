use super::*;

/// Finds every token as likely as one in so many; scores the token 9 with a certainty.
struct OneIn(f32);

impl Scorer for OneIn {
    fn score(&mut self, tokens: &[TokenId]) -> Result<Vec<f32>, BenchError> {
        let score = |token: &TokenId| if token.0 == 9 { 0.0 } else { -self.0.ln() };
        Ok(tokens[1..].iter().map(score).collect())
    }
}

#[test]
fn perplexity_is_the_geometric_mean_over_all_windows() {
    let tokens: Vec<TokenId> = (0..9).map(TokenId).collect();
    let (ppl, count) = perplexity(&mut OneIn(50.0), &tokens, 4).unwrap();
    // Windows of 4, 4 and 1: the last has nothing to predict.
    assert_eq!(count, 6);
    assert!((ppl - 50.0).abs() < 1e-3, "{ppl}");
    let half_known = [TokenId(1), TokenId(9), TokenId(2)];
    let (ppl, _) = perplexity(&mut OneIn(49.0), &half_known, 512).unwrap();
    assert!((ppl - 7.0).abs() < 1e-4, "{ppl}");
    assert!(perplexity(&mut OneIn(2.0), &tokens[..1], 4).is_err());
}

#[test]
fn each_format_has_its_bound() {
    assert_eq!(line(Format::INT8, 1, 20.11, 20.0).met, Some(false));
    assert_eq!(line(Format::INT8, 1, 20.09, 20.0).met, Some(true));
    assert_eq!(line(Format::INT4, 1, 20.5, 20.0).met, Some(true));
    assert_eq!(line(Format::INT4, 1, 19.0, 20.0).met, Some(false));
    assert_eq!(line(Format::BF16_KV8, 1, 20.2, 20.0).met, Some(false));
    assert_eq!(line(Format::BF16, 1, 20.2, 20.0).met, None);
    let text = table(&[line(Format::F32, 1, 20.0, 20.0), line(Format::INT4, 1, 20.5, 20.0)]).to_string();
    assert!(text.contains("+2.500") && text.contains("within 3 %"), "{text}");
}
