//! From a refusal to what somebody wrote: the resource, the place in a file,
//! the commit that changed the file last, and its author; and where the file is
//! as it was, the values that it is rendered with.

use serde::{Deserialize, Serialize};

use super::handle::Handle;
use super::record::Records;
use crate::content::Patterns;
use crate::model::{
    BlobId, BundleId, Changed, CommitId, FilePath, Place, RepoName, ResourceName, Revision,
    SnapshotKey, Stage, TypeUrl,
};
use crate::promote::{BundleRecord, State};
use crate::xds::Nack;

/// Files beside a resource's own that are named.
const INPUTS_MAX: usize = 3;

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
    /// Where that file is as it was when the stage was well: what it is
    /// rendered with and has changed since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
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

/// A file that the resource's own file is rendered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The file, and the first line that differs from what was good.
    pub place: Place,
    /// The commit that changed it last, up to the bundle's.
    pub change: Option<Change>,
}

impl std::fmt::Display for Culprit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.name)?;
        let Some(place) = &self.place else { return Ok(()) };
        write!(f, " ({}", at(place, self.change.as_ref()))?;
        if !self.inputs.is_empty() {
            let inputs = self.inputs.iter().map(|input| at(&input.place, input.change.as_ref()));
            let inputs = inputs.collect::<Vec<_>>().join(" and ");
            write!(f, "; that is as it was, what changed is {inputs}")?;
        }
        f.write_str(")")
    }
}

/// `values/beta.yaml:3, r12 by Ann`.
fn at(place: &Place, change: Option<&Change>) -> String {
    match change {
        Some(Change { revision, author, .. }) => format!("{place}, r{revision} by {author}"),
        None => place.to_string(),
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
        culprits(&self.records, &view.state, (&key.repo, &key.stage), type_url, nack).await
    }
}

/// As [`Handle::culprits`], for whoever has the records.
pub(super) async fn culprits(
    records: &Records,
    state: &State,
    (repo, stage): (&RepoName, &Stage),
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
    let base = base(state, record, stage);
    let mut found = Vec::new();
    for name in &nack.resources {
        let place = bundle.places.get(&(type_url.clone(), name.clone())).cloned();
        let change = match &place {
            Some(place) => records.last_change(repo, record.commit.revision, &place.file).await,
            None => None,
        };
        // The file is not what made the difference.
        let base = base.filter(|base| change.as_ref().is_some_and(|own| own.revision <= *base));
        let inputs = match base {
            Some(base) => records.inputs(repo, stage, (base, record.commit.revision)).await,
            None => Vec::new(),
        };
        let (name, bundle) = (name.clone(), bundle.id.clone());
        found.push(Culprit { name, bundle, place, change, inputs });
    }
    found
}

/// The revision that the stage was well with before the bundle came.
fn base(state: &State, refused: &BundleRecord, stage: &Stage) -> Option<Revision> {
    let slot = state.slot(&refused.repo, stage);
    let good = [slot.current, slot.last_good, slot.before_last_good].into_iter().flatten();
    let revisions = good.filter_map(|id| Some(state.bundles.get(&id)?.commit.revision));
    revisions.filter(|revision| *revision < refused.commit.revision).max()
}

/// Whether what a stage renders to may depend on a file, whatever names it.
fn is_input(stage: &Stage, file: &FilePath) -> bool {
    let Some(values) = file.as_str().strip_prefix("values/") else {
        return file.as_str().starts_with("templates/");
    };
    let stem = values.strip_suffix(".yaml").unwrap_or(values);
    let of_stage = stem.strip_prefix(stage.as_str());
    stem == "common" || of_stage.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The first line that differs, counted from one.
fn first_difference(before: &[u8], after: &[u8]) -> u32 {
    let (before, after) = (before.split(|byte| *byte == b'\n'), after.split(|byte| *byte == b'\n'));
    let same = before.zip(after).take_while(|(before, after)| before == after).count();
    u32::try_from(same).unwrap_or(u32::MAX).saturating_add(1)
}

impl Records {
    /// What a stage's files are rendered with and differs between two
    /// revisions, a few of them.
    async fn inputs(
        &self,
        repo: &RepoName,
        stage: &Stage,
        (from, to): (Revision, Revision),
    ) -> Vec<Input> {
        let (store, of_repo, stage) = (self.store().clone(), repo.clone(), stage.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let changed = store.changed(&of_repo, from, to, &Patterns::all()).ok()?;
            let inputs = changed.into_iter().filter(|one| is_input(&stage, &one.path));
            let place = |one: Changed| {
                let text =
                    |blob: Option<BlobId>| blob.and_then(|id| store.blob(&of_repo, &id).ok());
                let (before, after) = (text(one.before), text(one.after));
                let text = |text: &Option<bytes::Bytes>| text.clone().unwrap_or_default();
                let line = first_difference(&text(&before), &text(&after));
                Place { file: one.path, line, column: 0 }
            };
            Some(inputs.take(INPUTS_MAX).map(place).collect::<Vec<_>>())
        });
        let mut inputs = Vec::new();
        for place in reading.await.ok().flatten().unwrap_or_default() {
            let change = self.last_change(repo, to, &place.file).await;
            inputs.push(Input { place, change });
        }
        inputs
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> FilePath {
        FilePath::new(path).unwrap()
    }

    #[test]
    fn a_stage_depends_on_its_own_values_and_on_what_all_share() {
        let beta = Stage::new("beta").unwrap();
        let table = [
            ("values/common.yaml", true),
            ("values/beta.yaml", true),
            ("values/beta.edge.yaml", true),
            ("values/beta2.yaml", false),
            ("values/release.yaml", false),
            ("templates/route.yaml", true),
            ("resources/clusters/common.yaml", false),
        ];
        for (path, expected) in table {
            assert_eq!(is_input(&beta, &file(path)), expected, "{path}");
        }
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference(b"a: 1\nb: 2\n", b"a: 1\nb: 3\n"), 2);
        assert_eq!(first_difference(b"", b"a: 1\n"), 1);
        assert_eq!(first_difference(b"a: 1\n", b"a: 1\nb: 3\n"), 2);
    }

    #[test]
    fn a_culprit_says_which_values_changed_where_its_file_did_not() {
        let change = |revision, author: &str| {
            let (revision, commit) = (Revision(revision), CommitId([0; 20]));
            Some(Change { revision, commit, author: author.into() })
        };
        let place = |path: &str, line| Place { file: file(path), line, column: 1 };
        let mut culprit = Culprit {
            name: ResourceName("pay".into()),
            bundle: BundleId::new("b-1").unwrap(),
            place: Some(place("resources/clusters/pay.yaml", 1)),
            change: change(4, "Ann"),
            inputs: Vec::new(),
        };
        let own = "`pay` (resources/clusters/pay.yaml:1:1, r4 by Ann)";
        assert_eq!(culprit.to_string(), own);
        culprit.inputs = vec![Input {
            place: Place { column: 0, ..place("values/beta.yaml", 3) },
            change: change(9, "Bo"),
        }];
        assert_eq!(
            culprit.to_string(),
            "`pay` (resources/clusters/pay.yaml:1:1, r4 by Ann; that is as it was, what changed \
             is values/beta.yaml:3, r9 by Bo)"
        );
    }
}
