use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(node: u64) -> Last {
    Last { node: NodeId(node), tokens: Tokens(node * 100) }
}

#[test]
fn a_session_is_where_it_was_last_until_its_time_is_over() {
    let mut sessions = Sessions::new(10, secs(60));
    sessions.note(secs(0), 1, at(1));
    sessions.note(secs(10), 1, at(2));
    assert_eq!(sessions.last(secs(69), 1), Some(at(2)));
    assert_eq!(sessions.last(secs(70), 1), None);
    assert_eq!(sessions.last(secs(0), 2), None);
    sessions.note(secs(70), 2, at(1));
    assert_eq!(sessions.len(), 1, "the other's time is over");
}

#[test]
fn one_too_many_pushes_out_the_quietest() {
    let mut sessions = Sessions::new(3, secs(60));
    for session in [1, 2, 3, 1, 4] {
        sessions.note(secs(1), session, at(session));
    }
    let known: Vec<u64> = (1..=4).filter(|session| sessions.last(secs(1), *session).is_some()).collect();
    assert_eq!(known, [1, 3, 4]);
    for session in 0..1_000 {
        sessions.note(secs(2), session, at(1));
        assert!(sessions.len() <= 3 && sessions.order.len() == sessions.last.len());
    }
}
