//! An SSH key and its pinned host keys as files, for as long as a run takes.
//!
//! `ssh` reads keys from files only, and insists on their last line's end and
//! on a mode that lets nobody else read them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::{MirrorError, SshKey, quarantine};
use crate::model::Secret;

/// The files; removed on drop.
#[derive(Debug)]
pub struct KeyFolder {
    /// Where they are.
    pub key: SshKey,
    _dir: TempDir,
}

/// Writes a private key and the pinned host keys into a new folder under
/// `work_dir` that only we may read.
///
/// # Errors
/// [`MirrorError::Failed`] where the disk fails.
pub fn ssh_key(
    work_dir: &Path,
    secret: &Secret,
    known_hosts: &str,
) -> Result<KeyFolder, MirrorError> {
    let failed = |error| MirrorError::failed("the SSH key could not be handed to ssh", error);
    fs::create_dir_all(work_dir).map_err(failed)?;
    let dir =
        tempfile::Builder::new().prefix(quarantine::KEY).tempdir_in(work_dir).map_err(failed)?;
    let key = SshKey { key_file: dir.path().join("key"), known_hosts: dir.path().join("hosts") };
    write(&key.key_file, secret.expose()).map_err(failed)?;
    write(&key.known_hosts, known_hosts.trim()).map_err(failed)?;
    Ok(KeyFolder { key, _dir: dir })
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // Keys that were copied from a Windows clipboard are keys too.
    file.write_all(text.replace("\r\n", "\n").as_bytes())?;
    file.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_we_can_read_the_key_and_it_goes_with_the_run() {
        use std::os::unix::fs::PermissionsExt as _;
        let work = tempfile::tempdir().unwrap();
        let folder = ssh_key(work.path(), &Secret::new("KEY\r\nEND"), "host key\n\n").unwrap();
        let key = folder.key.clone();
        assert_eq!(fs::read_to_string(&key.key_file).unwrap(), "KEY\nEND\n");
        assert_eq!(fs::read_to_string(&key.known_hosts).unwrap(), "host key\n");
        assert_eq!(fs::metadata(&key.key_file).unwrap().permissions().mode() & 0o777, 0o600);
        drop(folder);
        assert!(!key.key_file.exists());
    }
}
