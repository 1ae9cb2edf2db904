use super::*;
use crate::trace::Request;

fn profile() -> Profile {
    Profile::by_name("troupe-cpu").unwrap()
}

/// Conversations that begin alike in groups, one request every so often.
fn trace(requests: u64, gap: Duration, groups: u64) -> Trace {
    let request = |number: u64| {
        let shared = (0..4).map(|at| 1_000_000 + (number % groups.max(1)) * 10 + at);
        let own = (0..2).map(|at| 10_000_000 + number * 10 + at);
        Request {
            at: gap * u32::try_from(number).unwrap(),
            input: Tokens(6 * 32 - number % 32),
            output: Tokens(1 + number % 20),
            blocks: shared.chain(own).collect(),
            session: None,
        }
    };
    Trace { name: "test".into(), block: Tokens(32), requests: (0..requests).map(request).collect() }
}

#[test]
fn runs() {
    for rule in Rule::ALL {
        let setup = Setup::new(profile(), 4, rule);
        let results = simulate(&setup, &trace(200, Duration::from_millis(100), 5)).unwrap();
        println!("{rule:?} {:?}", results.summary(Duration::from_secs(1), Duration::from_secs(10)));
    }
}
