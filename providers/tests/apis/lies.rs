//! Usage that is missing or cannot be true, against what we count and what the server wrote.

use policy::upstream::usage::{Bound, Doubt, Own, believe};
use protocol::units::Tokens;
use providers::FailureKind;
use providers::mock::{Beat, Mock, Reply, Say};

use crate::support::*;

const BOUND: Bound = Bound { prompt: Tokens(200), completion: Tokens(100) };

fn own(got: &Got) -> Own {
    Own { prompt_estimate: Tokens(20), completion_estimate: got.seen.estimate(), bound: BOUND }
}

#[tokio::test]
async fn what_is_claimed_is_booked_only_as_far_as_it_can_be_true() {
    for kind in KINDS {
        for (say, doubt) in [
            (Say::True, None),
            (Say::Nothing, Some("missing")),
            (Say::These(50, 0, 0, 0), Some("too_low")),
            (Say::These(50, 0, 5_000_000, 0), Some("too_high")),
            (Say::These(0, 0, 60, 0), Some("too_low")),
        ] {
            let mock = Mock::start().await.unwrap();
            mock.push(Reply::words(60).say(say));
            let got = ask(&provider(&mock, kind), hello()).await;
            assert_eq!(got.failure, None, "{kind:?} {say:?}");
            let believed = believe(got.usage, own(&got));
            assert_eq!(believed.doubt.map(Doubt::as_str), doubt, "{kind:?} {say:?}: {:?}", got.usage);
            let wrote = mock.totals().completion;
            let usage = believed.usage;
            assert!(usage.completion <= BOUND.completion && usage.prompt <= BOUND.prompt && usage.prompt > Tokens(0));
            // Ours is rather too high, never too low.
            assert!(usage.completion >= wrote.min(BOUND.completion), "{kind:?} {say:?}: {usage:?}, {wrote}");
            assert_eq!(doubt.is_none(), Some(usage) == got.usage);
        }
    }
}

/// An answer that is cut or left is paid for as far as it came: litellm charges the prompt alone.
#[tokio::test]
async fn regression_what_came_of_an_answer_that_is_cut_is_counted() {
    for kind in KINDS {
        for count in [4, 40] {
            let mock = Mock::start().await.unwrap();
            mock.push(Reply::words(60).then(count, Beat::Cut));
            let got = ask(&provider(&mock, kind), hello()).await;
            let claimed = got.failure.as_ref().unwrap().usage;
            let usage = believe(claimed, own(&got)).usage;
            let wrote = mock.totals().completion;
            assert!(usage.completion >= wrote && wrote == Tokens::of(count), "{kind:?}: {usage:?}");
            assert!(usage.prompt > Tokens(0));
        }
    }
}

#[tokio::test]
async fn nonsense_in_place_of_usage_is_none() {
    let mock = Mock::start().await.unwrap();
    let usage = r#"data: {"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":"many"}}"#;
    let raw = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"x\"}},\"finish_reason\":\"stop\"}}]}}\n\n{usage}\n\n"
    );
    mock.push(Reply::beats(vec![Beat::Raw(raw)]));
    let got = ask(&provider(&mock, KINDS[0]), hello()).await;
    assert_eq!((got.text(), got.usage, got.failure.as_ref()), ("x", None, None));
}

/// It is told how long an answer may be, and may not care.
#[tokio::test]
async fn an_answer_without_end_is_left() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        let mut reply = Reply::text(&[&"x".repeat(10_000)]).boundless();
        let token = reply.beats[0].clone();
        reply.beats = vec![token; 1000];
        mock.push(reply);
        let failure = ask(&provider(&mock, kind), hello()).await.failure.unwrap();
        assert_eq!((failure.kind, failure.began), (FailureKind::Garbled, true), "{kind:?}");
        mock.until(|state| state.totals.running == 0).await;
        assert!(mock.totals().completion < Tokens(1000), "{kind:?}");
        let error = protocol::answer::JobError::from(failure);
        assert_eq!(error.kind, protocol::answer::ErrorKind::ProviderFailed);
    }
}
