//! Git's objects as bytes: ids, commits and trees, read and written.
//!
//! Written by hand rather than through gix's object types: what a mirror
//! brings in may be malformed in ways that a person must still be shown, and
//! reading leniently is a few lines.

use bytes::Bytes;
use jiff::Timestamp;

use super::error::{StoreError, failed};
use crate::model::CommitId;

/// Git's name of an object of any kind.
pub(crate) type Oid = [u8; 20];

/// The kinds of objects that the store writes, by their number in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Commit = 1,
    Tree = 2,
    Blob = 3,
    Tag = 4,
}

impl Kind {
    /// The kind of that number in a pack; `None` for deltas.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        [Self::Commit, Self::Tree, Self::Blob, Self::Tag]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }

    fn to_git(self) -> gix::objs::Kind {
        match self {
            Self::Commit => gix::objs::Kind::Commit,
            Self::Tree => gix::objs::Kind::Tree,
            Self::Blob => gix::objs::Kind::Blob,
            Self::Tag => gix::objs::Kind::Tag,
        }
    }
}

impl From<gix::objs::Kind> for Kind {
    fn from(kind: gix::objs::Kind) -> Self {
        match kind {
            gix::objs::Kind::Commit => Self::Commit,
            gix::objs::Kind::Tree => Self::Tree,
            gix::objs::Kind::Blob => Self::Blob,
            gix::objs::Kind::Tag => Self::Tag,
        }
    }
}

/// An object in memory.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) data: Bytes,
}

/// Objects on their way into a repository.
pub(crate) type Objects = Vec<(Oid, Object)>;

impl Object {
    /// The object's name.
    pub(crate) fn id(&self) -> Result<Oid, StoreError> {
        gix::objs::compute_hash(gix::hash::Kind::Sha1, self.kind.to_git(), &self.data)
            .map(|id| oid(&id))
            .map_err(|error| StoreError::damaged("hashing an object", error))
    }
}

/// The bytes of one of gix's ids.
pub(crate) fn oid(id: &gix::oid) -> Oid {
    let mut bytes = Oid::default();
    bytes.copy_from_slice(&id.as_bytes()[..20]);
    bytes
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Folder,
    File,
    Executable,
    Symlink,
    Submodule,
}

impl Mode {
    /// The kind of an entry by its mode, as Git writes it or wrote it once.
    pub(crate) fn parse(octal: &[u8]) -> Option<Self> {
        match octal {
            b"100644" => return Some(Self::File),
            b"40000" => return Some(Self::Folder),
            _ => {}
        }
        let value = u32::from_str_radix(std::str::from_utf8(octal).ok()?, 8).ok()?;
        match value & 0o170_000 {
            0o040_000 => Some(Self::Folder),
            0o100_000 if value & 0o100 != 0 => Some(Self::Executable),
            0o100_000 => Some(Self::File),
            0o120_000 => Some(Self::Symlink),
            0o160_000 => Some(Self::Submodule),
            _ => None,
        }
    }

    /// The mode as a tree says it.
    pub(crate) fn octal(self) -> &'static str {
        match self {
            Self::Folder => "40000",
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Submodule => "160000",
        }
    }

    /// Whether it is a file with content of its own.
    pub(crate) fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Executable)
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: Mode,
    pub(crate) name: Vec<u8>,
    pub(crate) id: Oid,
}

/// Reads a tree object.
pub(crate) fn parse_tree(data: &[u8]) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (entry, after) = parse_entry(rest)
            .ok_or_else(|| StoreError::damaged("reading a tree object", "an entry is malformed"))?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

fn parse_entry(data: &[u8]) -> Option<(Entry, &[u8])> {
    let space = data.iter().position(|byte| *byte == b' ')?;
    let mode = Mode::parse(&data[..space])?;
    let rest = &data[space + 1..];
    let nul = rest.iter().position(|byte| *byte == 0)?;
    let (name, rest) = (rest[..nul].to_vec(), &rest[nul + 1..]);
    let (id, rest) = rest.split_first_chunk::<20>()?;
    Some((Entry { mode, name, id: *id }, rest))
}

/// Writes a tree object, sorting the entries as Git wants them: folders as if
/// their names ended in a slash.
#[cfg(test)]
pub(crate) fn encode_tree(mut entries: Vec<Entry>) -> Bytes {
    let key = |entry: &Entry| {
        let mut key = entry.name.clone();
        if entry.mode == Mode::Folder {
            key.push(b'/');
        }
        key
    };
    entries.sort_by_cached_key(key);
    let mut data = Vec::with_capacity(entries.len() * 48);
    for entry in entries {
        data.extend_from_slice(entry.mode.octal().as_bytes());
        data.push(b' ');
        data.extend_from_slice(&entry.name);
        data.push(0);
        data.extend_from_slice(&entry.id);
    }
    data.into()
}

/// Who stands in a commit, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Signature {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) time: Timestamp,
}

/// A commit object, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Commit {
    pub(crate) tree: Oid,
    pub(crate) parents: Vec<CommitId>,
    pub(crate) author: Signature,
    pub(crate) committer: Signature,
    /// Headers of our own, behind `committer`: a name and one line each.
    pub(crate) extra: Vec<(String, String)>,
    pub(crate) message: String,
}

/// The header with who made a commit here and by which way, as JSON.
pub(crate) const ORIGIN: &str = "convoy-origin";
/// The header with how the message's body is marked up, where it is.
pub(crate) const MARKUP: &str = "convoy-markup";

