//! What is kept of a run: logs, configuration and numbers, addressed by hash,
//! with a bound on all of it and without secrets.
//!
//! The oldest go first when there is too much; a result whose evidence is
//! gone stands as it did. Called by the runner, which alone writes here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Cell, ContentHash, Outcome};

/// All evidence together, on disk.
const MAX_FOLDER_BYTES: u64 = 256 << 20;
/// One file of a run.
const MAX_FILE_BYTES: usize = 4 << 20;
/// What is read back of one run.
const MAX_READ_BYTES: u64 = 256 << 20;
/// What stands where a secret was.
const REDACTED: &str = "[redacted]";
/// Fields of Envoy's messages that hold secrets, at any depth.
const SECRET_FIELDS: [&str; 9] = [
    "private_key",
    "password",
    "pkcs12",
    "session_ticket_keys",
    "generic_secret",
    "token_secret",
    "hmac_secret",
    "client_secret",
    "shared_secret",
];
/// A shorter one would be found everywhere.
const MIN_SECRET_CHARS: usize = 8;

/// What a run left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Of which cell.
    pub cell: Cell,
    /// What it came to.
    pub outcome: Outcome,
    /// Why.
    pub reasons: Vec<String>,
    /// By node group, by file name: the text.
    pub groups: BTreeMap<String, BTreeMap<String, String>>,
}

/// The folder of evidence.
#[derive(Debug, Clone)]
pub(super) struct Shelf(PathBuf);

impl Shelf {
    /// The shelf in `folder`, made when something is put there.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Puts it there and gives its name.
    ///
    /// # Errors
    /// The folder can't be written.
    pub(super) fn keep(&self, evidence: &Evidence) -> io::Result<ContentHash> {
        fs::create_dir_all(&self.0)?;
        let bytes = serde_json::to_vec(evidence).map_err(io::Error::other)?;
        let hash = ContentHash::of(&bytes);
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        let mut encoder = GzEncoder::new(&mut file, Compression::fast());
        encoder.write_all(&bytes)?;
        encoder.finish()?;
        file.persist(self.path(hash)).map_err(|error| error.error)?;
        self.prune(MAX_FOLDER_BYTES);
        Ok(hash)
    }

    /// Reads it back, where it still is and is what its name says.
    pub(super) fn read(&self, hash: ContentHash) -> Option<Evidence> {
        let file = fs::File::open(self.path(hash)).ok()?;
        let mut bytes = Vec::new();
        GzDecoder::new(file).take(MAX_READ_BYTES).read_to_end(&mut bytes).ok()?;
        if ContentHash::of(&bytes) != hash {
            tracing::warn!(%hash, "evidence is not what its name says; it is left out");
            return None;
        }
        serde_json::from_slice(&bytes).ok()
    }

    fn path(&self, hash: ContentHash) -> PathBuf {
        self.0.join(format!("{hash}.json.gz"))
    }

    fn prune(&self, most: u64) {
        let mut files = files(&self.0);
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total <= most {
                return;
            }
            if fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
    }
}

fn files(folder: &Path) -> Vec<(SystemTime, u64, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let file = |entry: fs::DirEntry| {
        let found = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((found.modified().ok()?, found.len(), entry.path()))
    };
    entries.filter_map(file).collect()
}

/// Takes secrets out of what is kept.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    known: Vec<String>,
}

impl Redactor {
    /// One that knows these secrets, and those that have a secret's form.
    pub(super) fn new(known: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = Vec::new();
        for secret in known {
            // As JSON has it, and each line as a log may.
            secrets.extend(secret.lines().map(str::to_owned));
        }
        secrets.retain(|one| one.chars().count() >= MIN_SECRET_CHARS && !one.starts_with("-----"));
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { known: secrets }
    }

