//! The entries of a tree object, read where they lie: no entry is copied, so
//! that finding one name in a folder of ten thousand costs one pass over its
//! bytes. Writing trees is `edit`'s and `object`'s.

use super::error::StoreError;
use super::object::{Mode, Oid};

/// One entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot<'t> {
    pub(crate) mode: Mode,
    pub(crate) name: &'t [u8],
    pub(crate) id: Oid,
}

/// What a name in a folder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) mode: Mode,
    pub(crate) id: Oid,
}

impl<'t> Slot<'t> {
    /// What the name stands for.
    pub(crate) fn leaf(&self) -> Leaf {
        Leaf { mode: self.mode, id: self.id }
    }

    /// Git's order of names: a folder's as if it ended in a slash.
    pub(crate) fn order(&self) -> impl Iterator<Item = u8> + use<'t> {
        let ending = if self.mode == Mode::Folder { b'/' } else { 0 };
        self.name.iter().copied().chain([ending])
    }
}

/// Goes through a tree's entries in the order in which they are stored.
#[derive(Debug, Clone)]
pub(crate) struct Entries<'t> {
    /// What was not read yet.
    pub(crate) rest: &'t [u8],
}

impl<'t> Entries<'t> {
    /// The entries of a tree object's bytes.
    pub(crate) fn of(data: &'t [u8]) -> Self {
        Self { rest: data }
    }

    /// The next entry; `None` at the end.
    pub(crate) fn step(&mut self) -> Result<Option<Slot<'t>>, StoreError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (octal, name, id, rest) = split(self.rest).ok_or_else(malformed)?;
        let mode = Mode::parse(octal).ok_or_else(malformed)?;
        self.rest = rest;
        Ok(Some(Slot { mode, name, id: *id }))
    }
}

/// What `name` stands for in a tree. Trees that were made elsewhere may be
/// out of order, so that only the end of the tree proves that it has none.
pub(crate) fn find(data: &[u8], name: &[u8]) -> Result<Option<Leaf>, StoreError> {
    let mut rest = data;
    while !rest.is_empty() {
        let (octal, found, id, after) = split(rest).ok_or_else(malformed)?;
        if found == name {
            let mode = Mode::parse(octal).ok_or_else(malformed)?;
            return Ok(Some(Leaf { mode, id: *id }));
        }
        rest = after;
    }
    Ok(None)
}

type Parts<'t> = (&'t [u8], &'t [u8], &'t Oid, &'t [u8]);

/// Mode, name, id, and what follows.
fn split(data: &[u8]) -> Option<Parts<'_>> {
    let space = data.iter().position(|byte| *byte == b' ')?;
    let rest = &data[space + 1..];
    let nul = rest.iter().position(|byte| *byte == 0)?;
    let (id, after) = rest[nul + 1..].split_first_chunk::<20>()?;
    Some((&data[..space], &rest[..nul], id, after))
}

fn malformed() -> StoreError {
    StoreError::damaged("reading a tree object", "an entry is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::object::{Entry, encode_tree, parse_tree};

    #[test]
    fn entries_are_those_of_the_whole_tree() {
        let entry = |n: u8, mode| Entry { mode, name: vec![b'a' + n, b'x'], id: [n; 20] };
        let modes = [Mode::File, Mode::Folder, Mode::Executable, Mode::Symlink, Mode::Submodule];
        let data = encode_tree((0..).zip(modes).map(|(n, mode)| entry(n, mode)).collect());
        let mut entries = Entries::of(&data);
        for expect in parse_tree(&data).unwrap() {
            let slot = entries.step().unwrap().unwrap();
            assert_eq!(
                (slot.name, slot.leaf()),
                (&*expect.name, Leaf { mode: expect.mode, id: expect.id })
            );
            assert_eq!(find(&data, &expect.name).unwrap(), Some(slot.leaf()));
        }
        assert_eq!(entries.step().unwrap(), None);
        assert_eq!(find(&data, b"a").unwrap(), None);
    }

    #[test]
    fn a_malformed_tree_is_an_error() {
        for bad in [&b"100644 a\0short"[..], b"nonsense", b"9 a\0aaaaaaaaaaaaaaaaaaaa"] {
            assert!(Entries::of(bad).step().is_err());
            assert!(find(bad, b"a").is_err());
        }
    }
}
