//! Which writes get a record, and what becomes of those that there is no room
//! for.

use super::{Write, Writer, lay_out};
use crate::store::Head;
use crate::store::error::StoreError;

/// Writes that get a record, and those that wait for the record of another
/// that makes the same repository.
pub(super) struct Admitted {
    pub(super) writes: Vec<Write>,
    pub(super) twins: Vec<Write>,
}

impl Writer {
    /// Answers those that need no record, or can't have one; the others get
    /// the numbers from `number` on. A repository's folder is made before its
    /// record, as far as that takes room.
    pub(super) fn admit(&mut self, given: Vec<Write>, number: u64) -> Admitted {
        let (mut writes, mut twins) = (Vec::<Write>::with_capacity(given.len()), Vec::new());
        for write in given {
            if let Some(repo) = &write.repo {
                if repo.generation() == write.generation {
                    writes.push(write);
                } else {
                    write.answer(Err(StoreError::Full));
                }
                continue;
            }
            let name = &write.record.repo;
            let is_made = |other: &Write| other.repo.is_none() && other.record.repo == *name;
            if self.shared.repository(name).is_ok() {
                write.answer(Ok(Head::default()));
                continue;
            }
            if writes.iter().any(is_made) {
                twins.push(write);
                continue;
            }
            match lay_out(&self.shared, name, number + writes.len() as u64) {
                Ok(()) => writes.push(write),
                Err(StoreError::Full) => write.answer(Err(StoreError::Full)),
                Err(error) => {
                    self.halt(&error);
                    write.answer(Err(StoreError::Halted));
                }
            }
        }
        Admitted { writes, twins }
    }

    /// Answers writes for which there was no room, and gives up what was
    /// prepared on top of them.
    pub(super) fn refuse(&mut self, writes: Vec<Write>) {
        tracing::warn!(
            writes = writes.len(),
            "the disk is full; writes are refused until it isn't"
        );
        for write in writes {
            if let Some(repo) = &write.repo
                && repo.generation() == write.generation
            {
                let lent = self.pending.get(&repo.name).map_or(&[][..], |p| &p.objects);
                repo.give_up_prepared(lent);
                repo.set_gone(false);
            }
            write.answer(Err(StoreError::Full));
        }
    }
}
