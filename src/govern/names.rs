//! The names that projects and repositories may have, and where each document
//! lies.

use super::GovernError;
use crate::access::Subject;
use crate::model::{Person, RepoName};

/// Where a project's document lies.
pub(super) fn project_path(name: &str) -> String {
    format!("projects/{name}.json")
}

/// Where a person's document lies.
pub(super) fn person_path(person: &Person) -> String {
    format!("people/{person}.json")
}

/// Where a team's document lies.
pub(super) fn team_path(name: &str) -> String {
    format!("teams/{name}.json")
}

/// Where a token's document lies.
pub(super) fn token_path(name: &str) -> String {
    format!("tokens/{name}.json")
}

/// Where a mirror's document lies.
pub(super) fn mirror_path(project: &str, id: &str) -> String {
    format!("remotes/{project}/{id}.json")
}

/// Where a credential's document lies.
pub(super) fn credential_path(project: &str, id: &str) -> String {
    format!("credentials/{project}/{id}.json")
}

/// Refuses what can't be the name of a new project or repository. Names that
/// end in `.git` would be taken for the address of a clone.
pub(super) fn check_new(what: &str, name: &str) -> Result<(), GovernError> {
    let ok = is_plain(name) && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if ok && !name.ends_with(".git") {
        return Ok(());
    }
    Err(GovernError::Invalid(format!(
        "`{}` can't name a {what}: write 1 to 64 of a-z A-Z 0-9 `-` `_` `.`, beginning and \
         ending with a letter or digit, and not ending in `.git`",
        name.escape_debug()
    )))
}

/// Refuses what can't be the name of a token, team, mirror or credential.
pub(super) fn check_id(what: &str, name: &str) -> Result<(), GovernError> {
    if is_plain(name) {
        return Ok(());
    }
    Err(GovernError::Invalid(format!(
        "`{}` can't name a {what}: write 1 to 64 of a-z A-Z 0-9 `-` `_` `.`, beginning with a \
         letter or digit",
        name.escape_debug()
    )))
}

/// Whether it follows the rule that all our names follow.
fn is_plain(name: &str) -> bool {
    Person::new(name).is_ok()
}

/// Whoever acts, as somebody who can own a project.
pub(super) fn subject_of(by: &crate::model::Origin) -> Option<Subject> {
    match &by.actor.person {
        Some(person) => Some(Subject::Person(person.clone())),
        None if by.actor.via == crate::model::Via::System => None,
        None => Subject::try_from(format!("token:{}", by.name)).ok(),
    }
}

/// Refuses what is one of Convoy's own.
pub(super) fn check_outside(repo: &RepoName) -> Result<(), GovernError> {
    if repo.is_internal() {
        return Err(GovernError::State(format!("`{repo}` is one of Convoy's own")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_of_compatible_clients() {
        let long = "a".repeat(65);
        for (name, ok) in [
            ("mesh", true),
            ("a", true),
            ("a.b-c_d9", true),
            ("x.gitx", true),
            ("", false),
            ("a.git", false),
            (".a", false),
            ("a.", false),
            ("a-", false),
            ("-a", false),
            ("@a", false),
            ("a/b", false),
            ("a b", false),
            ("ä", false),
            ("a+b", false),
            ("a\nb", false),
            (&long, false),
        ] {
            assert_eq!(check_new("project", name).is_ok(), ok, "{name:?}");
        }
    }
}
