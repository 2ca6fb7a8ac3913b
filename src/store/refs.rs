//! A repository's refs, kept in `packed-refs` alone: one file, replaced whole,
//! so that the head and the marks of its segments never disagree.
//!
//! `refs/heads/main` is the head. `refs/convoy/begin/<revision>` is the first
//! commit of each first-parent line the repository has followed, and
//! `refs/convoy/end/<revision>` the last commit of each that was replaced:
//! together they let revisions be counted from Git alone, and keep replaced
//! commits from being collected as rubbish. `refs/convoy/taken/<first>-<last>`
//! says of a run of revisions that their commits came from elsewhere: whoever
//! wrote those could put anything into their headers. Refs of other names are
//! left as they are.
//!
//! The header's last word is a sum of the other lines, so that a changed bit is
//! noticed; Git passes over words there that it doesn't know. A file that Git
//! itself rewrote has none, and is taken as it is.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::files::{self, Files};
use super::line::Line;
use crate::model::{CommitId, ContentHash, Revision};

const MAIN: &str = "refs/heads/main";
const BEGIN: &str = "refs/convoy/begin/";
const END: &str = "refs/convoy/end/";
const TAKEN: &str = "refs/convoy/taken/";

const HEADER: &str = "# pack-refs with: peeled fully-peeled sorted ";
const SUM: &str = "convoy-sum:";

/// The refs that say which revisions there are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Refs {
    pub(crate) main: Option<CommitId>,
    /// First commits of segments by their revision.
    pub(crate) begins: BTreeMap<u64, CommitId>,
    /// Last commits of replaced segments by their revision.
    pub(crate) ends: BTreeMap<u64, CommitId>,
    /// Last commits of runs of revisions that were taken over, by the first
    /// and last revision of each.
    taken: BTreeMap<(u64, u64), CommitId>,
    /// Lines that are not ours.
    others: BTreeMap<String, String>,
}

impl Refs {
    /// Reads the refs of the Git folder `git_dir`.
    pub(crate) fn read(files: &dyn Files, git_dir: &Path) -> io::Result<Self> {
        match files.read(&git_dir.join("packed-refs")) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                check_sum(&text).map_err(|why| {
                    let path = git_dir.join("packed-refs");
                    let path = path.display();
                    io::Error::other(format!("`{path}` {why}; restore it from a backup"))
                })?;
                Ok(Self::parse(&text))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Self {
        let mut refs = Self::default();
        let mut last = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            // A line `^id` tells what the annotated tag before it points to.
            if line.starts_with('^') {
                if let Some(other) = last.as_ref().and_then(|name| refs.others.get_mut(name)) {
                    other.push('\n');
                    other.push_str(line);
                }
                continue;
            }
            let Some((id, name)) = line.split_once(' ') else { continue };
            last = None;
            let commit = id.parse().ok();
            let numbered = |prefix| name.strip_prefix(prefix).and_then(|n: &str| n.parse().ok());
            match (commit, numbered(BEGIN), numbered(END)) {
                (Some(commit), ..) if name == MAIN => refs.main = Some(commit),
                (Some(commit), ..) if run_of(name).is_some() => {
                    refs.taken.extend(run_of(name).map(|run| (run, commit)));
                }
                (Some(commit), Some(revision), _) => {
                    refs.begins.insert(revision, commit);
                }
                (Some(commit), _, Some(revision)) => {
                    refs.ends.insert(revision, commit);
                }
                _ => {
                    refs.others.insert(name.into(), line.into());
                    last = Some(name.to_owned());
                }
            }
        }
        refs
    }

    /// The refs that `line` asks for, and the others as they are.
    pub(crate) fn of(line: &Line, others: Self) -> Self {
        let mut refs = Self { main: line.head().commit, ..Self::default() };
        refs.others = others.others;
        for begin in line.begins() {
            let mut mark = |marks: fn(&mut Self) -> &mut BTreeMap<u64, CommitId>, at: u64| {
                if let Some(commit) = line.commit(Revision(at)) {
                    marks(&mut refs).insert(at, commit);
                }
            };
            mark(|refs| &mut refs.begins, *begin);
            if *begin > 1 {
                mark(|refs| &mut refs.ends, *begin - 1);
            }
        }
        let taken = line.taken().iter();
        refs.taken.extend(taken.filter_map(|run| Some((*run, line.commit(Revision(run.1))?))));
        refs
    }

