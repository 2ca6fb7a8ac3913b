//! What must hold of single files for a commit to be made, and the merge of
//! an edit with what was committed meanwhile. The caller holds the
//! repository's prepared head, so that what holds here holds for the commit.

use bytes::Bytes;

use super::Head;
use super::edit::{Edit, Written};
use super::entries::Leaf;
use super::error::StoreError;
use super::open::Shared;
use super::repository::{Reader, Repository};
use crate::content;
use crate::model::{BlobId, FilePath, FileState, Precondition, Revision};

/// The most preconditions of one commit.
const REQUIRED_MAX: usize = 100_000;

/// A repository's head, and how a commit is checked against it.
pub(crate) struct Requirements<'r> {
    shared: &'r Shared,
    repo: &'r Repository,
    head: Head,
    /// Whether edits of different lines are merged.
    merge: bool,
    reader: Reader<'r>,
}

impl<'r> Requirements<'r> {
    pub(crate) fn new(shared: &'r Shared, repo: &'r Repository, head: Head, merge: bool) -> Self {
        Self { shared, repo, head, merge, reader: shared.reader(repo) }
    }

    /// Checks every precondition; edits that were merged are replaced.
    pub(crate) fn check(
        &mut self,
        require: &[Precondition],
        edits: &mut [Edit],
    ) -> Result<(), StoreError> {
        if require.len() > REQUIRED_MAX {
            return Err(StoreError::Limit(format!(
                "a commit may have {REQUIRED_MAX} preconditions, not {}",
                require.len()
            )));
        }
        require.iter().try_for_each(|one| self.check_one(one, edits))
    }

    fn check_one(&mut self, one: &Precondition, edits: &mut [Edit]) -> Result<(), StoreError> {
        let Precondition { path, state } = one;
        let now = self.at_head(path)?;
        let why = match state {
            FileState::Absent => now.map(|_| "is there already".to_owned()),
            FileState::Content(blob) => match now {
                Some(leaf) if leaf.mode.is_file() && leaf.id == blob.0 => None,
                Some(leaf) => Some(format!("is {}, not {blob}", BlobId(leaf.id))),
                None => Some(format!("is not there; expected was {blob}")),
            },
            FileState::AsOf(revision) if *revision == self.head.revision => None,
            FileState::AsOf(revision) => {
                let then = self.at(*revision, path)?;
                if then.map(|leaf| leaf.id) == now.map(|leaf| leaf.id) {
                    return Ok(());
                }
                if self.merge && self.merge_into(path, (*revision, then, now), edits)? {
                    return Ok(());
                }
                Some(match (then, now) {
                    (None, _) => format!("was made after revision {revision}"),
                    (_, None) => format!("was removed after revision {revision}"),
                    _ => format!("was changed after revision {revision}"),
                })
            }
        };
        match why {
            None => Ok(()),
            Some(why) => Err(StoreError::Stale {
                repo: self.repo.name.clone(),
                path: path.clone(),
                why,
                head: self.head.revision,
            }),
        }
    }

    fn at_head(&mut self, path: &FilePath) -> Result<Option<Leaf>, StoreError> {
        match self.head.commit {
            Some(commit) => self.reader.at(commit, path.as_str()),
            None => Ok(None),
        }
    }

    fn at(&mut self, revision: Revision, path: &FilePath) -> Result<Option<Leaf>, StoreError> {
        if revision == Revision(0) {
            return Ok(None);
        }
        // What was prepared is not in the repository's line yet, but nobody
        // can have seen it either.
        let commit = self.repo.commit(revision)?;
        self.reader.at(commit, path.as_str())
    }

    /// Merges the edit that writes `path` with what was made of it since;
    /// `false` where there is no such edit, or nothing that can be merged.
    fn merge_into(
        &mut self,
        path: &FilePath,
        (revision, then, now): (Revision, Option<Leaf>, Option<Leaf>),
        edits: &mut [Edit],
    ) -> Result<bool, StoreError> {
        // With two edits of one path, only the last counts.
        let writes = edits.iter_mut().rev().find_map(|edit| match edit {
            Edit::Write(written, content) if written == path => Some(content),
            _ => None,
        });
        let (Some(written), Some(now)) = (writes, now.filter(|leaf| leaf.mode.is_file())) else {
            return Ok(false);
        };
        let base = match then {
            Some(leaf) if leaf.mode.is_file() => self.reader.object(&leaf.id)?.data,
            Some(_) => return Ok(false),
            None => Bytes::new(),
        };
        let ours = self.reader.object(&now.id)?.data;
        let text = std::str::from_utf8;
        let (Ok(base), Ok(ours), Ok(theirs)) = (text(&base), text(&ours), text(&written.content))
        else {
            return Ok(false);
        };
        let merged = merge(path, base, ours, theirs).map_err(|conflict| StoreError::Clash {
            repo: self.repo.name.clone(),
            path: path.clone(),
            head: self.head.revision,
            marked: name_sides(&conflict.marked, self.head.revision, revision),
        })?;
        *written = Written::new(self.shared, path, merged.into())?;
        Ok(true)
    }
}

/// A merge by line, unless both sides can be read as what the path says and
/// what comes out of them can't: a comma may be missing between two lines.
fn merge(
    path: &FilePath,
    base: &str,
    ours: &str,
    theirs: &str,
) -> Result<String, content::Conflict> {
    let merged = content::merge_three(base, ours, theirs)?;
    let reads = |text: &str| content::check(path, text).is_ok();
    if !reads(&merged) && reads(ours) && reads(theirs) {
        return Err(content::Conflict::whole(base, ours, theirs));
    }
    Ok(merged)
}

/// Says at the markers which side is which.
fn name_sides(marked: &str, head: Revision, base: Revision) -> String {
    let name = |line: &str| match line {
        "<<<<<<< ours\n" => format!("<<<<<<< revision {head}\n"),
        "||||||| original\n" => format!("||||||| revision {base}\n"),
        ">>>>>>> theirs\n" => ">>>>>>> your edit\n".into(),
        line => line.to_owned(),
    };
    marked.split_inclusive('\n').map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_that_breaks_the_file_is_a_conflict() {
        let path = |text: &str| FilePath::new(text).unwrap();
        let base = "{\n  \"a\": 1,\n  \"m\": 1,\n  \"n\": 1,\n  \"z\": 1\n}\n";
        let ours = base.replace("  \"a\": 1,\n", "  \"a\": 1,\n  \"b\": 1,\n");
        let theirs = base.replace("  \"n\": 1,\n  \"z\": 1\n", "  \"n\": 1\n");
        let merged = merge(&path("x.json"), base, &ours, &theirs).unwrap();
        assert!(content::check(&path("x.json"), &merged).is_ok(), "{merged}");
        let base = "{\n\"a\":\n1\n,\n\"b\":\n2\n}\n";
        let (ours, theirs) = ("{\n\"b\":\n2\n}\n", "{\n\"a\":\n1\n}\n");
        let conflict = merge(&path("x.json"), base, ours, theirs);
        assert!(
            conflict.as_ref().map_or(true, |text| content::check(&path("x.json"), text).is_ok()),
            "{conflict:?}"
        );
    }

    #[test]
    fn the_sides_of_a_conflict_are_named() {
        let conflict = content::merge_three("a\n", "x\n", "y\n").unwrap_err();
        let expect =
            "<<<<<<< revision 5\nx\n||||||| revision 3\na\n=======\ny\n>>>>>>> your edit\n";
        assert_eq!(name_sides(&conflict.marked, Revision(5), Revision(3)), expect);
    }
}
