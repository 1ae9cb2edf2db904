use protocol::money::Money;

use super::*;
use crate::prices::List;

fn nanos(text: &str) -> Nanos {
    text.parse::<Money>().unwrap().0
}

fn listed(name: &str) -> Offer {
    Offer::Price(List::built_in().models[name].price)
}

fn own(name: &str, units: Option<u64>) -> Offer {
    Offer::Own { hardware: List::built_in().hardware[name].clone(), units }
}

#[test]
fn the_reference_workload_costs_what_follows_from_the_list_to_the_nano() {
    for (offer, day, month) in [
        (listed("gpt-4-turbo"), "2500", "75000"),
        (listed("claude-3-haiku-20240307"), "87.50", "2625"),
        (own("a100-8b", Some(1)), "75.12", "2253.60"),
    ] {
        let bill = Workload::REFERENCE.bill(&offer).unwrap();
        assert_eq!((bill.day, bill.month), (nanos(day), nanos(month)));
        assert_eq!(bill.requests, 100_000);
    }
    let cached = Workload { cached: Percent(40), ..Workload::REFERENCE };
    // 60 million at 0.25, 40 at 0.03, 50 at 1.25.
    assert_eq!(cached.bill(&listed("claude-3-haiku-20240307")).unwrap().day, nanos("78.70"));
}

#[test]
fn hardware_costs_its_hours_and_the_plan_says_whether_they_suffice() {
    let need = Workload::REFERENCE.bill(&own("a100-8b", None)).unwrap().need.unwrap();
    // 3 * 100,000,000 / 86,400 and half as many.
    assert_eq!((need.prefill, need.decode), (Tokens(3_473), Tokens(1_737)));
    assert_eq!((need.units, need.enough), (1, 1));
    // 1,157.4 / 15,200 + 578.7 / 5,040 = 19.10 %.
    assert_eq!((need.mean, need.peak), (1_910, 5_730));
    assert!(need.suffices());

    let ten = Workload { requests: 1_000_000, ..Workload::REFERENCE };
    let bill = ten.bill(&own("a100-8b", Some(1))).unwrap();
    let need = bill.need.unwrap();
    assert!(!need.suffices());
    assert_eq!((need.units, need.enough, bill.day), (1, 6, nanos("75.12")));
    assert!(need.peak > 50_000);
    let bill = ten.bill(&own("a100-8b", None)).unwrap();
    assert_eq!((bill.need.unwrap().units, bill.day), (6, nanos("450.72")));
    assert!(bill.need.unwrap().suffices() && bill.need.unwrap().peak <= 10_000);

    // Where a model of 70B is what is good enough, the same workload needs two units of four.
    let bill = Workload::REFERENCE.bill(&own("4xa100-70b", None)).unwrap();
    assert_eq!((bill.need.unwrap().units, bill.day), (2, nanos("600.96")));

    // What is cached takes no time, and who has nothing to do still costs.
    let cached = Workload { cached: Percent(100), ..Workload::REFERENCE };
    assert_eq!(cached.bill(&own("a100-8b", None)).unwrap().need.unwrap().prefill, Tokens(0));
    let nothing = Workload { requests: 0, ..Workload::REFERENCE };
    let bill = nothing.bill(&own("a100-8b", None)).unwrap();
    assert_eq!((bill.day, bill.need.unwrap().mean), (nanos("75.12"), 0));
}

#[test]
fn a_unit_that_is_just_enough_is_one() {
    let hardware = Hardware { gpu_hour: Money(nanos("1")), gpus: 1, prefill: 2, decode: 2, ..Hardware::default() };
    let exact = Workload { requests: DAY, prompt: Tokens(1), answer: Tokens(1), peak: 100, ..Workload::REFERENCE };
    let need = exact.bill(&Offer::Own { hardware: hardware.clone(), units: None }).unwrap().need.unwrap();
    assert_eq!((need.enough, need.mean, need.peak), (1, 10_000, 10_000));
    let more = Workload { requests: DAY + 1, ..exact };
    let need = more.bill(&Offer::Own { hardware, units: None }).unwrap().need.unwrap();
    assert_eq!(need.enough, 2);
}

#[test]
fn routing_saves_what_the_dearest_tier_does_not_answer() {
    let tier = |share, offer| Tier { share: Percent(share), offer };
    let tiers = [tier(70, listed("claude-3-haiku-20240307")), tier(30, listed("gpt-4-turbo"))];
    let routed = Workload::REFERENCE.route(&tiers).unwrap();
    let days: Vec<Nanos> = routed.tiers.iter().map(|bill| bill.day).collect();
    assert_eq!(days, [nanos("61.25"), nanos("750")]);
    assert_eq!((routed.all.day, routed.all.month), (nanos("811.25"), nanos("24337.50")));
    assert_eq!((routed.dearest.0, routed.dearest.1.day), (1, nanos("2500")));
    assert_eq!(routed.saved, 6_755);

    // Shares that do not divide: nobody is lost.
    let seven = Workload { requests: 7, ..Workload::REFERENCE };
    let third = listed("gpt-4-turbo");
    let routed = seven.route(&[tier(33, third.clone()), tier(33, third.clone()), tier(34, third)]).unwrap();
    assert_eq!(routed.tiers.iter().map(|bill| bill.requests).collect::<Vec<_>>(), [2, 2, 3]);
    assert_eq!((routed.all.requests, routed.saved), (7, 0));

    // An own GPU is paid whole, however little it gets.
    let routed = Workload::REFERENCE.route(&[tier(10, own("a100-8b", None)), tier(90, listed("gpt-4o-mini"))]).unwrap();
    assert_eq!(routed.tiers.first().unwrap().day, nanos("75.12"));
    assert_eq!(routed.saved, 0, "it costs more than everything to the dearer one");
}

#[test]
fn what_cannot_be_planned_is_said() {
    let offer = listed("gpt-4-turbo");
    let tier = |share| Tier { share: Percent(share), offer: offer.clone() };
    let base = Workload::REFERENCE;
    for (error, words) in [
        (Workload { requests: u64::MAX, ..base }.bill(&offer).unwrap_err(), "does not fit"),
        (Workload { prompt: Tokens(u64::MAX), ..base }.bill(&own("a100-8b", None)).unwrap_err(), "does not fit"),
        (base.bill(&own("a100-8b", Some(u64::MAX))).unwrap_err(), "does not fit"),
        (Workload { requests: 1 << 40, ..base }.bill(&offer).unwrap_err(), "1099511627776 requests"),
        (Workload { cached: Percent(101), ..base }.bill(&offer).unwrap_err(), "0% to 100%"),
        (Workload { peak: 99, ..base }.bill(&offer).unwrap_err(), "0.99 times"),
        (Workload { days: 0, ..base }.bill(&offer).unwrap_err(), "0 days"),
        (base.route(&[tier(70), tier(20)]).unwrap_err(), "90%"),
        (base.route(&[]).unwrap_err(), "make them 100%"),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}
