use protocol::money::Money;

use super::super::setting::Setting;
use super::*;

pub(crate) fn priced(name: &str) -> (Priced, Workload) {
    let setting = Setting::built_in().unwrap();
    let (at, mix) = setting.mixes.iter().enumerate().find(|(_, mix)| mix.name == name).unwrap();
    (Priced::find(mix, at, &built_in().unwrap(), &setting.workload).unwrap(), setting.workload)
}

fn nanos(text: &str) -> Nanos {
    text.parse::<Money>().unwrap().0
}

#[test]
fn every_mix_has_prices_with_date_and_source() {
    let setting = Setting::built_in().unwrap();
    for (at, mix) in setting.mixes.iter().enumerate() {
        let priced = Priced::find(mix, at, &built_in().unwrap(), &setting.workload).unwrap();
        for tier in &priced.tiers {
            assert!(tier.source.contains("20"), "{}: {}", mix.name, tier.source);
        }
        let served = priced.served(&setting.workload).unwrap();
        assert_eq!(served, (0..mix.tiers.len()).collect::<Vec<_>>(), "{}", mix.name);
    }
}

#[test]
fn a_request_costs_what_its_tokens_do_and_at_most_what_it_may() {
    let (priced, workload) = priced("open models");
    assert_eq!((priced.cost(0, &workload), priced.cost(1, &workload)), (Ok(nanos("0.0003")), Ok(nanos("0.00135"))));
    assert_eq!(priced.bound(1, &workload), Ok(nanos("0.0018")));
}

#[test]
fn own_hardware_is_paid_by_the_hour_and_only_where_it_is_asked() {
    let (priced, workload) = priced("own nodes");
    let paid = |asked: &[u64]| priced.paid(asked, &workload).unwrap();
    assert_eq!(paid(&[100_000, 0]), Paid { day: nanos("75.12"), units: 1 });
    assert_eq!(paid(&[0, 100_000]), Paid { day: nanos("600.96"), units: 2 });
    assert_eq!(paid(&[80_000, 20_000]), Paid { day: nanos("375.60"), units: 2 });
    assert!(priced.has_own());
}

#[test]
fn a_better_tier_that_costs_as_little_answers_too() {
    let (mut priced, workload) = priced("open models");
    priced.tiers[1].price = priced.tiers[0].price;
    assert_eq!(priced.served(&workload).unwrap(), [0, 1], "the first among equals");
    priced.tiers[0].price.output = Nanos(400_000_000);
    assert_eq!(priced.served(&workload).unwrap(), [1, 1], "the cheapest that is good enough");
}

#[test]
fn what_no_list_has_and_what_is_out_of_order_is_told() {
    let setting = Setting::built_in().unwrap();
    let mut mix = setting.mixes[0].clone();
    let list = built_in().unwrap();
    let problem = |mix: &Mix, list: &List| Priced::find(mix, 3, list, &setting.workload).unwrap_err().to_string();
    mix.tiers.reverse();
    let told = problem(&mix, &list);
    assert!(
        told.starts_with("mixes[3].tiers[1].model is 'open-7b-to-9b', cheaper than the tier before it: give"),
        "{told}"
    );
    mix.tiers[0].model = "gpt-6".into();
    let told = problem(&mix, &list);
    assert!(told.starts_with("mixes[3].tiers[0].model is 'gpt-6': give one that a list has"), "{told}");
    let dear = "[models.open-7b-to-9b]\ninput='1000000'\noutput='1000000'";
    let told = problem(&setting.mixes[0], &List::parse(dear).unwrap().over(list));
    assert!(told.contains("its cost does not fit") || told.contains("cheaper than the tier before"), "{told}");
}
