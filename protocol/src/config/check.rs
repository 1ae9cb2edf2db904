//! Values that are well formed but cannot work: found here, in one place, before anything starts.

use super::parse::{ConfigFault, fault};
use super::{Config, Model};
use crate::units::{ByteSize, Memory, Span};

/// The longest time a setting may name; beyond it arithmetic on clocks could overflow.
const LONGEST: Span = super::secs(30 * 24 * 3600);
/// The least that a request body must be able to hold.
const LEAST_BODY: ByteSize = ByteSize(1024);
/// The most tokens in a step, a context, a block: far beyond any model, far below overflow.
const MOST_TOKENS: u32 = 1 << 26;

impl Config {
    /// Values that cannot work, each with its path and a remedy.
    pub(super) fn faults(&self) -> Vec<ConfigFault> {
        let mut found = Vec::new();
        self.check_counts(&mut found);
        self.check_spans(&mut found);
        self.check_node(&mut found);
        self.placement.check(&mut found);
        self.pull.check(self.requests.grant_timeout, &mut found);
        self.breaker.check(&mut found);
        self.retry.check(&mut found);
        self.queue.check(&mut found);
        self.degrade.check(&mut found);
        self.loading.check(&mut found);
        self.answers.check(&mut found);
        self.accounts.check(&mut found);
        self.routing.check(&mut found);
        self.prices.check(&mut found);
        self.check_providers(&mut found);
        self.check_fallbacks(&mut found);
        for (name, model) in &self.models {
            if name.is_empty() || name.len() > 128 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
                found.push(fault(format!("models.{name:?}"), "a model's name has 1 to 128 characters and no spaces"));
            }
            model.check(name, &mut found);
            model.check_source(name, &self.node, &mut found);
        }
        found
    }

    fn check_counts(&self, found: &mut Vec<ConfigFault>) {
        for (path, value, most) in [
            ("coordinator.max_nodes", self.coordinator.max_nodes, 100_000),
            ("coordinator.max_requests", self.coordinator.max_requests, 1_000_000),
            ("requests.attempts", self.requests.attempts, 16),
            ("health.gaps", self.health.gaps, 1_000),
            ("wire.streams", self.wire.streams, 65_536),
            ("supervision.max_restarts", self.supervision.max_restarts, 10_000),
        ] {
            count(found, path.to_owned(), value, most);
        }
        if let Some(threads) = self.coordinator.threads {
            count(found, "coordinator.threads".into(), threads, 1024);
        }
        if self.coordinator.body_limit < LEAST_BODY {
            found.push(fault(
                "coordinator.body_limit",
                format!("is {}: give at least {LEAST_BODY}", self.coordinator.body_limit),
            ));
        }
        if self.coordinator.http == self.coordinator.quic && self.coordinator.http.port() == 0 {
            // Port 0 picks a free one for each.
            return;
        }
        if self.cluster.name.is_empty() {
            found.push(fault("cluster.name", "is empty: give the cluster a name"));
        }
    }

    fn check_spans(&self, found: &mut Vec<ConfigFault>) {
        for (path, value) in [
            ("requests.grant_timeout", self.requests.grant_timeout),
            ("requests.timeout", self.requests.timeout),
            ("requests.client_stall", self.requests.client_stall),
            ("health.report_every", self.health.report_every),
            ("health.silence", self.health.silence),
            ("health.stall", self.health.stall),
            ("wire.keep_alive", self.wire.keep_alive),
            ("wire.idle_timeout", self.wire.idle_timeout),
            ("wire.handshake", self.wire.handshake),
            ("wire.redial", self.wire.redial),
            ("supervision.within", self.supervision.within),
            ("supervision.backoff", self.supervision.backoff),
            ("supervision.max_backoff", self.supervision.max_backoff),
        ] {
            if value.0.is_zero() || value > LONGEST {
                found.push(fault(path, format!("is {value}: give more than 0s and at most {LONGEST}")));
            }
        }
        if self.requests.drain > LONGEST {
            found.push(fault("requests.drain", format!("is {}: give at most {LONGEST}", self.requests.drain)));
        }
        for (path, small, path_of_large, large) in [
            ("wire.keep_alive", self.wire.keep_alive, "wire.idle_timeout", self.wire.idle_timeout),
            ("health.report_every", self.health.report_every, "health.silence", self.health.silence),
            ("requests.grant_timeout", self.requests.grant_timeout, "requests.timeout", self.requests.timeout),
        ] {
            if small >= large {
                found.push(fault(path, format!("is {small}: it must be below {path_of_large}, {large}")));
            }
        }
        if self.supervision.backoff > self.supervision.max_backoff {
            found.push(fault(
                "supervision.backoff",
                format!(
                    "is {}: it must not be above supervision.max_backoff, {}",
                    self.supervision.backoff, self.supervision.max_backoff
                ),
            ));
        }
    }

    fn check_node(&self, found: &mut Vec<ConfigFault>) {
        let node = &self.node;
        if node.coordinators.is_empty() {
            found.push(fault("node.coordinators", "is empty: name at least one HOST:PORT"));
        }
        for (path, addresses) in [("node.coordinators", &node.coordinators), ("node.peers", &node.peers)] {
            for address in addresses.iter().filter(|address| !is_address(address)) {
                found.push(fault(path, format!("'{address}' is not HOST:PORT")));
            }
        }
        node.check_files(found);
        match (&node.address, node.listen) {
            (Some(address), _) if !is_address(address) => {
                found.push(fault("node.address", format!("'{address}' is not HOST:PORT")));
            }
            (None, Some(listen)) if listen.ip().is_unspecified() => {
                let problem = format!("is left out, and {listen} says not where other nodes reach it: give HOST:PORT");
                found.push(fault("node.address", problem));
            }
            _ => {}
        }
        let index = node.device.strip_prefix("cuda:").map(|index| index.parse::<u16>().is_ok());
        if node.device != "cpu" && index != Some(true) {
            found.push(fault("node.device", format!("is '{}': write \"cpu\" or \"cuda:0\"", node.device)));
        }
        if let Some(threads) = node.threads {
            count(found, "node.threads".into(), threads, 1024);
        }
        if node.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > 128) {
            found.push(fault("node.name", "has 1 to 128 characters; leave it out for the host's name"));
        }
    }
}

