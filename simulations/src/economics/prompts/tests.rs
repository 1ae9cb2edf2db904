use super::*;

pub(crate) fn workload(requests: u32) -> Workload {
    let mut workload = super::super::setting::Setting::built_in().unwrap().workload;
    workload.requests = requests;
    workload
}

/// Prompts of two tasks with scores: sums, which only the large model can do, and colours, which both can.
pub(crate) fn pool() -> (Pool, LinearScorer) {
    let scorer = LinearScorer::built_in().unwrap();
    let mut pool = Pool::made_up(7, &scorer);
    for item in &mut pool.items {
        let hard = item.example.task == "sums";
        let scores = [("low", if hard { 0.0 } else { 1.0 }), ("high", 1.0)];
        item.example.scores = scores.map(|(name, score)| (name.to_owned(), score)).into();
    }
    pool.labelled = true;
    (pool, scorer)
}

#[test]
fn a_day_has_as_many_requests_as_wanted_and_each_prompt_as_often_as_any_other() {
    let (pool, scorer) = pool();
    for turns in [1, 4, 7] {
        let day = pool.day(&workload(2000), turns, Duration::from_secs(60), 3, &scorer);
        assert_eq!(day.len(), 2000);
        assert!(day.is_sorted_by_key(|arrival| arrival.at));
        let talks = day.iter().map(|arrival| arrival.conversation).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(talks.len(), 2000_usize.div_ceil(turns as usize));
        if turns == 1 {
            let times = |item: usize| day.iter().filter(|arrival| arrival.item == item).count();
            assert!((0..pool.items.len()).all(|item| times(item) == 10));
        }
        assert_eq!(day, pool.day(&workload(2000), turns, Duration::from_secs(60), 3, &scorer));
        assert_ne!(day, pool.day(&workload(2000), turns, Duration::from_secs(60), 4, &scorer));
    }
}

#[test]
fn a_conversation_keeps_to_its_task() {
    let (pool, scorer) = pool();
    let day = pool.day(&workload(400), 4, Duration::from_secs(60), 3, &scorer);
    let task = |arrival: &Arrival| pool.items[arrival.item].example.task.clone();
    for arrival in &day {
        let first = day.iter().find(|other| other.conversation == arrival.conversation).unwrap();
        assert_eq!(task(first), task(arrival));
    }
}

#[test]
fn hours_get_their_part_of_a_day() {
    let day = |part| moment(&[0, 2, 0, 1, 1], part).as_secs();
    assert_eq!([day(0.0), day(0.25), day(0.5), day(0.75), day(1.0)], [3600, 5400, 10_800, 14_400, 18_000]);
}

#[test]
fn a_mix_has_quality_only_where_every_tier_has_scores() {
    let (mut pool, _) = pool();
    let tier = |labels: &[&str]| super::super::setting::Tier {
        name: String::new(),
        model: String::new(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        stands_in: false,
    };
    let mix = |tiers: [&[&str]; 2]| super::super::setting::Mix {
        name: "m".into(),
        about: String::new(),
        tiers: tiers.map(tier).to_vec(),
    };
    let labels = pool.labels(&mix([&["low", "high"], &["high"]])).unwrap().unwrap();
    let hard = pool.items.iter().position(|item| item.example.task == "sums").unwrap();
    assert_eq!(labels[hard], [0.5, 1.0]);
    assert_eq!(pool.labels(&mix([&["low"], &[]])), Ok(None));
    assert_eq!(pool.labels(&mix([&["low"], &["nobody"]])), Err("nobody".into()));
    pool.labelled = false;
    assert_eq!(pool.labels(&mix([&["low"], &["high"]])), Ok(None));
}
