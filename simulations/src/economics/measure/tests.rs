use policy::complexity::tiers::Mode;

use super::super::compared::auto;
use super::super::offers::tests::priced;
use super::super::prompts::tests::pool;
use super::*;

fn labels(items: &[Item]) -> Vec<Vec<f64>> {
    items.iter().map(|item| vec![item.example.scores["low"], item.example.scores["high"]]).collect()
}

#[test]
fn a_higher_cut_never_costs_more() {
    let (pool, _) = pool();
    for mix in ["open models", "own nodes", "own and provider", "guide"] {
        let (priced, workload) = priced(mix);
        let bench = Bench::new(&priced, &workload, &pool.items, None).unwrap();
        let curve = curve(&bench, &|at| pool.score(at));
        assert_eq!(curve.len(), 101);
        assert!(curve.is_sorted_by(|a, b| a.against.saved >= b.against.saved), "{mix}");
        let (none, all) = (curve[0], curve[100]);
        assert!(none.up == 0.0 && (all.up - 1.0).abs() < 1e-9 && all.against.saved.abs() < 1e-9, "{mix}");
    }
}

#[test]
fn quality_and_cost_are_those_of_whoever_answers() {
    let (pool, _) = pool();
    let (priced, workload) = priced("open models");
    let bench = Bench::new(&priced, &workload, &pool.items, Some(labels(&pool.items))).unwrap();
    let hard = pool.items.iter().filter(|item| item.example.task == "sums").count() as f64 / pool.items.len() as f64;
    let of = |choose| mean(&bench.expect(&Policy::new("", choose)));
    let (low, high, oracle) = (of(Choose::Always(0)), of(Choose::Always(1)), of(Choose::Oracle));
    assert!((low.quality - (1.0 - hard)).abs() < 1e-9 && (high.quality - 1.0).abs() < 1e-9);
    assert!((low.cost - 300_000.0).abs() < 1e-6 && (high.cost - 1_350_000.0).abs() < 1e-6);
    assert!((oracle.quality - 1.0).abs() < 1e-9 && (oracle.asked[1] - hard).abs() < 1e-9);
    // The bound reaches all of it with just those that need it, and is nowhere below the router's curve.
    let bound = bound(&bench);
    let last = bound.last().unwrap();
    assert!((last.against.kept - 1.0).abs() < 1e-9 && (last.up - hard).abs() < 1e-9);
    for point in curve(&bench, &|at| pool.score(at)) {
        let at_least = best(&bound, point.against.kept.min(1.0) - 1e-9).unwrap();
        assert!(at_least.against.saved >= point.against.saved - 1e-9, "{point:?}");
    }
}

#[test]
fn a_cascade_pays_for_both_answers() {
    let (pool, _) = pool();
    let (priced, workload) = priced("open models");
    let bench = Bench::new(&priced, &workload, &pool.items, Some(labels(&pool.items))).unwrap();
    let settings = policy::complexity::tiers::Cascade { threshold: 2.0, least: protocol::units::Tokens(8) };
    let sureness = super::super::policies::Sureness::of_area(0.7);
    let all = super::super::policies::Unsure { settings, sureness };
    let all = mean(&bench.expect(&Policy::new("", Choose::Always(0)).cascading(all)));
    assert_eq!((all.asked.clone(), all.answered), (vec![1.0, 1.0], vec![0.0, 1.0]));
    assert!((all.cost - 1_650_000.0).abs() < 1e-6 && (all.quality - 1.0).abs() < 1e-9);
}

#[test]
fn an_interval_holds_the_figure_and_comes_from_the_seed() {
    let (pool, _) = pool();
    let (priced, workload) = priced("open models");
    let bench = Bench::new(&priced, &workload, &pool.items, Some(labels(&pool.items))).unwrap();
    let (own, top) = (bench.expect(&auto(Mode::Balanced, 2).unwrap()), bench.top());
    let figure = against(&own, &top);
    let [low, high] = interval(&own, &top, 1);
    assert!(
        low.saved <= figure.saved && figure.saved <= high.saved && low.kept <= figure.kept && figure.kept <= high.kept
    );
    assert_eq!(interval(&own, &top, 1), interval(&own, &top, 1));
    assert_ne!(interval(&own, &top, 1), interval(&own, &top, 2));
    assert_eq!(best(&[], 0.5), None);
}
