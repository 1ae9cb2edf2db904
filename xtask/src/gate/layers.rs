//! House rules on who stands on whom, read from `cargo tree`.
//!
//! Only the engine, and through it the node and the benchmarks, may reach libtorch, so that all else
//! builds and tests in seconds. Only `protocol` may reach bincode, so that another codec can take its place.

use std::collections::BTreeSet;
use std::process::Stdio;

use crate::checkout::Checkout;

/// A package, and all that may stand on it.
const RULES: [(&str, &[&str]); 2] = [("tch", &["engine", "node", "bench"]), ("bincode", &["protocol"])];

pub(super) fn check(checkout: &Checkout) -> Result<(), String> {
    for (package, allowed) in RULES {
        // Who uses bincode through `protocol` is no concern of ours: its direct users are.
        let depth = if package == "tch" { "255" } else { "1" };
        let output = checkout
            .cargo()
            .args(["tree", "--workspace", "--target", "all", "--prefix", "none", "--depth", depth, "--invert", package])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cargo tree cannot be started: {error}"))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(format!("cargo tree --invert {package}: {words}"));
        }
        let strangers = strangers(&String::from_utf8_lossy(&output.stdout), package, allowed);
        if !strangers.is_empty() {
            let names: Vec<_> = strangers.into_iter().collect();
            return Err(format!("{} may not stand on {package}: only {} may", names.join(", "), allowed.join(" and ")));
        }
    }
    Ok(())
}

/// Every package of the tree but `package` itself and those allowed.
fn strangers(tree: &str, package: &str, allowed: &[&str]) -> BTreeSet<String> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| !name.starts_with('['));
    names.filter(|name| *name != package && !allowed.contains(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_else_stands_above_is_named() {
        let tree =
            "tch v0.26.0\nengine v0.1.0 (/w/engine)\nnode v0.1.0 (/w/node)\n[dev-dependencies]\nclient v0.1.0 (/w)\n";
        assert_eq!(strangers(tree, "tch", &["engine", "node"]), BTreeSet::from(["client".to_owned()]));
        assert!(strangers(tree, "tch", &["engine", "node", "client"]).is_empty());
    }
}
