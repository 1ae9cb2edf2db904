//! Those who serve one model, and what a decision looks at of each.
//!
//! Rule: nobody is changed but by [`Members::change`], after which what is looked at is worked out anew: decisions walk
//! over figures that follow whatever happens.

use protocol::ids::NodeId;
use protocol::message::Role;
use protocol::units::Tokens;

use super::super::claims::Claimed;
use super::super::ledger::Ledger;
use super::super::standing::{Standing, nanos};
use super::{Kind, Told, View};
use crate::breaker::Breaker;
use crate::planted::Planted;

/// In the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Members {
    all: Vec<Member>,
    /// Of each, in the same order.
    briefs: Vec<Brief>,
    standings: Vec<Standing>,
}

#[derive(Debug)]
pub(super) struct Member {
    node: NodeId,
    pub(super) link: u64,
    pub(super) ledger: Ledger,
    pub(super) breaker: Breaker,
    pub(super) told: Option<Told>,
    /// Which of all that it has told that is.
    pub(super) serial: u64,
}

/// What every decision looks at: follows what is told, and what the ledger and the breaker say. A line of the processor's
/// cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Brief {
    pub(super) node: NodeId,
    /// It may be asked before then, in nanoseconds; 0 if it may not be asked.
    pub(super) before: u64,
    pub(super) due: Tokens,
    pub(super) claimed: Claimed,
    /// See [`Kind`].
    pub(super) words: u64,
    pub(super) role: Role,
    /// Its breaker is not simply closed.
    pub(super) guarded: bool,
}

impl Member {
    pub(super) fn new(node: NodeId, link: u64, planted: Planted) -> Self {
        Self { node, link, ledger: Ledger::default(), breaker: Breaker::with(planted), told: None, serial: 0 }
    }

    /// How it stands, and what of that every decision looks at.
    pub(super) fn seen(&self) -> (Standing, Brief) {
        let View { worker, jobs, blocks } = self.told.map(|told| told.view).unwrap_or_default();
        let sent = self.ledger.sent();
        let standing = Standing::new(&worker.load, &sent, &worker.rates, worker.oldest, (jobs, blocks));
        let Kind { words, role } = self.told.map(|told| told.kind).unwrap_or_default();
        let brief = Brief {
            node: self.node,
            before: self.told.map_or(0, |told| nanos(told.until).saturating_add(1)),
            due: standing.due,
            claimed: Claimed::from(&standing),
            words,
            role,
            guarded: self.breaker.is_guarded(),
        };
        (standing, brief)
    }
}

impl Members {
    /// One comes, over a connection. False if it is here over that already; what it had over an older one is gone.
    pub(super) fn join(&mut self, member: Member) -> bool {
        let place = self.place_of(member.node);
        if place.is_ok_and(|place| self.all.get(place).is_some_and(|known| known.link == member.link)) {
            return false;
        }
        let (standing, brief) = member.seen();
        match place {
            Ok(place) => {
                self.all.splice(place..=place, [member]);
                self.briefs.splice(place..=place, [brief]);
                self.standings.splice(place..=place, [standing]);
            }
            Err(place) => {
                self.all.insert(place, member);
                self.briefs.insert(place, brief);
                self.standings.insert(place, standing);
            }
        }
        true
    }

    /// One goes, unless it is here over a newer connection.
    pub(super) fn leave(&mut self, node: NodeId, link: u64) {
        if let Ok(place) = self.place_of(node)
            && self.all.get(place).is_some_and(|member| member.link <= link)
        {
            self.all.remove(place);
            self.briefs.remove(place);
            self.standings.remove(place);
        }
    }

    /// Something happens with one. None if it is not here over this connection.
    pub(super) fn change<T>(&mut self, node: NodeId, link: u64, change: impl FnOnce(&mut Member) -> T) -> Option<T> {
        let place = self.place_of(node).ok()?;
        let member = self.all.get_mut(place).filter(|member| member.link == link)?;
        let (standing, brief) = (self.standings.get_mut(place)?, self.briefs.get_mut(place)?);
        let changed = change(member);
        (*standing, *brief) = member.seen();
        Some(changed)
    }

    pub(super) fn get(&self, node: NodeId) -> Option<&Member> {
        self.all.get(self.place_of(node).ok()?)
    }

    pub(super) fn at(&self, place: u32) -> Option<&Member> {
        self.all.get(place as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.all.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn briefs(&self) -> &[Brief] {
        &self.briefs
    }

    /// Who is at a place, and how it stands.
    pub(super) fn standing(&self, place: u32) -> Option<(NodeId, &Standing)> {
        let brief = self.briefs.get(place as usize)?;
        Some((brief.node, self.standings.get(place as usize)?))
    }

    /// Whether all that is looked at is what it would be if it were worked out anew.
    #[cfg(test)]
    pub(super) fn are_as_seen(&self) -> bool {
        let seen: (Vec<Standing>, Vec<Brief>) = self.all.iter().map(Member::seen).unzip();
        format!("{:?}", (&self.standings, &self.briefs)) == format!("{:?}", (&seen.0, &seen.1))
    }

    fn place_of(&self, node: NodeId) -> Result<usize, usize> {
        self.briefs.binary_search_by_key(&node, |brief| brief.node)
    }
}
