//! A config repository as a folder on disk, read as the store would read it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Failure;
use crate::model::{FilePath, Place, Problem, SourceTree};
use crate::store::StoreOptions;

/// A folder's files, and what was left out of them by rule.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) tree: SourceTree,
    pub(super) skipped: Vec<Problem>,
}

/// Reads `dir`, leaving out `.git`.
pub(super) fn read(dir: &Path) -> Result<Folder, Failure> {
    if !dir.is_dir() {
        let message = format!("`{}` is no folder", dir.display());
        return Err(Failure::new(Failure::NOT_FOUND, message)
            .with_hint("name the folder that holds convoy.yaml"));
    }
    let mut folder = Folder::default();
    walk(dir, "", &StoreOptions::default(), &mut folder)?;
    Ok(folder)
}

fn walk(
    dir: &Path,
    prefix: &str,
    limits: &StoreOptions,
    folder: &mut Folder,
) -> Result<(), Failure> {
    let fail = |error: std::io::Error| {
        Failure::new(Failure::FAILED, format!("`{}` can't be read: {error}", dir.display()))
    };
    let mut entries: Vec<_> =
        std::fs::read_dir(dir).map_err(fail)?.collect::<Result<_, _>>().map_err(fail)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(fail)?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            let shown = entry.file_name().to_string_lossy().into_owned();
            let place = place_of(prefix, &shown.replace('\u{fffd}', "?"));
            skip(folder, place, "skipped-name", "its name is not UTF-8", "rename it");
            continue;
        };
        if name == ".git" {
            continue;
        }
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if kind.is_symlink() {
            let hint = "commit a copy, or use an include";
            let place = place_of(prefix, &name);
            skip(folder, place, "skipped-symlink", "symbolic links are not followed", hint);
        } else if kind.is_dir() {
            walk(&entry.path(), &path, limits, folder)?;
        } else {
            file(&entry.path(), &path, limits, folder)?;
        }
    }
    Ok(())
}

fn file(
    on_disk: &Path,
    path: &str,
    limits: &StoreOptions,
    folder: &mut Folder,
) -> Result<(), Failure> {
    let fail = |error: std::io::Error| {
        Failure::new(Failure::FAILED, format!("`{}` can't be read: {error}", on_disk.display()))
    };
    let about = std::fs::metadata(on_disk).map_err(fail)?;
    let Ok(name) = FilePath::new(path) else { return Ok(()) };
    if about.len() > limits.file_bytes_max {
        let message = format!("{} bytes, more than {}", about.len(), limits.file_bytes_max);
        let hint = "split it, or keep it out of the configuration";
        skip(folder, Place::file(name), "file-too-large", &message, hint);
        return Ok(());
    }
    if folder.tree.files.len() >= limits.files_max {
        let message = format!("more than {} files", limits.files_max);
        return Err(Failure::new(Failure::PROBLEMS, message));
    }
    if about.permissions().mode() & 0o111 != 0 {
        folder.tree.executables.insert(name.clone());
    }
    folder.tree.files.insert(name, std::fs::read(on_disk).map_err(fail)?.into());
    Ok(())
}

fn place_of(prefix: &str, name: &str) -> Place {
    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    let fallback = || FilePath::new("convoy.yaml").map(Place::file);
    FilePath::new(&path).map(Place::file).or_else(|_| fallback()).unwrap_or_else(|_| unreachable!())
}

fn skip(folder: &mut Folder, place: Place, rule: &str, message: &str, hint: &str) {
    folder.skipped.push(Problem::new(place, rule, message).with_hint(hint));
}