impl Model {
    fn check(&self, name: &str, found: &mut Vec<ConfigFault>) {
        let path = |key: &str| format!("models.{name}.{key}");
        for (key, value) in [
            ("step_tokens", self.step_tokens),
            ("prefill_chunk", self.prefill_chunk),
            ("max_batch", self.max_batch),
            ("queue", self.queue),
            ("queue_tokens", self.queue_tokens),
        ] {
            count(found, path(key), value, MOST_TOKENS);
        }
        if let Some(context) = self.context
            && !(2..=MOST_TOKENS).contains(&context)
        {
            found.push(fault(path("context"), format!("is {context}: give 2 to {MOST_TOKENS}, or leave it out")));
        }
        if !self.block.is_power_of_two() || !(8..=1024).contains(&self.block) {
            found.push(fault(path("block"), format!("is {}: give a power of two from 8 to 1024", self.block)));
        }
        if !self.kv_memory.is_possible() {
            found.push(fault(path("kv_memory"), format!("is {}: {}", self.kv_memory, Memory::POSSIBLE)));
        }
        if self.max_batch > self.step_tokens {
            found.push(fault(
                path("max_batch"),
                format!(
                    "is {}, above step_tokens, {}: each sequence needs a token in a step",
                    self.max_batch, self.step_tokens
                ),
            ));
        }
    }
}

pub(super) fn count(found: &mut Vec<ConfigFault>, path: String, value: u32, most: u32) {
    if !(1..=most).contains(&value) {
        found.push(fault(path, format!("is {value}: give 1 to {most}")));
    }
}

pub(super) fn is_address(text: &str) -> bool {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    port.and_then(|(_, port)| port.parse::<u16>().ok()).is_some_and(|port| port > 0)
}
