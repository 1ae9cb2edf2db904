use proptest::prelude::*;

use super::*;

fn need(need: f64) -> Score {
    Score::new(0.0, need)
}

#[test]
fn modes_are_read_from_names_of_models() {
    assert_eq!(Mode::of_model("auto"), Some(Ok(Mode::Balanced)));
    for mode in Mode::ALL {
        assert_eq!(Mode::of_model(&format!("auto:{mode}")), Some(Ok(mode)));
    }
    assert_eq!(Mode::of_model("auto:fast"), Some(Err(BadMode("fast".into()))));
    assert_eq!(Mode::of_model("auto:"), Some(Err(BadMode(String::new()))));
    for name in ["llama", "automatic", "llama:best", "", "AUTO"] {
        assert_eq!(Mode::of_model(name), None, "{name}");
    }
}

#[test]
fn cuts_out_of_range_or_order_are_refused() {
    assert_eq!(Cuts::new(vec![0.5, 1.5]), Err(BadCuts::Range { at: 1, value: 1.5 }));
    assert_eq!(Cuts::new(vec![0.5, 0.4]), Err(BadCuts::Order { at: 1, value: 0.4 }));
    assert!(matches!(Cuts::new(vec![f64::NAN]), Err(BadCuts::Range { at: 0, .. })));
    assert_eq!(Cuts::new(vec![0.5; MAX_TIERS]), Err(BadCuts::Many(MAX_TIERS)));
    assert!(Cuts::new(vec![]).is_ok() && Cuts::new(vec![0.3; MAX_TIERS - 1]).is_ok());
}

#[test]
fn the_tier_is_how_many_cuts_are_passed() {
    let cuts = Cuts::new(vec![0.5, 0.8]).unwrap();
    let tiers = [0.0, 0.5, 0.51, 0.8, 0.81, 1.0].map(|of| cuts.tier(need(of)));
    assert_eq!(tiers, [0, 0, 1, 1, 2, 2]);
    assert_eq!(Cuts::default().tier(need(1.0)), 0);
}

#[test]
fn a_cut_of_0_lets_all_up_and_one_of_1_nobody() {
    assert_eq!(Cuts::new(vec![0.0]).unwrap().tier(need(0.0)), 1);
    assert_eq!(Cuts::new(vec![1.0]).unwrap().tier(need(1.0)), 0);
}

#[test]
fn a_dearer_mode_sends_more_up() {
    let thresholds = Thresholds::standard(3);
    let tiers = |of: f64| Mode::ALL.map(|mode| choose(need(of), mode, &thresholds));
    assert_eq!(tiers(0.3), [0, 0, 0]);
    assert_eq!(tiers(0.5), [0, 0, 1]);
    assert_eq!(tiers(0.9), [0, 1, 2]);
    assert_eq!(tiers(0.999), [2, 2, 2]);
}

proptest! {
    #[test]
    fn standard_cuts_are_cuts(tiers in 0..20_usize) {
        for mode in Mode::ALL {
            let cuts = Cuts::standard(mode, tiers);
            prop_assert_eq!(cuts.as_slice().len(), tiers.clamp(1, MAX_TIERS) - 1);
            prop_assert_eq!(Cuts::new(cuts.as_slice().to_vec()), Ok(cuts));
        }
    }

    #[test]
    fn more_need_is_never_a_lower_tier(mut cuts in prop::collection::vec(0.0..=1.0, 0..7), a in 0.0..=1.0, b in 0.0..=1.0) {
        cuts.sort_by(f64::total_cmp);
        let cuts = Cuts::new(cuts).unwrap();
        let (low, high): (f64, f64) = if a < b { (a, b) } else { (b, a) };
        prop_assert!(cuts.tier(need(low)) <= cuts.tier(need(high)));
    }
}
