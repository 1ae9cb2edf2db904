//! Conversations of agents: contexts that grow, turn by turn.
//!
//! Conversations begin as a Poisson process. Each has a system prompt that its group shares; its first prompt is that
//! and new text, each next one the last prompt, the answer, and new text (what a tool said, what a person asked). The
//! next request comes once the answer is taken to be there, and somebody has thought. It ends at random, or when the
//! context is full. So names of its blocks are those of its place alone: a prompt begins with all of the one before.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::units::Tokens;

use super::arrivals::{Arrivals, exponential, micros};
use super::names::{Name, Names};
use super::{Groups, Plan};
use crate::trace::Request;

/// A conversation between two requests.
#[derive(Clone, Copy, Debug)]
struct Conversation {
    group: Option<u64>,
    /// What its next prompt repeats.
    behind: Tokens,
    /// Whether it has asked.
    begun: bool,
}

pub(super) fn generate(plan: &Plan) -> Vec<Request> {
    let mut begins = Arrivals::poisson(plan.stream(1), plan.rate / plan.turns);
    let (mut inputs, mut outputs) = (plan.stream(2), plan.stream(3));
    let (mut thinking, mut ending) = (plan.stream(5), plan.stream(6));
    let mut groups = Groups::new(plan);
    let mut names = Names::default();
    let mut requests = Vec::new();
    // By time, then by the conversation: two never share a key.
    let mut due: BTreeMap<(Duration, u64), Conversation> = BTreeMap::new();
    let (mut next, mut conversations) = (begins.draw(), 0);
    while requests.len() < plan.requests as usize {
        let first = due.first_key_value().map(|(key, _)| key.0);
        if first.is_none_or(|first| next <= first) {
            let group = groups.draw();
            let behind = group.map_or(Tokens::ZERO, |_| plan.prefix);
            due.insert((next, conversations), Conversation { group, behind, begun: false });
            conversations += 1;
            next = begins.draw();
            continue;
        }
        let Some(((at, number), conversation)) = due.pop_first() else { continue };
        let Conversation { group, behind, begun } = conversation;
        // What is asked first is cut to what the context holds; what is asked later ends the conversation.
        let room = plan.context - behind;
        let (mut own, mut output) = (plan.input.draw(&mut inputs), plan.output.draw(&mut outputs));
        if begun && own + output > room {
            continue;
        }
        output = output.min(room - Tokens(1));
        own = own.min(room - output);
        let input = behind + own;
        let whole = plan.prefix.0 / plan.block.0;
        let blocks = (0..input.blocks(plan.block).0).map(|place| match group {
            Some(group) if place < whole => names.of(Name::Group(group, place)),
            _ => names.of(Name::Own(number, place)),
        });
        requests.push(Request { at, input, output, blocks: blocks.collect(), session: Some(number) });
        // Geometric: each turn is the last with the same chance.
        if ending.draw() * plan.turns >= 1.0 {
            let answer = plan.pace.as_secs_f64() * output.0 as f64;
            let wait = answer + exponential(&mut thinking, plan.think.as_secs_f64());
            due.insert((at + micros(wait), number), Conversation { group, behind: input + output, begun: true });
        }
    }
    requests
}
