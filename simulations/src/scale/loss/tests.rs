use super::*;

#[test]
fn a_coordinator_that_comes_back_is_not_blind_for_a_second() {
    let point = Point { nodes: 12, coordinators: 4, delay: Duration::from_millis(5) };
    let load = Load { requests: 30, rate: 2.0, seed: 3 };
    let loss = Loss { at: Duration::from_secs(5), away: Duration::from_secs(2), redial: Duration::from_millis(500) };
    let profile = Profile::by_name("a100-80g-llama-3.1-8b").unwrap();
    let lost = lose(&point, &profile, &load, &loss).unwrap();
    assert!(lost.blind > 0, "it came back with nothing: {lost:?}");
    assert!(lost.longest.0 <= Duration::from_secs(1), "{lost:?}");
    assert!(lost.before.came > 0 && lost.during.came > 0 && lost.after.came > 0);
    let (done, came) = [lost.before, lost.during, lost.after].iter().fold((0, 0), |(d, c), p| (d + p.done, c + p.came));
    assert_eq!(done, came, "nobody is refused: {lost:?}");
    assert_eq!(lost, lose(&point, &profile, &load, &loss).unwrap(), "the same seed, another result");
}
