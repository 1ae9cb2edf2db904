use super::*;

#[test]
fn a_receipt_is_cut_as_the_batches_were() {
    let mut whole = Receipt::default();
    for (place, request) in [(1, 10), (2, 20), (5, 50)] {
        whole.skip(place, RequestId(request));
    }
    let part = |start, len| {
        let part = whole.part(start, len);
        part.skipped.into_iter().zip(part.duplicates.into_iter().map(|request| request.0)).collect::<Vec<_>>()
    };
    assert_eq!(part(0, 2), [(1, 10)]);
    assert_eq!(part(2, 3), [(0, 20)]);
    assert_eq!(part(5, 1), [(0, 50)]);
    assert_eq!(part(2, 0), []);
    assert_eq!(part(0, 6), [(1, 10), (2, 20), (5, 50)]);
}

#[test]
fn refusals_name_number_and_remedy() {
    let long = BadBatch::LongName { place: 3, what: "tag", bytes: 900 };
    assert_eq!(long.to_string(), "write 3 has a tag of 900 bytes: give at most 512");
    assert_eq!(BadBatch::Long(10_001).to_string(), "a batch of 10001 writes: commit at most 10000 at once");
}

/// Every text of every write counts, so none can grow without bound.
#[test]
fn every_name_has_a_bound() {
    let long = || "x".repeat(MAX_NAME + 1);
    let subject = |change: fn(&mut Subject, String)| {
        let mut subject = Subject::default();
        change(&mut subject, long());
        subject
    };
    let key = |change: fn(&mut KeyRecord, String)| {
        let mut record = KeyRecord { id: "k".to_owned(), ..KeyRecord::default() };
        change(&mut record, long());
        Write::PutKey(record)
    };
    let budget = |change: fn(&mut Budget, String)| {
        let mut budget = Budget { id: "b".to_owned(), ..Budget::default() };
        change(&mut budget, long());
        Write::PutBudget(budget)
    };
    let mut writes = vec![
        key(|key, long| key.id = long),
        key(|key, long| key.settings.name = long),
        key(|key, long| key.settings.organisation = Some(long)),
        key(|key, long| key.settings.team = Some(long)),
        key(|key, long| key.settings.models.push(long)),
        key(|key, long| key.settings.tags.push(long)),
        key(|key, long| key.settings.guardrails.push(long)),
        key(|key, long| drop(key.settings.fallbacks.insert(long, vec![]))),
        key(|key, long| drop(key.settings.fallbacks.insert("m".to_owned(), vec![long]))),
        budget(|budget, long| budget.id = long),
        budget(|budget, long| budget.scope.organisation = Some(long)),
        budget(|budget, long| budget.scope.team = Some(long)),
        budget(|budget, long| budget.scope.key = Some(long)),
        budget(|budget, long| budget.scope.model = Some(long)),
        budget(|budget, long| budget.scope.tag = Some(long)),
        budget(|budget, long| budget.scope.provider = Some(long)),
        budget(|budget, long| budget.window.zone = Some(long)),
        Write::RemoveBudget(long()),
        Write::Spent(Spent { budget: long(), ..Spent::default() }),
        Write::PutPrice { name: long(), price: Price::default() },
        Write::RemovePrice(long()),
        Write::PutBlob { name: long(), bytes: vec![] },
        Write::RemoveBlob(long()),
        Write::Usage(UsageRecord { asked: long(), ..UsageRecord::default() }),
    ];
    let subjects: [fn(&mut Subject, String); 6] = [
        |subject, long| subject.organisation = Some(long),
        |subject, long| subject.team = Some(long),
        |subject, long| subject.key = long,
        |subject, long| subject.model = long,
        |subject, long| subject.tags.push(long),
        |subject, long| subject.provider = Some(long),
    ];
    for change in subjects {
        writes.push(Write::Usage(UsageRecord { subject: subject(change), ..UsageRecord::default() }));
        writes.push(Write::Open(OpenReservation { subject: subject(change), ..OpenReservation::default() }));
    }
    for write in writes {
        let outcome = check(std::slice::from_ref(&write));
        assert!(matches!(outcome, Err(BadBatch::LongName { place: 0, bytes: 513, .. })), "{write:?} gave {outcome:?}");
    }
    let alerts = Budget { id: "b".to_owned(), alerts: vec![1; MAX_SIZE], ..Budget::default() };
    assert!(matches!(check(&[Write::PutBudget(alerts)]), Err(BadBatch::LargeValue { .. })));
}
