//! Our nouns as the messages say them.

use jiff::Timestamp;
use tonic::Status;

use super::{proto, status};
use crate::content::Patterns;
use crate::feed::{Delivery, Entry};
use crate::model::{BlobId, CommitInfo, FilePath, Revision};

pub(super) fn commit(info: CommitInfo) -> proto::Commit {
    proto::Commit {
        revision: number(info.revision),
        commit: info.commit.to_string(),
        author: Some(proto::Author { name: info.author_name, email: info.author_email }),
        time: Some(timestamp(info.time)),
        message: info.message,
    }
}

pub(super) fn revision(delivery: Delivery) -> proto::Revision {
    proto::Revision {
        subscription: u32::try_from(delivery.subscription).unwrap_or(u32::MAX),
        repository: delivery.repo.to_string(),
        commit: Some(commit(delivery.info)),
        entries: delivery.entries.into_iter().map(entry).collect(),
    }
}

fn entry(entry: Entry) -> proto::Entry {
    let name = |blob: Option<BlobId>| blob.map(|blob| blob.to_string()).unwrap_or_default();
    proto::Entry {
        path: entry.path.into(),
        before: name(entry.before),
        after: name(entry.after),
        size: entry.size.unwrap_or(0),
        content: entry.content,
    }
}

fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    // The message wants nanoseconds that count forward, before 1970 too.
    let (mut seconds, mut nanos) = (time.as_second(), time.subsec_nanosecond());
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    prost_types::Timestamp { seconds, nanos }
}

/// Revisions count from 1 by single commits: none passes `i64`.
pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

/// A pattern; empty for everything.
pub(super) fn patterns(text: &str) -> Result<Patterns, Status> {
    if text.is_empty() {
        return Ok(Patterns::all());
    }
    Patterns::new(text).map_err(|error| status::of_content("pattern", &error))
}

pub(super) fn path(field: &str, text: &str) -> Result<FilePath, Status> {
    FilePath::new(text).map_err(|error| status::invalid(field, &error))
}
