//! Who may do what: a project's members, its repositories' roles, and the
//! server's tokens, as far as Convoy has the same. What is here already stays
//! as it is.

use serde_json::Value;

use super::by;
use super::source::Project;
use crate::access::{ProjectRole, Right, Subject};
use crate::cli::Failure;
use crate::govern::{Govern, GovernError, NewToken, PersonDocument, Stamp};
use crate::model::{Person, RepoName, Role, Secret};
use crate::telemetry::clock;

/// Takes a project's documents over: that it is there, who is in it, what
/// each may do, and what is removed.
pub(super) async fn take_over(
    govern: &Govern,
    project: &Project,
    left_out: &mut Vec<String>,
    count: &mut usize,
) -> Result<(), Failure> {
    let registry = govern.registry();
    if !registry.projects.contains_key(&project.name) {
        let made = govern.create_project(&by(), &project.name, &[], &[]).await;
        if let Err(error) = made {
            left_out.push(format!("the project `{}`: {error}", project.name));
            return Ok(());
        }
        *count += 1;
    }
    if govern.registry().projects.get(&project.name).is_some_and(|one| one.removed.is_some()) {
        return Ok(());
    }
    members(govern, project, left_out, count).await?;
    roles(govern, project, left_out, count).await?;
    for repo in project.repositories.iter().filter(|repo| repo.removed) {
        let Ok(name) = RepoName::new(&format!("{}/{}", project.name, repo.name)) else { continue };
        if govern.registry().repository(&name).is_some() {
            govern.remove_repository(&by(), &name).await.map_err(failed)?;
            *count += 1;
        }
    }
    if project.removed {
        govern.remove_project(&by(), &project.name).await.map_err(failed)?;
        *count += 1;
    }
    Ok(())
}

async fn members(
    govern: &Govern,
    project: &Project,
    left_out: &mut Vec<String>,
    count: &mut usize,
) -> Result<(), Failure> {
    for (field, is_app) in [("members", false), ("appIds", true), ("tokens", true)] {
        for (id, member) in project.metadata[field].as_object().into_iter().flatten() {
            let role = match member["role"].as_str() {
                Some("OWNER") => ProjectRole::Owner,
                Some("MEMBER") => ProjectRole::Member,
                _ => continue,
            };
            let who = match subject(govern, id, is_app).await {
                Ok(who) => who,
                Err(why) => {
                    left_out.push(format!("`{id}` of the project `{}`: {why}", project.name));
                    continue;
                }
            };
            let registry = govern.registry();
            let known = registry.projects.get(&project.name).map(|one| one.members.get(&who));
            if known == Some(None) {
                let set = govern.set_member(&by(), &project.name, &who, Some(role)).await;
                set.map_err(failed)?;
                *count += 1;
            }
        }
    }
    Ok(())
}

async fn roles(
    govern: &Govern,
    project: &Project,
    left_out: &mut Vec<String>,
    count: &mut usize,
) -> Result<(), Failure> {
    for (name, repo) in project.metadata["repos"].as_object().into_iter().flatten() {
        let Ok(repo_name) = RepoName::new(&format!("{}/{name}", project.name)) else { continue };
        let registry = govern.registry();
        let Some(here) = registry.repository(&repo_name) else { continue };
        let roles = &repo["roles"];
        if let Some(projects) = roles["projects"].as_object() {
            let of = |field: &str| projects.get(field).and_then(right);
            let (member, guest) = (of("member"), of("guest"));
            if (member, guest) != (here.policy.member, here.policy.guest) {
                let set = govern.set_project_rights(&by(), &repo_name, member, guest).await;
                set.map_err(failed)?;
                *count += 1;
            }
        }
        for (field, is_app) in [("users", false), ("appIds", true), ("tokens", true)] {
            for (id, role) in roles[field].as_object().into_iter().flatten() {
                let Some(right) = right(role) else { continue };
                let who = match subject(govern, id, is_app).await {
                    Ok(who) => who,
                    Err(why) => {
                        left_out.push(format!("`{id}` of `{repo_name}`: {why}"));
                        continue;
                    }
                };
                if !here.policy.grants.iter().any(|grant| grant.to == who) {
                    let set = govern.set_grant(&by(), &repo_name, &who, Some(right), None).await;
                    set.map_err(failed)?;
                    *count += 1;
                }
            }
        }
    }
    Ok(())
}

fn right(value: &Value) -> Option<Right> {
    match value.as_str()? {
        "READ" => Some(Right::Read),
        "WRITE" => Some(Right::Write),
        "ADMIN" => Some(Right::Admin),
        _ => None,
    }
}

/// Whom an id means here. A mail address becomes a person of its first part,
/// who has that address from then on.
async fn subject(govern: &Govern, id: &str, is_app: bool) -> Result<Subject, String> {
    if is_app {
        return Person::new(id)
            .map(|_| Subject::Token(id.to_owned()))
            .map_err(|error| error.to_string());
    }
    let Some((first, _)) = id.split_once('@') else {
        return Person::new(id).map(Subject::Person).map_err(|error| error.to_string());
    };
    let mail = id.to_lowercase();
    if id.ends_with("@localhost.localdomain") {
        return Person::new(first).map(Subject::Person).map_err(|error| error.to_string());
    }
    if let Some(person) = govern.person_by_mail(&mail) {
        return Ok(Subject::Person(person));
    }
    let name = Person::new(first).map_err(|error| error.to_string())?;
    if govern.knows(&name) {
        return Err(format!("`{name}` is somebody else here; give them the address first"));
    }
    let created = Stamp { by: by().name, at: clock::now() };
    let emails = [mail].into();
    let person = PersonDocument { name: name.clone(), emails, role: Role::Guest, created };
    govern.put_person(&by(), person).await.map_err(|error| error.to_string())?;
    Ok(Subject::Person(name))
}

/// Takes the server's tokens over with their secrets, so that whoever has one
/// goes on using it.
pub(super) async fn tokens(
    govern: &Govern,
    tokens: &Value,
    left_out: &mut Vec<String>,
    count: &mut usize,
) -> Result<(), Failure> {
    for (id, token) in tokens.as_object().into_iter().flatten() {
        if govern.registry().tokens.contains_key(id) {
            continue;
        }
        let ended = ["deactivation", "deletion"].iter().any(|field| !token[*field].is_null());
        let Some(secret) = token["secret"].as_str().filter(|_| !ended) else {
            left_out.push(format!("the token `{id}`: it was ended, or has no secret"));
            continue;
        };
        let admin = ["systemAdmin", "admin", "isSystemAdmin", "isAdmin"];
        let admin = admin.iter().any(|field| token[*field] == Value::Bool(true));
        let new = NewToken {
            name: id.clone(),
            person: None,
            role: if admin { Role::Admin } else { Role::Guest },
            expires: None,
            secret: Some(Secret::new(secret)),
        };
        match govern.issue_token(&by(), new).await {
            Ok(_) => *count += 1,
            Err(error) => left_out.push(format!("the token `{id}`: {error}")),
        }
    }
    Ok(())
}

fn failed(error: GovernError) -> Failure {
    Failure::new(Failure::FAILED, crate::telemetry::chain(&error))
}
