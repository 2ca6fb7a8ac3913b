//! The life of projects and repositories: made, removed (hidden, nothing is
//! lost), restored, purged (gone for ever).

use std::collections::BTreeMap;

use super::draft::{Draft, author_of, write};
use super::names::{
    check_new, check_outside, credential_path, mirror_path, project_path, subject_of,
};
use super::registry::Inner;
use super::{GovernError, ProjectDocument, RepositoryDocument, RepositoryStatus, Stamp, remotes};
use crate::access::{ProjectRole, RepositoryPolicy, Subject};
use crate::model::{Origin, RepoName, Revision};
use crate::store::{NewCommit, Quota, StoreError};
use crate::telemetry::clock;

/// The message of the commit that a repository begins with, as clients of
/// Central Dogma know it.
const FIRST_MESSAGE: &str = "Create a new repository";

/// Gives every repository a document, bounds each, and brings back what the
/// configuration names.
pub(super) async fn adopt(inner: &Inner) -> Result<(), GovernError> {
    let by = Origin::system();
    let ours = |repo: &RepoName| !repo.is_internal();
    let mut strangers: BTreeMap<String, Vec<RepoName>> = BTreeMap::new();
    for repo in inner.store.repositories().into_iter().filter(ours) {
        let registry = inner.registry();
        let known = registry.projects.get(repo.project());
        let known = known.and_then(|project| project.repositories.get(repo.repository()));
        let named = inner.settings.repositories.contains(&repo);
        if known.is_none() || named && registry.repository(&repo).is_none() {
            strangers.entry(repo.project().to_owned()).or_default().push(repo);
        }
    }
    for (project, repos) in strangers {
        let names: Vec<_> = repos.iter().map(RepoName::as_str).collect();
        let message = format!("Take up {}", names.join(", "));
        write(inner, &by, &message, |draft| take_up(inner, draft, &project, &repos)).await?;
    }
    inner.registry().repositories().try_for_each(|repo| bound_new(inner, &repo))
}

fn take_up(
    inner: &Inner,
    draft: &mut Draft<'_>,
    name: &str,
    repos: &[RepoName],
) -> Result<(), GovernError> {
    let path = project_path(name);
    let stamp = Stamp { by: "convoy".into(), at: draft.now };
    let mut project = draft.get(&path)?.unwrap_or_else(|| new_project(name, stamp.clone()));
    for repo in repos {
        let entry = project.repositories.entry(repo.repository().to_owned());
        let one = entry.or_insert_with(|| new_repository(begun(inner, repo, &stamp)));
        if inner.settings.repositories.contains(repo) {
            one.removed = None;
            project.removed = None;
        }
    }
    draft.put(&path, &project)
}

/// Who began a repository that nobody made here.
fn begun(inner: &Inner, repo: &RepoName, otherwise: &Stamp) -> Stamp {
    match inner.store.info(repo, Revision(1)) {
        Ok(first) => Stamp { by: first.author_name, at: first.time },
        Err(_) => otherwise.clone(),
    }
}

fn new_project(name: &str, created: Stamp) -> ProjectDocument {
    ProjectDocument {
        name: name.to_owned(),
        created,
        removed: None,
        members: BTreeMap::new(),
        added: BTreeMap::new(),
        repositories: BTreeMap::new(),
    }
}

fn new_repository(created: Stamp) -> RepositoryDocument {
    RepositoryDocument {
        created,
        removed: None,
        status: RepositoryStatus::default(),
        policy: RepositoryPolicy::default(),
        quota: Quota::default(),
    }
}

/// Makes a project.
pub(super) async fn create(
    inner: &Inner,
    by: &Origin,
    name: &str,
    owners: &[Subject],
    members: &[Subject],
) -> Result<ProjectDocument, GovernError> {
    check_new("project", name)?;
    let path = project_path(name);
    write(inner, by, &format!("Create the project {name}"), |draft| {
        if let Some(old) = draft.get::<ProjectDocument>(&path)? {
            let removed = old.removed.is_some();
            return Err(GovernError::Exists { what: "project", name: name.into(), removed });
        }
        let stamp = Stamp { by: by.name.clone(), at: draft.now };
        let mut project = new_project(name, stamp.clone());
        let member = members.iter().map(|who| (who.clone(), ProjectRole::Member));
        let owner = owners.iter().cloned().chain(subject_of(by));
        project.members = member.chain(owner.map(|who| (who, ProjectRole::Owner))).collect();
        project.added = project.members.keys().map(|who| (who.clone(), stamp.clone())).collect();
        draft.put(&path, &project)?;
        Ok(project)
    })
    .await
}

/// Hides a project.
pub(super) async fn remove(inner: &Inner, by: &Origin, name: &str) -> Result<(), GovernError> {
    if let Some(repo) = inner.settings.repositories.iter().find(|repo| repo.project() == name) {
        return Err(GovernError::State(format!(
            "the project `{name}` holds `{repo}`, which the configuration file names; take it out \
             of `repositories` there and restart, then remove it"
        )));
    }
    change(inner, by, name, &format!("Remove the project {name}"), |project, stamp| {
        project.removed = Some(stamp);
        Ok(())
    })
    .await
    .map(drop)
}

