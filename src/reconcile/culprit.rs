//! From a refusal to what somebody wrote: the resource, the place in a file,
//! the commit that changed the file last, and its author.

use serde::{Deserialize, Serialize};

use super::handle::Handle;
use super::record::Records;
use crate::model::{
    BundleId, CommitId, FilePath, Place, RepoName, ResourceName, Revision, SnapshotKey, TypeUrl,
};
use crate::promote::State;
use crate::xds::Nack;

/// One resource of a refusal, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// The resource.
    pub name: ResourceName,
    /// The bundle that was refused.
    pub bundle: BundleId,
    /// Where the resource was written.
    pub place: Option<Place>,
    /// The commit that changed that file last, up to the bundle's.
    pub change: Option<Change>,
}

/// A commit, as far as a refusal needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Our number for it.
    pub revision: Revision,
    /// Git's name for it.
    pub commit: CommitId,
    /// Who wrote it.
    pub author: String,
}

impl std::fmt::Display for Culprit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.name)?;
        let Some(place) = &self.place else { return Ok(()) };
        write!(f, " ({place}")?;
        if let Some(Change { revision, author, .. }) = &self.change {
            write!(f, ", r{revision} by {author}")?;
        }
        f.write_str(")")
    }
}

impl Handle {
    /// What `nack`, of a type that is served for `key`, leads back to; empty
    /// where it names nothing, or came with no bundle that is still known.
    pub async fn culprits(
        &self,
        key: &SnapshotKey,
        type_url: &TypeUrl,
        nack: &Nack,
    ) -> Vec<Culprit> {
        let view = self.view();
        culprits(&self.records, &view.state, &key.repo, type_url, nack).await
    }
}

/// As [`Handle::culprits`], for whoever has the records.
pub(super) async fn culprits(
    records: &Records,
    state: &State,
    repo: &RepoName,
    type_url: &TypeUrl,
    nack: &Nack,
) -> Vec<Culprit> {
    let Some(release) = nack.release.as_ref().filter(|_| !nack.resources.is_empty()) else {
        return Vec::new();
    };
    let Some(record) = state.bundles.get(&release.bundle).filter(|one| &one.repo == repo) else {
        return Vec::new();
    };
    let Ok(bundle) = records.bundle(record).await else { return Vec::new() };
    let mut found = Vec::new();
    for name in &nack.resources {
        let place = bundle.places.get(&(type_url.clone(), name.clone())).cloned();
        let change = match &place {
            Some(place) => records.last_change(repo, record.commit.revision, &place.file).await,
            None => None,
        };
        let (name, bundle) = (name.clone(), bundle.id.clone());
        found.push(Culprit { name, bundle, place, change });
    }
    found
}

impl Records {
    /// The newest commit up to `until` that changed `file`.
    async fn last_change(
        &self,
        repo: &RepoName,
        until: Revision,
        file: &FilePath,
    ) -> Option<Change> {
        let (store, repo, file) = (self.store().clone(), repo.clone(), file.clone());
        let reading =
            tokio::task::spawn_blocking(move || store.history(&repo, Some(until), Some(&file), 1));
        let commit = reading.await.ok()?.ok()?.into_iter().next()?;
        let author = commit.author_name;
        Some(Change { revision: commit.revision, commit: commit.commit, author })
    }
}
