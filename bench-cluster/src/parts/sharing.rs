//! Conversations under each placement policy: what is found in caches, and when answers begin.

use std::time::Duration;

use actors::mock::{MockOptions, Timing};
use protocol::config::Policy;

use super::{Setting, progress};
use crate::bed::{Bed, Plan};
use crate::drive::{MODEL, Outcome, converse};
use crate::error::BenchError;
use crate::report::{Bound, Report, Table};
use crate::stats::millis;
use crate::workload::{Shape, conversations};

const NODES: u64 = 8;
const BLOCK: u32 = 32;
/// About a model of eight billion parameters on one accelerator.
const TIMING: Timing = Timing {
    prefill_per_token: Duration::from_micros(100),
    decode_per_step: Duration::from_millis(15),
    decode_per_sequence: Duration::from_micros(200),
    ..Timing::ZERO
};

/// What one part asks.
struct Question {
    name: &'static str,
    shape: Shape,
    /// Tokens of every answer.
    answer: u32,
    /// KV blocks of a node.
    blocks: u32,
    policies: &'static [Policy],
    seeds: std::ops::RangeInclusive<u64>,
}

/// Conversations that share long beginnings, more of them than one node can keep.
pub(crate) async fn shared(setting: &Setting, report: &mut Report) -> Result<(), BenchError> {
    let shape = Shape {
        groups: 150,
        prompt: 2048,
        conversations: if setting.quick { 300 } else { 600 },
        turns: 3,
        question: 96,
        rate: 10.0,
        pause: Duration::from_secs(1),
    };
    // All beginnings are 9,600 blocks: a node keeps a quarter of them, and all nodes together keep two sets.
    let policies = &[Policy::Prefix, Policy::RoundRobin, Policy::LeastLoad];
    let seeds = 1..=if setting.quick { 1 } else { 2 };
    let question = Question { name: "shared", shape, answer: 32, blocks: 2400, policies, seeds };
    report.head(&format!(
        "shared: {NODES} nodes of {} KV blocks, {} groups that share {} tokens, {} conversations of {} turns, {} a \
         second, answers of {} tokens",
        question.blocks, shape.groups, shape.prompt, shape.conversations, shape.turns, shape.rate, question.answer
    ))?;
    let found = question.ask(setting, report).await?;
    let [prefix, turns, ..] = found.as_slice() else { return Ok(()) };
    let hits = prefix.cached() as f64 / (turns.cached() as f64).max(1.0);
    report.target("shared", "cached tokens, as a multiple of round robin's", hits, Bound::AtLeast(1.9))?;
    let ttft = millis(prefix.firsts().mean()) / millis(turns.firsts().mean());
    report.target("shared", "mean TTFT, as a multiple of round robin's", ttft, Bound::AtMost(1.0))?;
    Ok(())
}

/// Prompts that share nothing: there is nothing to gain, and nothing may be lost.
pub(crate) async fn unshared(setting: &Setting, report: &mut Report) -> Result<(), BenchError> {
    let shape = Shape {
        groups: 0,
        prompt: 768,
        conversations: if setting.quick { 400 } else { 1200 },
        turns: 1,
        question: 96,
        rate: 30.0,
        pause: Duration::ZERO,
    };
    let policies = &[Policy::Prefix, Policy::LeastLoad];
    let seeds = 1..=if setting.quick { 1 } else { 3 };
    let question = Question { name: "unshared", shape, answer: 32, blocks: 4096, policies, seeds };
    report.head(&format!(
        "unshared: {NODES} nodes, {} single requests of {} tokens that share nothing, {} a second",
        shape.conversations, shape.prompt, shape.rate
    ))?;
    let found = question.ask(setting, report).await?;
    let [prefix, least, ..] = found.as_slice() else { return Ok(()) };
    let ttft = millis(prefix.firsts().mean()) / millis(least.firsts().mean());
    report.target("unshared", "mean TTFT, as a multiple of least load's", ttft, Bound::AtMost(1.03))?;
    Ok(())
}

/// Long answers to short prompts of a few groups: to gather them costs more than their beginnings save.
pub(crate) async fn decode(setting: &Setting, report: &mut Report) -> Result<(), BenchError> {
    let shape = Shape {
        groups: 4,
        prompt: 128,
        conversations: if setting.quick { 60 } else { 240 },
        turns: 1,
        question: 32,
        rate: 6.0,
        pause: Duration::ZERO,
    };
    let policies = &[Policy::Prefix, Policy::RoundRobin, Policy::LeastLoad];
    let question = Question { name: "decode", shape, answer: 192, blocks: 2400, policies, seeds: 1..=1 };
    report.head(&format!(
        "decode: {NODES} nodes, {} requests of {} groups that share {} tokens, answers of {} tokens: unfavourable to \
         placement by prefix, no target",
        shape.conversations, shape.groups, shape.prompt, question.answer
    ))?;
    question.ask(setting, report).await?;
    Ok(())
}

impl Question {
    /// What became of the conversations of all seeds, policy by policy. The policies take turns, so that a busy
    /// machine is busy for all of them.
    async fn ask(&self, setting: &Setting, report: &Report) -> Result<Vec<Outcome>, BenchError> {
        let mut found = vec![Outcome::default(); self.policies.len()];
        for seed in self.seeds.clone() {
            for (policy, all) in self.policies.iter().zip(&mut found) {
                progress(&format!("{}: seed {seed}, {}", self.name, policy.as_str()));
                let mock = MockOptions {
                    model: MODEL.to_owned(),
                    blocks: self.blocks,
                    block: BLOCK,
                    timing: TIMING,
                    context: 8192,
                    ..MockOptions::default()
                };
                let bed = Bed::start(&setting.program, &Plan { nodes: NODES, mock, policy: *policy }).await?;
                let outcome = converse(&bed.http, conversations(&self.shape, seed), self.answer).await?;
                all.told.extend(outcome.told);
                all.failed.extend(outcome.failed);
            }
        }
        let columns = [
            "prompt tokens",
            "cached tokens",
            "cached %",
            "TTFT mean ms",
            "TTFT p50 ms",
            "TTFT p99 ms",
            "whole mean ms",
            "degraded",
            "failed",
        ];
        let mut table = Table::new(self.name, columns);
        for (policy, outcome) in self.policies.iter().zip(&found) {
            let (firsts, share) = (outcome.firsts(), outcome.cached() as f64 / (outcome.prompt() as f64).max(1.0));
            let cells = [
                outcome.prompt() as f64,
                outcome.cached() as f64,
                share * 100.0,
                millis(firsts.mean()),
                millis(firsts.p50()),
                millis(firsts.p99()),
                millis(outcome.wholes().mean()),
                outcome.degraded() as f64,
                outcome.failed.len() as f64,
            ];
            table.row(policy.as_str(), cells);
        }
        report.table(&table)?;
        found.into_iter().map(Outcome::sound).collect()
    }
}