/// Brings a removed project back.
pub(super) async fn restore(
    inner: &Inner,
    by: &Origin,
    name: &str,
) -> Result<ProjectDocument, GovernError> {
    let path = project_path(name);
    write(inner, by, &format!("Restore the project {name}"), |draft| {
        let mut project = removed_project(draft, name)?;
        project.removed = None;
        draft.put(&path, &project)?;
        Ok(project)
    })
    .await
}

/// Removes a removed project for ever, with its repositories, mirrors and
/// credentials.
pub(super) async fn purge(inner: &Inner, by: &Origin, name: &str) -> Result<(), GovernError> {
    let path = project_path(name);
    let project = write(inner, by, "", |draft| removed_project(draft, name)).await?;
    for repository in project.repositories.keys() {
        purge_stored(inner, by, &RepoName::new(&format!("{name}/{repository}"))?).await?;
    }
    let registry = inner.registry();
    let credentials = registry.credentials.keys().filter(|(project, _)| project == name);
    let mirrors = registry.mirrors.keys().filter(|(project, _)| project == name);
    let documents: Vec<_> = credentials
        .clone()
        .map(|(project, id)| credential_path(project, id))
        .chain(mirrors.map(|(project, id)| mirror_path(project, id)))
        .collect();
    write(inner, by, &format!("Purge the project {name}"), |draft| {
        removed_project(draft, name)?;
        documents.iter().try_for_each(|path| draft.remove(path))?;
        draft.remove(&path)
    })
    .await?;
    credentials.into_iter().try_for_each(|(project, id)| remotes::forget(inner, project, id))
}

/// Makes a repository whose revision 1 is an empty commit.
pub(super) async fn create_repository(
    inner: &Inner,
    by: &Origin,
    repo: &RepoName,
) -> Result<RepositoryDocument, GovernError> {
    check_outside(repo)?;
    check_new("repository", repo.repository())?;
    {
        let registry = inner.registry();
        let project = registry.project(repo.project()).ok_or_else(|| no_project(repo.project()))?;
        absent(project, repo)?;
    }
    inner.store.create_by(repo, by).await?;
    begin(inner, by, repo).await?;
    let message = format!("Create the repository {repo}");
    let made = change(inner, by, repo.project(), &message, |project, stamp| {
        absent(project, repo)?;
        let made = new_repository(stamp);
        project.repositories.insert(repo.repository().to_owned(), made.clone());
        Ok(made)
    })
    .await?;
    bound_new(inner, repo)?;
    Ok(made)
}

