use super::*;

#[tokio::test]
async fn a_change_is_seen_once_and_the_newest_value_counts() {
    let sender = Sender::new(1);
    let mut receiver = sender.subscribe();
    sender.send_replace(2);
    assert_eq!(sender.send_replace(3), 2);
    assert_eq!(receiver.changed().await, Ok(()));
    assert_eq!(*receiver.borrow(), 3);
    assert!(!sender.send_if_modified(|value| *value > 7));
    drop(sender);
    assert_eq!(receiver.changed().await, Err(Closed));
    receiver.mark_changed();
    assert_eq!(receiver.changed().await, Ok(()), "what was there can be read all the same");
    assert_eq!(receiver.wait_for(|value| *value == 9).await.map(drop), Err(Closed));
    assert_eq!(*receiver.wait_for(|value| *value == 3).await.unwrap(), 3);
}

#[tokio::test]
async fn who_waits_is_woken_in_the_order_of_waiting() {
    let sender = Sender::new(false);
    let woken = Arc::new(Guarded::new(Vec::new()));
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (mut receiver, woken) = (sender.subscribe(), Arc::clone(&woken));
            tokio::spawn(async move {
                receiver.wait_for(|value| *value).await.unwrap();
                woken.lock().push(number);
            })
        })
        .collect();
    // tokio polls some dozens of tasks between two turns of this one.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    sender.send_replace(true);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(woken.lock().is_sorted());
    assert_eq!(woken.lock().len(), 100);
}
