//! Reads the files that hold secrets. What they hold is never logged, shown,
//! or part of an error.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::ConfigError;
use crate::model::Secret;

/// The longest secret, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Reads one secret; white space around it is dropped.
///
/// # Errors
/// The file can't be read, is empty, too long, or readable by everybody.
pub fn read(path: &Path) -> Result<Secret, ConfigError> {
    let place = path.display().to_string();
    let fail = |error: std::io::Error| ConfigError::at(&place, format!("can't be read: {error}"));
    let about = std::fs::metadata(path).map_err(fail)?;
    if about.permissions().mode() & 0o007 != 0 {
        return Err(ConfigError::at(&place, "this secret is open to every user of the machine")
            .with_hint(format!("chmod 600 {place}")));
    }
    if about.len() > SECRET_BYTES_MAX {
        return Err(ConfigError::at(&place, "this is too long for a secret"));
    }
    let text = std::fs::read_to_string(path).map_err(fail)?;
    match text.trim() {
        "" => Err(ConfigError::at(&place, "the file is empty")),
        secret => Ok(Secret::new(secret)),
    }
}
