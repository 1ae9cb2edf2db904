//! Both stores keep every promise of the trait.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::PathBuf;
use std::sync::Arc;

use store::contract::{Bench, Place};
use store::{MemoryStore, RedbStore, Store};
use tempfile::TempDir;

struct Memory;

impl Bench for Memory {
    fn fresh(&self) -> Box<dyn Place> {
        Box::new(Handle(MemoryStore::new()))
    }
}

struct Handle(MemoryStore);

impl Place for Handle {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }
}

struct Redb;

impl Bench for Redb {
    fn fresh(&self) -> Box<dyn Place> {
        let folder = tempfile::tempdir().unwrap();
        Box::new(Folder { path: folder.path().join("store.redb"), _folder: folder })
    }
}

struct Folder {
    path: PathBuf,
    _folder: TempDir,
}

impl Place for Folder {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(RedbStore::open(&self.path).unwrap())
    }
}

macro_rules! promises {
    ($($name:ident)*) => {
        $(mod $name {
            #[test]
            fn in_memory() {
                store::contract::$name(&super::Memory);
            }

            #[test]
            fn embedded() {
                store::contract::$name(&super::Redb);
            }
        })*

        /// The list above leaves none out.
        #[test]
        fn every_promise_has_its_test() {
            assert_eq!(store::contract::PROMISES.len(), [$(stringify!($name)),*].len());
        }
    };
}

promises! {
    all_comes_back
    later_writes_win
    budgets_go_with_what_was_spent
    reservations_close
    usage_counts_once
    settled_requests_are_not_reserved
    a_bad_batch_leaves_nothing
    a_closed_store_refuses
    pages_are_in_order
    filters_hold
    spans_hold
    counters_tell_the_ends
    totals_are_sums
    folding_keeps_totals
    folded_records_stay_known
    late_records_join_their_day
}
