//! What this process takes of the machine's memory, where the system says so (Linux).

use std::fs;

/// Memory in MiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    /// Held now, mapped files left out.
    pub(crate) held: f64,
    /// The most that was held since the last [`forget_peak`], mapped files included.
    pub(crate) peak: f64,
}

/// Lets the peak begin anew; without effect where the system has no such thing.
pub(crate) fn forget_peak() {
    // The kernel's documented switch (proc_pid_clear_refs); a refusal leaves an older, higher peak.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// None where the system does not say.
pub(crate) fn now() -> Option<Memory> {
    parse(&fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<Memory> {
    let mib = |name: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib / 1024.0)
    };
    Some(Memory { held: mib("RssAnon")?, peak: mib("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_read() {
        let status = "Name:\tx\nVmHWM:\t  204800 kB\nVmRSS:\t 1 kB\nRssAnon:\t    51200 kB\n";
        assert_eq!(parse(status), Some(Memory { held: 50.0, peak: 200.0 }));
        assert_eq!(parse("Name:\tx\n"), None);
    }
}
