//! Refusals of what belongs to another: its owner must hear of them, for whoever wrote it does not see the answer.

use super::{Owner, Record};
use crate::api::{DeniedOwner, RecentDenial};
use crate::core::text::{MAX_MESSAGE_CHARS, single_line};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// How many a status shows.
const MAX_DENIALS: usize = 10;

/// A refusal.
pub(super) fn denial(record: &Record, owner: &Owner) -> RecentDenial {
    let place = record.object.split_once(' ').and_then(|(_, path)| path.split_once('/'));
    RecentDenial {
        time: Time(Timestamp::from_second(record.time.as_second()).unwrap_or(record.time)),
        object: record.object.clone(),
        owner: DeniedOwner {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            namespace: place.map(|(namespace, _)| namespace.to_owned()),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        },
        reason: single_line(&record.headline, MAX_MESSAGE_CHARS),
    }
}

/// Both together, newest first, one for each owner. Of one second, the first are newer.
pub(super) fn merged(newer: &[RecentDenial], older: &[RecentDenial]) -> Vec<RecentDenial> {
    if newer.is_empty() {
        return older.to_vec();
    }
    let mut all: Vec<RecentDenial> = newer.iter().chain(older).cloned().collect();
    all.sort_by_key(|denial| Reverse(denial.time.0));
    let mut seen = BTreeSet::new();
    all.retain(|denial| seen.insert(denial.owner.uid.clone()));
    all.truncate(MAX_DENIALS);
    all
}