/// Reads a commit object. Odd signatures come out as well as they can; a
/// commit without a tree is refused.
pub(crate) fn parse_commit(data: &[u8]) -> Result<Commit, StoreError> {
    let damaged = |why: &str| StoreError::damaged("reading a commit object", why);
    let split = data.windows(2).position(|pair| pair == b"\n\n");
    let (headers, message) = split.map_or((data, &b""[..]), |at| (&data[..at], &data[at + 2..]));
    let mut tree = None;
    let mut commit =
        Commit { message: String::from_utf8_lossy(message).into_owned(), ..Commit::default() };
    for line in headers.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        match line.split_once(' ') {
            Some(("tree", id)) => tree = id.parse::<CommitId>().ok(),
            Some(("parent", id)) => {
                commit.parents.push(id.parse().map_err(failed("reading a commit object"))?);
            }
            Some(("author", who)) => commit.author = parse_signature(who),
            Some(("committer", who)) => commit.committer = parse_signature(who),
            Some((name @ (ORIGIN | MARKUP), text)) => {
                commit.extra.push((name.to_owned(), text.to_owned()));
            }
            _ => {}
        }
    }
    commit.tree = tree.ok_or_else(|| damaged("it names no tree"))?.0;
    Ok(commit)
}

/// The root tree of a commit object: its first line, read without the rest.
pub(crate) fn tree_of(data: &[u8]) -> Result<Oid, StoreError> {
    let id = data.strip_prefix(b"tree ").and_then(|rest| rest.get(..40));
    let id = id.and_then(|id| std::str::from_utf8(id).ok()?.parse::<CommitId>().ok());
    match id {
        Some(id) => Ok(id.0),
        None => Ok(parse_commit(data)?.tree),
    }
}

fn parse_signature(text: &str) -> Signature {
    let (who, when) = text.rsplit_once('>').unwrap_or((text, ""));
    let (name, email) = who.split_once('<').unwrap_or((who, ""));
    let seconds = when.split_whitespace().next().and_then(|word| word.parse::<i64>().ok());
    Signature {
        name: name.trim().into(),
        email: email.trim().into(),
        time: seconds.and_then(|at| Timestamp::from_second(at).ok()).unwrap_or_default(),
    }
}

/// Writes a commit object.
pub(crate) fn encode_commit(commit: &Commit) -> Bytes {
    use std::fmt::Write as _;
    let mut text = format!("tree {}\n", CommitId(commit.tree));
    for parent in &commit.parents {
        let _ = writeln!(text, "parent {parent}");
    }
    for (role, who) in [("author", &commit.author), ("committer", &commit.committer)] {
        let at = who.time.as_second();
        let _ = writeln!(text, "{role} {} <{}> {at} +0000", clean(&who.name), clean(&who.email));
    }
    for (name, line) in &commit.extra {
        let _ = writeln!(text, "{name} {}", line.replace(['\n', '\0'], " "));
    }
    let _ = write!(text, "\n{}", commit.message);
    text.into_bytes().into()
}

/// Drops what would break out of a signature line, as Git itself does.
fn clean(text: &str) -> String {
    let kept: String =
        text.chars().filter(|c| !matches!(c, '<' | '>') && !c.is_control()).collect();
    let kept = kept.trim();
    if kept.is_empty() { "unknown".into() } else { kept.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_sorted_as_git_sorts_them() {
        let entry = |name: &str, mode| Entry { mode, name: name.into(), id: [7; 20] };
        let given =
            vec![entry("a0", Mode::File), entry("a", Mode::Folder), entry("a.b", Mode::Executable)];
        let read = parse_tree(&encode_tree(given)).unwrap();
        let names: Vec<_> =
            read.iter().map(|e| String::from_utf8_lossy(&e.name).into_owned()).collect();
        assert_eq!(names, ["a.b", "a", "a0"]);
        assert_eq!(read[0].mode, Mode::Executable);
    }

    #[test]
    fn the_empty_tree_has_the_name_git_gives_it() {
        let tree = Object { kind: Kind::Tree, data: encode_tree(Vec::new()) };
        let id = CommitId(tree.id().unwrap());
        assert_eq!(id.to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }

    #[test]
    fn commits_round_trip_and_names_cannot_break_out_of_their_line() {
        let who = |name: &str| Signature {
            name: name.into(),
            email: "a@example.com".into(),
            time: Timestamp::from_second(1_700_000_000).unwrap(),
        };
        let commit = Commit {
            tree: [1; 20],
            parents: vec![CommitId([2; 20])],
            author: who("Ada"),
            committer: who("Grace"),
            extra: vec![
                (ORIGIN.into(), r#"{"name":"ü"}"#.into()),
                (MARKUP.into(), "MARKDOWN".into()),
            ],
            message: "one\n\ntwo\n\nthree".into(),
        };
        assert_eq!(parse_commit(&encode_commit(&commit)).unwrap(), commit);
        let sly = Commit { author: who("x>\nparent <y"), ..commit };
        let read = parse_commit(&encode_commit(&sly)).unwrap();
        assert_eq!(read.author.name, "xparent y");
        assert_eq!(read.parents.len(), 1);
    }

    #[test]
    fn malformed_objects_are_errors_not_panics() {
        assert!(parse_tree(b"100644 a\0short").is_err());
        assert!(parse_tree(b"nonsense").is_err());
        assert!(parse_commit(b"author x <y> 1 +0000\n\nhello").is_err());
        assert!(parse_commit(b"").is_err());
    }
}
