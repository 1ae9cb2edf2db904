//! How much memory is free.

/// Bytes of main memory that can be taken without pushing anything out, if the system says: what the
/// kernel calls available, and what the control group leaves.
pub(crate) fn available() -> Option<u64> {
    let whole = from_meminfo(&std::fs::read_to_string("/proc/meminfo").ok()?);
    let group = |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok();
    let left = group("memory.max").zip(group("memory.current")).and_then(|(most, used)| from_group(&most, &used));
    match (whole, left) {
        (Some(whole), Some(left)) => Some(whole.min(left)),
        (whole, left) => whole.or(left),
    }
}

fn from_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// "max" means no limit.
fn from_group(most: &str, used: &str) -> Option<u64> {
    Some(most.trim().parse::<u64>().ok()?.saturating_sub(used.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_and_the_group_are_understood() {
        assert_eq!(from_meminfo("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2048 * 1024));
        assert_eq!(from_meminfo("MemTotal: 9 kB\n"), None);
        assert_eq!(from_group("max\n", "5\n"), None);
        assert_eq!(from_group("100\n", "30\n"), Some(70));
        assert_eq!(from_group("100\n", "300\n"), Some(0));
    }
}
