use super::*;

fn machine(last: u16) -> IpAddr {
    IpAddr::from([10, 0, last.to_be_bytes()[0], last.to_be_bytes()[1]])
}

#[test]
fn each_cause_of_each_machine_is_said_once() {
    let mut quiet = Quiet::default();
    assert!(quiet.is_news(machine(1), "foreign"));
    assert!(!quiet.is_news(machine(1), "foreign"));
    assert!(quiet.is_news(machine(1), "expired"));
    assert!(quiet.is_news(machine(2), "foreign"));
    quiet.forget(machine(1));
    assert!(quiet.is_news(machine(1), "foreign"));
    assert!(!quiet.is_news(machine(2), "foreign"));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut quiet = Quiet::default();
    for last in 0..1000 {
        quiet.is_news(machine(last), "foreign");
    }
    assert_eq!(quiet.said.len(), REMEMBERED);
    assert!(!quiet.is_news(machine(999), "foreign"));
    assert!(quiet.is_news(machine(0), "foreign"));
}