    /// A text without secrets, cut where it is too long.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = without_keys(text);
        for secret in &self.known {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REDACTED);
            }
        }
        shorten(text)
    }

    /// The same for JSON, where fields say what they hold.
    pub(super) fn json(&self, bytes: &[u8]) -> String {
        let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
            return self.text(&String::from_utf8_lossy(bytes));
        };
        blank(&mut value);
        self.text(&serde_json::to_string_pretty(&value).unwrap_or_default())
    }
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match SECRET_FIELDS.contains(&name.as_str()) && !inner.is_null() {
                    true => *inner = REDACTED.into(),
                    false => blank(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

/// Cuts private keys out, in whatever the text around them is.
fn without_keys(text: &str) -> String {
    const END: &str = "PRIVATE KEY-----";
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, begin)) = next_key(rest) {
        kept.push_str(before);
        kept.push_str(REDACTED);
        // The first end closes the heading, the second the key.
        let body = begin.split_once(END).map_or("", |(_, body)| body);
        rest = body.split_once(END).map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

fn next_key(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("-----BEGIN ") {
        let at = from + found;
        let heading: String = text[at..].chars().take(64).collect();
        if heading.contains("PRIVATE KEY-----") {
            return Some((&text[..at], &text[at..]));
        }
        from = at + "-----BEGIN ".len();
    }
    None
}

fn shorten(mut text: String) -> String {
    if text.len() > MAX_FILE_BYTES {
        let mut end = MAX_FILE_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let left_out = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("\n… {left_out} bytes are left out here\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----";

    fn evidence(text: &str) -> Evidence {
        let files = BTreeMap::from([("envoy.log".to_owned(), text.to_owned())]);
        Evidence {
            cell: Cell { stage: "beta".parse().unwrap(), version: "1.40.0".into() },
            outcome: Outcome::Passed,
            reasons: Vec::new(),
            groups: BTreeMap::from([("default".to_owned(), files)]),
        }
    }

    #[test]
    fn what_is_kept_is_read_back_by_its_hash_and_not_when_it_was_changed() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path().join("evidence"));
        let kept = evidence("hello");
        let hash = shelf.keep(&kept).unwrap();
        assert_eq!(shelf.read(hash), Some(kept));
        assert_eq!(shelf.read(ContentHash::of(b"other")), None);
        let other = shelf.keep(&evidence("other")).unwrap();
        fs::copy(shelf.path(other), shelf.path(hash)).unwrap();
        assert_eq!(shelf.read(hash), None);
    }

    #[test]
    fn the_oldest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path().into());
        let mut kept = Vec::new();
        for (age, text) in ["a", "b", "c"].into_iter().enumerate() {
            let hash = shelf.keep(&evidence(text)).unwrap();
            let file = fs::File::options().write(true).open(shelf.path(hash)).unwrap();
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age as u64);
            file.set_modified(at).unwrap();
            kept.push(hash);
        }
        shelf.prune(files(dir.path()).iter().map(|(_, size, _)| size).sum::<u64>() - 1);
        let there: Vec<_> = kept.iter().map(|hash| shelf.read(*hash).is_some()).collect();
        assert_eq!(there, [false, true, true]);
    }

    #[test]
    fn no_secret_is_kept() {
        let redactor = Redactor::new(["hunter2-hunter2".to_owned(), "short".to_owned()]);
        let told = redactor.text(&format!("a {KEY} b hunter2-hunter2 c short"));
        assert_eq!(told, "a [redacted] b [redacted] c short");
        let json = serde_json::json!({
            "tls": {"private_key": {"inline_string": "x"}, "certificate_chain": {"inline_string": "y"}},
            "other": [KEY],
        });
        let told = redactor.json(json.to_string().as_bytes());
        assert!(!told.contains("c2VjcmV0") && !told.contains("\"x\""), "{told}");
        assert!(told.contains("\"y\""), "{told}");
    }

    #[test]
    fn a_key_that_never_ends_is_cut_to_the_end() {
        assert_eq!(without_keys("a -----BEGIN PRIVATE KEY-----\nabc"), "a [redacted]");
        assert_eq!(without_keys("-----BEGIN CERTIFICATE-----"), "-----BEGIN CERTIFICATE-----");
    }
}
