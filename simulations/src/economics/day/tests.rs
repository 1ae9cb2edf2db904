use super::super::compared::{auto, policies};
use super::super::offers::tests::priced;
use super::super::prompts::tests::{pool, workload};
use super::super::setting::Setting;
use super::*;

const PAUSE: Duration = Duration::from_secs(60);

fn limit(id: &str, dollars: &str, every: Period, tier: Option<&str>) -> Limit {
    Limit {
        id: id.into(),
        limit: dollars.parse().unwrap(),
        every,
        alerts: vec![50, 80, 100],
        tier: tier.map(str::to_owned),
        soft: false,
    }
}

/// Runs days of 1,000 requests with a mix.
fn run(
    mix: &str,
    choose: impl Fn(&Bench<'_>) -> Policy,
    days: u32,
    turns: u32,
    limits: &[Limit],
) -> Result<Ran, DayError> {
    run_by(1, mix, choose, days, turns, limits)
}

fn run_by(
    coordinators: u8,
    mix: &str,
    choose: impl Fn(&Bench<'_>) -> Policy,
    days: u32,
    turns: u32,
    limits: &[Limit],
) -> Result<Ran, DayError> {
    let (pool, scorer) = pool();
    let (priced, _) = priced(mix);
    let workload = workload(1000);
    let tiers = priced.tiers.len();
    let labels = pool.items.iter().map(|item| {
        let scores = &item.example.scores;
        (0..tiers).map(|tier| scores[if tier == 0 { "low" } else { "high" }]).collect()
    });
    let bench = Bench::new(&priced, &workload, &pool.items, Some(labels.collect())).unwrap();
    let day = pool.day(&workload, turns, PAUSE, 3, &scorer);
    Days { bench: &bench, policy: &choose(&bench), day: &day, days, limits, coordinators, seed: 1 }.run()
}

fn balanced(bench: &Bench<'_>) -> Policy {
    auto(Mode::Balanced, bench.priced.tiers.len()).unwrap()
}

#[test]
fn what_is_booked_is_what_the_answers_cost_and_what_a_plan_says() {
    for mix in ["open models", "guide", "own and provider"] {
        let (priced, workload) = priced(mix);
        let (pool, _) = pool();
        let bench = Bench::new(&priced, &workload, &pool.items, None).unwrap();
        for turns in [1, 5] {
            let ran = run(mix, balanced, 2, turns, &[]).unwrap();
            let costs = ran.asked.iter().enumerate().map(|(tier, asked)| asked * bench.cost(tier).0);
            assert_eq!(ran.settled.0, costs.sum::<u64>(), "{mix}");
            assert_eq!((ran.requests, ran.answered.iter().sum::<u64>()), (2000, 2000));
            assert_eq!(ran.asked, ran.answered);
            let plan = ran.asked.iter().zip(&priced.tiers).map(|(asked, tier)| {
                let offer = policy::plan::Offer::Price(tier.price);
                workload.plan(*asked).bill(&offer).unwrap().day.0
            });
            // A plan rounds up once for each line, the ledger once for each request.
            let plan: u64 = plan.sum();
            assert!(plan <= ran.settled.0 && ran.settled.0 - plan <= ran.requests, "{mix}: {plan}, {}", ran.settled);
        }
    }
}

#[test]
fn every_policy_answers_every_request_once() {
    let (pool, _) = pool();
    let (priced, workload) = priced("open models");
    let labels: Vec<Vec<f64>> =
        pool.items.iter().map(|item| vec![item.example.scores["low"], item.example.scores["high"]]).collect();
    let bench = Bench::new(&priced, &workload, &pool.items, Some(labels)).unwrap();
    let all = policies(&bench).unwrap();
    assert_eq!(all.first().map(|policy| policy.name.as_str()), Some("always large"));
    for policy in all {
        let ran = run("open models", |_| policy.clone(), 1, 1, &[]).unwrap();
        assert_eq!(ran.answered.iter().sum::<u64>(), 1000, "{}", policy.name);
        let thrown = ran.asked.iter().sum::<u64>() - 1000;
        assert_eq!(thrown > 0, policy.unsure.is_some(), "{}", policy.name);
        let expected = super::super::measure::mean(&bench.expect(&policy));
        let close = |drawn: u64, expected: f64| (drawn as f64 / 1000.0 - expected).abs() < 0.03;
        assert!(close(ran.asked[1], expected.asked[1]), "{}: {:?} {expected:?}", policy.name, ran.asked);
        assert!((ran.quality - expected.quality).abs() < 0.03, "{}: {} {expected:?}", policy.name, ran.quality);
    }
}

#[test]
fn alerts_come_once_in_a_window_in_their_order_and_a_spent_budget_refuses() {
    // A day of the large model costs 1.35.
    let always = |_: &Bench<'_>| Policy::new("", Choose::Always(1));
    let ran = run("open models", always, 3, 1, &[limit("daily", "1", Period::Day, None)]).unwrap();
    let shares: Vec<u8> = ran.alerts.iter().map(|alert| alert.share).collect();
    assert_eq!(shares, [50, 80, 100, 50, 80, 100, 50, 80, 100]);
    assert!(ran.alerts.is_sorted_by_key(|alert| alert.at));
    assert!(
        ran.alerts.iter().all(|alert| alert.settled.0 >= alert.limit.0 / 100 * u64::from(alert.share) - 100_000_000)
    );
    let refused: u64 = ran.refused.iter().map(|refused| refused.count).sum();
    assert_eq!((ran.refused.len(), refused + ran.answered.iter().sum::<u64>()), (3, 3000));
    assert!(ran.settled.0 <= 3_000_000_000 && ran.settled.0 > 2_900_000_000, "{}", ran.settled);
    assert!(ran.refused[0].said.contains("it begins anew at 2026-11-02T00:00:00Z"), "{}", ran.refused[0].said);
    assert_eq!(ran.budgets.len(), 1);
    assert!(ran.budgets[0].settled <= ran.budgets[0].budget.limit);
}

#[test]
fn auto_takes_a_lower_tier_where_the_budget_of_one_is_spent() {
    let budgets = [limit("large", "0.02", Period::Day, Some("large"))];
    let free = run("open models", balanced, 1, 1, &[]).unwrap();
    let ran = run("open models", balanced, 1, 1, &budgets).unwrap();
    assert!(ran.lowered > 0 && ran.answered.iter().sum::<u64>() == 1000, "{ran:?}");
    assert_eq!(ran.asked[1] + ran.lowered, free.asked[1]);
    assert!(ran.asked[1] * 1_350_000 <= 20_000_000 && ran.settled < free.settled);
    let always = run("open models", |_| Policy::new("", Choose::Always(1)), 1, 1, &budgets).unwrap();
    assert_eq!(always.lowered, 0, "who names a model gets it or nothing");
}

#[test]
fn an_unsure_answer_stands_where_there_is_no_money_for_another() {
    let cascade =
        |bench: &Bench<'_>| policies(bench).unwrap().into_iter().find(|policy| policy.name.contains("0.7,")).unwrap();
    let free = run("open models", cascade, 1, 1, &[]).unwrap();
    let ran = run("open models", cascade, 1, 1, &[limit("large", "0.02", Period::Day, Some("large"))]).unwrap();
    assert!(free.stood == 0 && ran.stood > 0 && ran.answered.iter().sum::<u64>() == 1000);
}

#[test]
fn conversations_stay_where_they_are() {
    let single = run("open models", balanced, 1, 1, &[]).unwrap();
    let talks = run("open models", balanced, 1, 6, &[]).unwrap();
    assert!(single.kept == 0 && talks.kept > 0, "{} {}", single.kept, talks.kept);
}

#[test]
fn a_budget_of_a_tier_that_is_not_there_is_told() {
    let told = run("open models", balanced, 1, 1, &[limit("x", "1", Period::Day, Some("huge"))]).unwrap_err();
    let words = "budgets: 'x' counts tier 'huge', which the mix 'open models' does not have: name one of small, large";
    assert_eq!(told.to_string(), words);
    assert!(Setting::built_in().is_ok());
}

#[test]
fn several_coordinators_book_as_much_and_no_more_than_the_budgets() {
    let budgets = [limit("daily", "0.25", Period::Day, None), limit("large", "0.02", Period::Day, Some("large"))];
    let ran = run_by(4, "open models", balanced, 2, 1, &budgets).unwrap();
    let one = run("open models", balanced, 2, 1, &budgets).unwrap();
    assert!(ran.settled.0 <= 500_000_000 && ran.settled.0 > 450_000_000, "{}", ran.settled);
    let refused: u64 = ran.refused.iter().filter(|refused| !refused.lowered).map(|refused| refused.count).sum();
    assert_eq!(refused + ran.answered.iter().sum::<u64>(), 2000);
    assert!(ran.lowered > 0 && ran.asked[1] * 1_350_000 <= 40_000_000);
    let times = |ran: &Ran| ran.alerts.iter().map(|alert| (alert.budget.clone(), alert.share)).collect::<Vec<_>>();
    assert_eq!(times(&ran).len(), times(&one).len(), "{:?}", times(&ran));
}
