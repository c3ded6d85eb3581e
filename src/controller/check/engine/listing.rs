//! Lists of checks, which are told in parts.

use super::super::objects::CheckKey;
use super::Engine;
use super::tracked::{key_of, revision_of};
use crate::api::PreflightCheck;
use crate::core::freshness::Revision;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What was told of a list that goes on.
#[derive(Debug, Default)]
pub(super) struct Listing {
    keys: BTreeSet<CheckKey>,
    newest: Revision,
}

impl Engine {
    /// Takes in some of a list. What is not in it stays until the list ends, and only then it is known up to which revision.
    pub(super) fn take_listed(&mut self, checks: Vec<PreflightCheck>, now: Timestamp) {
        for check in checks {
            self.listing.newest = self.listing.newest.max(revision_of(&check));
            self.listing.keys.insert(key_of(&check));
            self.upsert(check, now);
        }
    }

    /// Takes in what is left of a list. What was in no part of it is gone.
    pub(super) fn end_list(&mut self, rest: Vec<PreflightCheck>, now: Timestamp) {
        self.take_listed(rest, now);
        self.complete = true;
        let Listing { keys, newest } = std::mem::take(&mut self.listing);
        self.revision = self.revision.max(newest).max(self.listed_from);
        let gone: Vec<CheckKey> = self.checks.keys().filter(|key| !keys.contains(key)).cloned().collect();
        for key in &gone {
            self.remove(key);
        }
    }
}
