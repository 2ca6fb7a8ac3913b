//! What was fetched of a branch's head last time, so that the next fetch
//! brings only what differs. It may be deleted at any time, and is, as soon as
//! it could be to blame for something.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::quarantine;
use crate::model::CommitId;

/// With more packs it is begun anew: old files are in there that nobody needs.
const PACKS_MAX: usize = 24;

/// The folder of one mirror's branch.
#[derive(Debug, Clone)]
pub(super) struct Tip {
    git_dir: PathBuf,
}

impl Tip {
    /// The folder, cleaned if it grew too much.
    pub(super) fn open(git_dir: &Path) -> Self {
        let tip = Self { git_dir: git_dir.to_path_buf() };
        let is_pack = |entry: &io::Result<fs::DirEntry>| {
            entry.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().ends_with(".pack"))
        };
        let packs = fs::read_dir(tip.packs()).map_or(0, |files| files.filter(is_pack).count());
        if packs > PACKS_MAX {
            tip.forget();
        }
        tip
    }

    pub(super) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The commit that is whole in here.
    pub(super) fn commit(&self) -> Option<CommitId> {
        fs::read_to_string(self.git_dir.join("tip")).ok()?.trim().parse().ok()
    }

    /// Tells a quarantine folder where history was cut off.
    pub(super) fn lend(&self, quarantine: &Path) -> io::Result<()> {
        match fs::copy(self.git_dir.join("shallow"), quarantine.join("shallow")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes over what a quarantine folder received, which borrows it from
    /// here from then on. The commit is noted last: without it, nothing
    /// counts.
    pub(super) fn adopt(&self, quarantine: &Path, commit: CommitId) -> io::Result<()> {
        fs::create_dir_all(self.packs())?;
        let _ = fs::remove_file(self.git_dir.join("tip"));
        let mut names = Vec::new();
        for entry in fs::read_dir(quarantine::objects(quarantine).join("pack"))? {
            names.push(entry?.file_name());
        }
        // An index whose pack is not there yet would mislead a reader.
        names.sort_by_key(|name| name.to_string_lossy().ends_with(".idx"));
        for name in names {
            let from = quarantine::objects(quarantine).join("pack").join(&name);
            fs::hard_link(&from, self.packs().join(&name)).or_else(exists)?;
        }
        if quarantine.join("shallow").exists() {
            fs::copy(quarantine.join("shallow"), self.git_dir.join("shallow"))?;
        }
        fs::write(self.git_dir.join("tip"), format!("{commit}\n"))
    }

    /// Deletes it.
    pub(super) fn forget(&self) {
        if let Err(error) = fs::remove_dir_all(&self.git_dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.git_dir.display(), %error, "a cache can't be deleted");
        }
    }

    fn packs(&self) -> PathBuf {
        quarantine::objects(&self.git_dir).join("pack")
    }
}

/// The same pack has the same name.
fn exists(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}