/// Makes revision 1, unless somebody else just did.
async fn begin(inner: &Inner, by: &Origin, repo: &RepoName) -> Result<(), GovernError> {
    let new = NewCommit {
        expected: Some(Revision::default()),
        allow_empty: true,
        ..NewCommit::new(by.clone(), author_of(by), clock::now(), FIRST_MESSAGE, Vec::new())
    };
    match inner.store.commit(repo, new).await {
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Hides a repository.
pub(super) async fn remove_repository(
    inner: &Inner,
    by: &Origin,
    repo: &RepoName,
) -> Result<(), GovernError> {
    if inner.settings.repositories.contains(repo) {
        return Err(GovernError::State(format!(
            "`{repo}` is named by the configuration file; take it out of `repositories` there and \
             restart, then remove it"
        )));
    }
    let message = format!("Remove the repository {repo}");
    change_repository(inner, by, repo, &message, |one, stamp| {
        one.removed = Some(stamp);
        Ok(())
    })
    .await
    .map(drop)
}

/// Brings a removed repository back.
pub(super) async fn restore_repository(
    inner: &Inner,
    by: &Origin,
    repo: &RepoName,
) -> Result<RepositoryDocument, GovernError> {
    // A purge that a crash cut short has left the document only.
    inner.store.head(repo).map_err(|_| no_removed(repo))?;
    let message = format!("Restore the repository {repo}");
    let restored = change(inner, by, repo.project(), &message, |project, _| {
        let one = removed_repository(project, repo)?;
        one.removed = None;
        Ok(one.clone())
    })
    .await?;
    bound_new(inner, repo)?;
    Ok(restored)
}

/// Removes a removed repository for ever, with its mirrors.
pub(super) async fn purge_repository(
    inner: &Inner,
    by: &Origin,
    repo: &RepoName,
) -> Result<(), GovernError> {
    write(inner, by, "", |draft| {
        let mut project = live_project(draft, repo.project())?;
        removed_repository(&mut project, repo).map(drop)
    })
    .await?;
    purge_stored(inner, by, repo).await?;
    let registry = inner.registry();
    let mirrors = registry.mirrors.iter().filter(|(_, mirror)| mirror.local == *repo);
    let mirrors: Vec<_> = mirrors.map(|((project, id), _)| mirror_path(project, id)).collect();
    let path = project_path(repo.project());
    write(inner, by, &format!("Purge the repository {repo}"), |draft| {
        let mut project = live_project(draft, repo.project())?;
        removed_repository(&mut project, repo)?;
        project.repositories.remove(repo.repository());
        mirrors.iter().try_for_each(|path| draft.remove(path))?;
        draft.put(&path, &project)
    })
    .await
}

async fn purge_stored(inner: &Inner, by: &Origin, repo: &RepoName) -> Result<(), GovernError> {
    match inner.store.purge(repo, by).await {
        // Purged by a call that a crash cut short.
        Ok(()) | Err(StoreError::NoRepository(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Bounds a repository that the store does not bound yet.
fn bound_new(inner: &Inner, repo: &RepoName) -> Result<(), GovernError> {
    if quota_of(inner, repo) == Quota::default() { Ok(()) } else { bound(inner, repo) }
}

/// Tells the store what a repository may hold.
pub(super) fn bound(inner: &Inner, repo: &RepoName) -> Result<(), GovernError> {
    match inner.store.set_quota(repo, quota_of(inner, repo)) {
        // Purged meanwhile.
        Ok(()) | Err(StoreError::NoRepository(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A repository's own bounds, and the general ones where it has none.
fn quota_of(inner: &Inner, repo: &RepoName) -> Quota {
    let own = inner.registry().repository(repo).map(|one| one.quota).unwrap_or_default();
    let general = inner.settings.quota;
    Quota {
        bytes_max: own.bytes_max.or(general.bytes_max),
        files_max: own.files_max.or(general.files_max),
        file_bytes_max: own.file_bytes_max.or(general.file_bytes_max),
        commits_per_minute_max: own.commits_per_minute_max.or(general.commits_per_minute_max),
    }
}

/// Changes a project that is there.
pub(super) async fn change<R>(
    inner: &Inner,
    by: &Origin,
    name: &str,
    message: &str,
    work: impl Fn(&mut ProjectDocument, Stamp) -> Result<R, GovernError>,
) -> Result<R, GovernError> {
    let path = project_path(name);
    write(inner, by, message, |draft| {
        let mut project = live_project(draft, name)?;
        let stamp = Stamp { by: by.name.clone(), at: draft.now };
        let result = work(&mut project, stamp)?;
        draft.put(&path, &project)?;
        Ok(result)
    })
    .await
}

/// Changes a repository that is there; gives it as it is then.
pub(super) async fn change_repository(
    inner: &Inner,
    by: &Origin,
    repo: &RepoName,
    message: &str,
    work: impl Fn(&mut RepositoryDocument, Stamp) -> Result<(), GovernError>,
) -> Result<RepositoryDocument, GovernError> {
    change(inner, by, repo.project(), message, |project, stamp| {
        let one = project.repositories.get_mut(repo.repository());
        let one = one.filter(|one| one.removed.is_none()).ok_or_else(|| no_repository(repo))?;
        work(one, stamp)?;
        Ok(one.clone())
    })
    .await
}

fn live_project(draft: &mut Draft<'_>, name: &str) -> Result<ProjectDocument, GovernError> {
    let project = draft.get::<ProjectDocument>(&project_path(name))?;
    project.filter(|project| project.removed.is_none()).ok_or_else(|| no_project(name))
}

pub(super) fn no_project(name: &str) -> GovernError {
    GovernError::NotFound { what: "project", name: name.into() }
}

fn removed_project(draft: &mut Draft<'_>, name: &str) -> Result<ProjectDocument, GovernError> {
    let missing = || GovernError::NotFound { what: "removed project", name: name.into() };
    let project = draft.get::<ProjectDocument>(&project_path(name))?.ok_or_else(missing)?;
    if project.removed.is_none() {
        return Err(GovernError::State(format!("the project `{name}` is not removed")));
    }
    Ok(project)
}

fn removed_repository<'a>(
    project: &'a mut ProjectDocument,
    repo: &RepoName,
) -> Result<&'a mut RepositoryDocument, GovernError> {
    let one = project.repositories.get_mut(repo.repository()).ok_or_else(|| no_removed(repo))?;
    if one.removed.is_none() {
        return Err(GovernError::State(format!("the repository `{repo}` is not removed")));
    }
    Ok(one)
}

fn absent(project: &ProjectDocument, repo: &RepoName) -> Result<(), GovernError> {
    match project.repositories.get(repo.repository()) {
        None => Ok(()),
        Some(old) => Err(GovernError::Exists {
            what: "repository",
            name: repo.to_string(),
            removed: old.removed.is_some(),
        }),
    }
}

pub(super) fn no_repository(repo: &RepoName) -> GovernError {
    GovernError::NotFound { what: "repository", name: repo.to_string() }
}

fn no_removed(repo: &RepoName) -> GovernError {
    GovernError::NotFound { what: "removed repository", name: repo.to_string() }
}
