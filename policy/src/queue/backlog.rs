//! How much prefill may wait on one node, by class: who is less urgent is refused sooner, so that the more
//! urgent still find room.

use protocol::engine::RefusalReason;
use protocol::job::Class;
use protocol::units::Tokens;

/// What of the bound jobs of a priority may fill: a half for the lowest class, three quarters for the next,
/// all of it for those above.
pub fn limit(bound: Tokens, priority: u8) -> Tokens {
    if priority >= Class::Interactive.priority() {
        bound
    } else if priority >= Class::Standard.priority() {
        Tokens(bound.0 / 4 * 3)
    } else {
        Tokens(bound.0 / 2)
    }
}

/// Whether a node on which so much prefill is due takes a prompt. One on which nothing is due takes any.
///
/// # Errors
/// It does not.
pub fn admit(due: Tokens, prompt: Tokens, priority: u8, bound: Tokens) -> Result<(), RefusalReason> {
    let limit = limit(bound, priority);
    if due == Tokens::ZERO || due + prompt <= limit {
        return Ok(());
    }
    Err(RefusalReason::QueueTokens { queued: due, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_urgent_are_refused_sooner() {
        let takes = |due, class: Class| admit(Tokens(due), Tokens(100), class.priority(), Tokens(1000)).is_ok();
        let most = |class| (0..2000).filter(|due| takes(*due, class)).max();
        assert_eq!(Class::ALL.map(most), [Some(400), Some(650), Some(900)]);
    }

    #[test]
    fn an_idle_node_takes_any_prompt() {
        assert_eq!(admit(Tokens::ZERO, Tokens(5000), 0, Tokens(1000)), Ok(()));
        let refused = admit(Tokens(1), Tokens(5000), 2, Tokens(1000));
        assert_eq!(refused, Err(RefusalReason::QueueTokens { queued: Tokens(1), limit: Tokens(1000) }));
    }
}
