//! Small sums over measured times.

use std::time::Duration;

/// The smallest of the times that so many thousandths of all do not exceed; zero of none.
pub(crate) fn quantile(times: &[Duration], thousandths: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * thousandths).div_ceil(1000).max(1);
    sorted.get(rank - 1).or(sorted.last()).copied().unwrap_or_default()
}

/// Their mean; zero of none.
pub(crate) fn mean(times: &[Duration]) -> Duration {
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    times.iter().sum::<Duration>().checked_div(count).unwrap_or_default()
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 500), Duration::from_millis(100));
        assert_eq!(quantile(&times, 990), Duration::from_millis(198));
        assert_eq!(quantile(&times, 1000), Duration::from_millis(200));
        assert_eq!(quantile(&[], 990), Duration::ZERO);
        assert_eq!(mean(&times), Duration::from_micros(100_500));
        assert_eq!(mean(&[]), Duration::ZERO);
    }
}