    /// The line of these commits, one for each revision.
    pub(crate) fn line(&self, commits: Vec<CommitId>) -> Line {
        let begins = self.begins.keys().copied().collect();
        Line::new(commits, begins).with_taken(self.taken.keys().copied().collect())
    }

    /// Writes the refs durably.
    pub(crate) fn write(&self, files: &dyn Files, git_dir: &Path) -> io::Result<()> {
        files::replace(files, &git_dir.join("packed-refs"), self.text().as_bytes())
    }

    /// The refs as Git writes them: sorted by name.
    pub(crate) fn text(&self) -> String {
        let mut lines = self.others.clone();
        let mut put = |name: String, id: &CommitId| {
            let line = format!("{id} {name}");
            lines.insert(name, line);
        };
        if let Some(main) = &self.main {
            put(MAIN.into(), main);
        }
        self.begins.iter().for_each(|(revision, id)| put(format!("{BEGIN}{revision}"), id));
        self.ends.iter().for_each(|(revision, id)| put(format!("{END}{revision}"), id));
        let runs = self.taken.iter();
        runs.for_each(|((first, last), id)| put(format!("{TAKEN}{first}-{last}"), id));
        let mut text = String::new();
        for line in lines.values() {
            text.push_str(line);
            text.push('\n');
        }
        format!("{HEADER}{SUM}{} \n{text}", ContentHash::of(text.as_bytes()).short())
    }
}

/// The revisions that a ref says were taken over.
fn run_of(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_prefix(TAKEN)?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn check_sum(text: &str) -> Result<(), &'static str> {
    let Some((header, lines)) = text.split_once('\n').filter(|(_, lines)| !lines.is_empty()) else {
        return Ok(());
    };
    match header.strip_prefix(HEADER).map(str::trim_end) {
        // A file that Git rewrote has a header of its own.
        None if header.contains("convoy") => Err("has a damaged first line"),
        None | Some("") => Ok(()),
        Some(sum) => match sum.strip_prefix(SUM) {
            Some(sum) if sum == ContentHash::of(lines.as_bytes()).short() => Ok(()),
            _ => Err("is damaged: its sum does not fit its lines"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_round_trip_and_keep_what_others_put_there() {
        let id = |n: u8| CommitId([n; 20]);
        let line = Line::new(vec![id(1), id(2), id(1)], vec![1, 3]);
        let tag = format!("{} refs/tags/v1\n^{}\n", id(8), id(9));
        let refs = Refs::of(&line, Refs::parse(&tag));
        assert_eq!(refs.begins, BTreeMap::from([(1, id(1)), (3, id(1))]));
        assert_eq!(refs.ends, BTreeMap::from([(2, id(2))]));
        assert_eq!(Refs::parse(&refs.text()), refs);
        let line = line.with_taken(vec![(1, 1), (3, 3)]);
        let marked = Refs::of(&line, refs.clone());
        assert_eq!(Refs::parse(&marked.text()), marked);
        assert_eq!(marked.line(line.commits().to_vec()).taken(), [(1, 1), (3, 3)]);
        assert!(refs.text().ends_with(&tag), "{}", refs.text());
    }

    #[test]
    fn any_flipped_bit_is_noticed_and_git_may_rewrite_the_file() {
        let line = Line::new(vec![CommitId([1; 20]), CommitId([2; 20])], vec![1]);
        let text = Refs::of(&line, Refs::default()).text();
        assert_eq!(check_sum(&text), Ok(()));
        for at in 0..text.len() {
            let mut bad = text.clone().into_bytes();
            bad[at] ^= 1;
            let bad = String::from_utf8_lossy(&bad).into_owned();
            // The space at the end of the header is nobody's.
            let is_same = bad.lines().skip(1).eq(text.lines().skip(1))
                && Refs::parse(&bad) == Refs::parse(&text);
            assert!(check_sum(&bad).is_err() || is_same, "byte {at}: {bad}");
        }
        let rewritten = "# pack-refs with: peeled fully-peeled sorted \n1 refs/heads/main\n";
        assert_eq!(check_sum(rewritten), Ok(()));
    }
}
