//! Repositories' Git folders below the store's: where they are, how they are
//! made and taken away. What is in them is not looked at here.

use std::path::{Path, PathBuf};

use crate::model::{ContentHash, RepoName};
use crate::store::error::{StoreError, failed};
use crate::store::files::{self, Files};

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\
                      [gc]\n\tauto = 0\n";

/// What `HEAD` says.
pub(crate) const HEAD: &[u8] = b"ref: refs/heads/main\n";

/// The Git folder of `name` below the store's folder `dir`.
pub(crate) fn git_dir(dir: &Path, name: &RepoName) -> PathBuf {
    dir.join("repositories").join(name.project()).join(format!("{}.git", name.repository()))
}

/// Makes all of a repository's Git folder but its `HEAD`, durably: without
/// one it is no repository yet. `number` is that of the record that makes it,
/// and tells it from one of the same name that was purged before.
pub(crate) fn create_folder(
    files: &dyn Files,
    dir: &Path,
    name: &RepoName,
    number: u64,
) -> std::io::Result<()> {
    let git_dir = git_dir(dir, name);
    let project = dir.join("repositories").join(name.project());
    files.create_dir(&project)?;
    files.create_dir(&git_dir)?;
    for folder in ["objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags"] {
        files.create_dir(&git_dir.join(folder))?;
    }
    files.sync_dir(&git_dir.join("objects"))?;
    files.sync_dir(&git_dir.join("refs"))?;
    let config = config_of(&number.to_string());
    files::replace(files, &git_dir.join("config"), config.as_bytes())?;
    files::write_new(files, &git_dir.join("HEAD"), HEAD)?;
    files.sync_dir(&project)?;
    files.sync_dir(&dir.join("repositories"))
}

/// Makes a repository of what [`create_folder`] made. It takes no room, so
/// that a full disk can't leave a durable record without its folder.
pub(crate) fn finish_folder(files: &dyn Files, dir: &Path, name: &RepoName) -> std::io::Result<()> {
    files::take_new(files, &git_dir(dir, name).join("HEAD"))
}

/// A Git folder's `config`; the check tells a number whose bits changed.
fn config_of(number: &str) -> String {
    let check = ContentHash::of(number.as_bytes()).short();
    format!("{CONFIG}[convoy]\n\tnumber = {number}\n\tcheck = {check}\n")
}

/// Whether a Git folder's `config` is as [`create_folder`] writes it.
pub(crate) fn is_config(text: &str) -> bool {
    let number = text.lines().find_map(|line| line.strip_prefix("\tnumber = "));
    text == CONFIG || number.is_some_and(|number| text == config_of(number))
}

/// The number of the record that made the Git folder; 0 where it was made
/// before records had numbers.
pub(crate) fn created_by(files: &dyn Files, git_dir: &Path) -> std::io::Result<u64> {
    let config = files.read(&git_dir.join("config"))?;
    let config = String::from_utf8_lossy(&config);
    let ours = config.split_once("[convoy]").map_or("", |(_, ours)| ours);
    let number = ours.lines().find_map(|line| line.trim().strip_prefix("number = ")?.parse().ok());
    Ok(number.unwrap_or(0))
}

/// The repositories that have a Git folder below the store's folder `dir`.
pub(crate) fn names(files: &dyn Files, dir: &Path) -> Result<Vec<RepoName>, StoreError> {
    let mut names = Vec::new();
    for (folder, project) in folders(files, dir)? {
        for entry in list(files, &folder)? {
            let name = entry.strip_suffix(".git").map(|repo| format!("{project}/{repo}"));
            let name = name.and_then(|name| RepoName::try_from(name).ok());
            // Without a HEAD its record is still in the journal.
            names.extend(name.filter(|_| folder.join(&entry).join("HEAD").is_file()));
        }
    }
    Ok(names)
}

/// The folder that a purged repository's Git folder becomes on its way out.
pub(crate) fn purged_dir(git_dir: &Path, number: u64) -> PathBuf {
    let mut purged = git_dir.as_os_str().to_owned();
    purged.push(format!(".{number}.purged"));
    purged.into()
}

/// Removes what is left of purged repositories.
pub(crate) fn sweep_purged(files: &dyn Files, dir: &Path) -> Result<(), StoreError> {
    for (folder, _) in folders(files, dir)? {
        for entry in list(files, &folder)?.iter().filter(|entry| entry.ends_with(".purged")) {
            let path = folder.join(entry);
            let what = format!("removing `{}`", path.display());
            files.remove_dir(&path).map_err(failed(what))?;
        }
    }
    Ok(())
}

/// Projects' folders, with the projects' names.
fn folders(files: &dyn Files, dir: &Path) -> Result<Vec<(PathBuf, String)>, StoreError> {
    let root = dir.join("repositories");
    let projects = list(files, &root)?.into_iter();
    let folders = projects.map(|project| (root.join(&project), project));
    Ok(folders.filter(|(folder, _)| folder.is_dir()).collect())
}

fn list(files: &dyn Files, folder: &Path) -> Result<Vec<String>, StoreError> {
    files.list(folder).map_err(failed(format!("listing `{}`", folder.display())))
}
