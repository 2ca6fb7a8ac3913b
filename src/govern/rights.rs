//! What is granted: members of projects, rights on repositories, quotas, and
//! whether a repository may be written.

use super::names::project_path;
use super::projects::{bound, change, change_repository};
use super::registry::{Inner, Registry};
use super::{GovernError, ProjectDocument, RepositoryDocument, RepositoryStatus, Stamp};
use crate::access::{Grant, ProjectRole, Right, Subject};
use crate::content::Patterns;
use crate::model::{Origin, RepoName};
use crate::store::Quota;

/// Grants on one repository; more are a team's job.
const GRANTS_MAX: usize = 1000;
/// Members of one project.
const MEMBERS_MAX: usize = 10_000;

/// Lets a repository be written, or not.
pub(super) async fn set_status(
    inner: &Inner,
    by: &Origin,
    repo: &RepoName,
    status: RepositoryStatus,
) -> Result<RepositoryDocument, GovernError> {
    let word = match status {
        RepositoryStatus::Active => "active",
        RepositoryStatus::ReadOnly => "read-only",
    };
    change_repository(inner, by, repo, &format!("Make {repo} {word}"), |one, _| {
        one.status = status;
        Ok(())
    })
    .await
}

/// Bounds a repository.
pub(super) async fn set_quota(
    inner: &Inner,
    by: &Origin,
    repo: &RepoName,
    quota: Quota,
) -> Result<RepositoryDocument, GovernError> {
    let changed = change_repository(inner, by, repo, &format!("Bound {repo}"), |one, _| {
        one.quota = quota;
        Ok(())
    })
    .await?;
    bound(inner, repo)?;
    Ok(changed)
}

/// Makes somebody an owner or member of a project, or neither.
pub(super) async fn set_member(
    inner: &Inner,
    by: &Origin,
    project: &str,
    who: &Subject,
    role: Option<ProjectRole>,
) -> Result<ProjectDocument, GovernError> {
    if role.is_some() {
        check_known(inner, &inner.registry(), who)?;
    }
    let message = match role {
        Some(ProjectRole::Owner) => format!("Make {who} an owner of {project}"),
        Some(ProjectRole::Member) => format!("Make {who} a member of {project}"),
        None => format!("Take {who} out of {project}"),
    };
    change(inner, by, project, &message, |document, stamp| {
        set_role(document, who, role, &stamp)?;
        Ok(document.clone())
    })
    .await
}

fn set_role(
    project: &mut ProjectDocument,
    who: &Subject,
    role: Option<ProjectRole>,
    stamp: &Stamp,
) -> Result<(), GovernError> {
    let Some(role) = role else {
        project.added.remove(who);
        return match project.members.remove(who) {
            Some(_) => Ok(()),
            None => Err(GovernError::NotFound { what: "member", name: who.to_string() }),
        };
    };
    if project.members.len() >= MEMBERS_MAX && !project.members.contains_key(who) {
        let name = &project.name;
        return Err(GovernError::Invalid(format!(
            "`{name}` has {MEMBERS_MAX} members already; put people into a team"
        )));
    }
    project.members.insert(who.clone(), role);
    project.added.entry(who.clone()).or_insert_with(|| stamp.clone());
    Ok(())
}

/// What members and guests have on a repository.
pub(super) async fn set_project_rights(
    inner: &Inner,
    by: &Origin,
    repo: &RepoName,
    member: Option<Right>,
    guest: Option<Right>,
) -> Result<RepositoryDocument, GovernError> {
    if guest == Some(Right::Admin) || member == Some(Right::Admin) {
        return Err(GovernError::Invalid(
            "members and guests can have read or write; grant admin to somebody by name".into(),
        ));
    }
    let word = |right: Option<Right>| right.map_or("nothing".into(), |right| right.to_string());
    let message =
        format!("Give {} to members and {} to guests of {repo}", word(member), word(guest));
    change_repository(inner, by, repo, &message, |one, _| {
        one.policy.member = member;
        one.policy.guest = guest;
        Ok(())
    })
    .await
}

/// Grants a right, or takes it.
pub(super) async fn set_grant(
    inner: &Inner,
    by: &Origin,
    repo: &RepoName,
    to: &Subject,
    right: Option<Right>,
    paths: Option<&str>,
) -> Result<RepositoryDocument, GovernError> {
    if right.is_some() {
        check_known(inner, &inner.registry(), to)?;
        check_paths(paths)?;
    }
    let place = paths.map_or_else(|| repo.to_string(), |paths| format!("{repo}:{paths}"));
    let message = match right {
        Some(right) => format!("Grant {right} on {place} to {to}"),
        None => format!("Take the right on {place} from {to}"),
    };
    change_repository(inner, by, repo, &message, |one, _| set_right(one, &place, to, right, paths))
        .await
}

fn set_right(
    one: &mut RepositoryDocument,
    place: &str,
    to: &Subject,
    right: Option<Right>,
    paths: Option<&str>,
) -> Result<(), GovernError> {
    let grants = &mut one.policy.grants;
    let same = |grant: &Grant| grant.to == *to && grant.paths.as_deref() == paths;
    let at = grants.iter().position(same);
    match (at, right) {
        (Some(at), Some(right)) => grants[at].right = right,
        (Some(at), None) => drop(grants.remove(at)),
        (None, Some(_)) if grants.len() >= GRANTS_MAX => {
            return Err(GovernError::Invalid(format!(
                "{GRANTS_MAX} grants are on this repository already; put people into a team"
            )));
        }
        (None, Some(right)) => {
            grants.push(Grant { to: to.clone(), right, paths: paths.map(str::to_owned) });
        }
        (None, None) => {
            let name = format!("{to} on {place}");
            return Err(GovernError::NotFound { what: "grant to", name });
        }
    }
    Ok(())
}

fn check_paths(paths: Option<&str>) -> Result<(), GovernError> {
    let Some(paths) = paths else { return Ok(()) };
    match Patterns::new(paths) {
        Ok(_) => Ok(()),
        Err(error) => Err(GovernError::Invalid(format!("the paths `{paths}`: {error}"))),
    }
}

/// Teams and tokens must be there; people may come later, by logging in.
pub(super) fn check_known(
    inner: &Inner,
    registry: &Registry,
    who: &Subject,
) -> Result<(), GovernError> {
    let missing = |what, name: &str| Err(GovernError::NotFound { what, name: name.to_owned() });
    match who {
        Subject::Person(_) => Ok(()),
        Subject::Team(team) if registry.teams.contains_key(team) => Ok(()),
        Subject::Team(team) => missing("team", team),
        Subject::Token(token) => {
            let configured = inner.settings.tokens.iter().any(|one| one.name == *token);
            let known = configured || registry.tokens.contains_key(token);
            if known { Ok(()) } else { missing("token", token) }
        }
    }
}

/// Takes everything from somebody who is no more, so that whoever gets the
/// name next does not inherit it.
pub(super) fn strip(
    draft: &mut super::draft::Draft<'_>,
    registry: &Registry,
    who: &Subject,
) -> Result<(), GovernError> {
    for (name, project) in &registry.projects {
        let granted = project.repositories.values().flat_map(|one| &one.policy.grants);
        if !project.members.contains_key(who) && !{ granted }.any(|grant| grant.to == *who) {
            continue;
        }
        let path = project_path(name);
        let Some(mut project) = draft.get::<ProjectDocument>(&path)? else { continue };
        project.members.remove(who);
        project.added.remove(who);
        for one in project.repositories.values_mut() {
            one.policy.grants.retain(|grant| grant.to != *who);
        }
        draft.put(&path, &project)?;
    }
    Ok(())
}
