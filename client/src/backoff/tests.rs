use super::*;

const RETRY: Retry = Retry { attempts: 10, first: Duration::from_millis(100), max: Duration::from_millis(1500) };

#[test]
fn the_ceiling_doubles_up_to_the_longest_wait() {
    let longest: Vec<u128> = (1..=6).map(|tries| wait(&RETRY, tries, u64::MAX).as_millis()).collect();
    assert_eq!(longest, [100, 200, 400, 800, 1500, 1500]);
}

#[test]
fn jitter_is_full_and_no_number_of_tries_overflows() {
    assert_eq!(wait(&RETRY, 3, 0), Duration::ZERO);
    let middle = wait(&RETRY, 3, u64::MAX / 2);
    assert!(middle > Duration::from_millis(190) && middle < Duration::from_millis(210), "{middle:?}");
    assert!(wait(&RETRY, u32::MAX, u64::MAX) <= RETRY.max);
}
