use super::*;

#[test]
fn an_allowance_is_an_amount_for_a_period() {
    let of = |text: &str| text.parse::<Allowance>();
    let allowance = |amount, every| Ok(Allowance { amount: Nanos(amount), every });
    assert_eq!(of("5"), allowance(5_000_000_000, Period::Month));
    assert_eq!(of("0.50/hour"), allowance(500_000_000, Period::Hour));
    assert_eq!(of("5.00/total"), allowance(5_000_000_000, Period::Total));
    for (text, words) in [
        ("", "amount of money"),
        ("/day", "amount of money"),
        ("5/", "no period"),
        ("5/year", "'year' is no period"),
        ("5/day/week", "no period"),
        ("-5/day", "amount of money"),
        ("0/day", "refuses everything"),
        ("1e9", "amount of money"),
    ] {
        let error = of(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn the_table_shows_what_is_left() {
    let budget = |id: &str| Budget { id: id.into(), limit: Nanos(5_000_000_000), ..Budget::default() };
    let increase = Some(Increase { amount: Nanos(1_000_000_000), until: UnixMillis(100) });
    let scope = Scope { team: Some("red".into()), tag: Some("x".into()), ..Scope::default() };
    let window = Window { every: Period::Day, zone: Some("Europe/Berlin".into()) };
    let full = BudgetState {
        budget: Budget { scope, window, increase, soft: true, ..budget("b") },
        settled: Nanos(1_250_000_000),
        reserved: Nanos(250_000_000),
        since: UnixMillis(0),
        resets: Some(UnixMillis(1_769_848_200_000)),
    };
    let plain = BudgetState { budget: budget("a"), settled: Nanos(6_000_000_000), ..BudgetState::default() };
    let text = listed(&[full, plain], UnixMillis(99));
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    let berlin = "day (Europe/Berlin)";
    assert_eq!(lines[1], ["b", "team=red tag=x", "6.00 (soft)", berlin, "1.25", "0.25", "4.50", "2026-01-31 08:30"]);
    assert_eq!(lines[2], ["a", "everything", "5.00", "month", "6.00", "0.00", "0.00", "-"]);
    assert!(listed(&[], UnixMillis(0)).contains("troupe budget set"));
}

fn wanted(change: impl FnOnce(&mut Wanted)) -> Result<Budget, String> {
    let mut wanted = Wanted {
        name: "b".into(),
        limit: "5".parse().unwrap(),
        zone: None,
        organisation: None,
        team: None,
        key: None,
        model: None,
        tag: None,
        provider: None,
        alerts: Vec::new(),
        soft: false,
    };
    change(&mut wanted);
    wanted.budget().map_err(|error| error.to_string())
}

#[test]
fn what_is_wrong_with_a_budget_is_seen_before_it_is_sent() {
    let good =
        wanted(|w| (w.zone, w.alerts, w.key) = (Some("Asia/Tokyo".into()), vec![90], Some("key-1".into()))).unwrap();
    assert_eq!((good.alerts, good.scope.key.as_deref()), (vec![90], Some("key-1")));
    assert_eq!(wanted(|_| {}).unwrap().alerts, ALERTS);
    type Change = fn(&mut Wanted);
    let table: [(Change, &str); 4] = [
        (|w| w.zone = Some("Mars/Olympus".into()), "--zone cannot be used"),
        (|w| w.alerts = vec![200], "alerts[0] is 200"),
        (|w| w.name = String::new(), "id is empty"),
        (|w| w.key = Some("sk-troupe-0123456789abcdef".into()), "scope.key looks like a secret"),
    ];
    for (change, words) in table {
        let error = wanted(change).unwrap_err();
        assert!(error.contains(words) && !error.contains("0123456789abcdef"), "{error}");
    }
}
