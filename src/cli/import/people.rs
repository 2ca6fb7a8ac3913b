//! Who may do what: a project's members, its repositories' roles, and the
//! server's tokens, as far as Convoy has the same. What is here already stays
//! as it is; what can't be taken over is named.

use serde_json::Value;

use super::by;
use super::source::Project;
use crate::access::{ProjectRole, Right, Subject};
use crate::cli::Failure;
use crate::govern::{Govern, GovernError, NewToken, PersonDocument, Stamp};
use crate::model::{Person, RepoName, Role, Secret};
use crate::telemetry::{chain, clock};

/// Central Dogma's mail address of somebody who has none.
const NO_MAIL: &str = "@localhost.localdomain";

/// What is taken over, and how far it came.
pub(super) struct People<'a> {
    pub(super) govern: &'a Govern,
    /// What was not, and why.
    pub(super) left_out: Vec<String>,
    /// How much was.
    pub(super) count: usize,
}

impl People<'_> {
    /// Takes the server's tokens over with their secrets, so that whoever has
    /// one goes on using it.
    pub(super) async fn tokens(&mut self, tokens: &Value) {
        for (id, token) in tokens.as_object().into_iter().flatten() {
            if self.govern.registry().tokens.contains_key(id) {
                continue;
            }
            let ended = ["deactivation", "deletion"].iter().any(|field| !token[*field].is_null());
            let Some(secret) = token["secret"].as_str().filter(|_| !ended) else {
                self.left_out.push(format!("the token `{id}`: it was ended, or has no secret"));
                continue;
            };
            let admin = ["systemAdmin", "isSystemAdmin", "admin", "isAdmin"];
            let admin = admin.iter().any(|field| token[*field] == Value::Bool(true));
            let new = NewToken {
                name: id.clone(),
                person: None,
                role: if admin { Role::Admin } else { Role::Guest },
                node: None,
                expires: None,
                secret: Some(Secret::new(secret)),
            };
            let issued = self.govern.issue_token(&by(), new).await.map(drop);
            self.note(&format!("the token `{id}`"), issued);
        }
    }

    /// Takes a project's documents over: that it is there, who is in it, what
    /// each may do, and what is removed.
    pub(super) async fn take_over(&mut self, project: &Project) -> Result<(), Failure> {
        let name = project.name.as_str();
        if !self.govern.registry().projects.contains_key(name) {
            let made = self.govern.create_project(&by(), name, &[], &[]).await.map(drop);
            self.note(&format!("the project `{name}`"), made);
        }
        let registry = self.govern.registry();
        if registry.projects.get(name).is_none_or(|one| one.removed.is_some()) {
            return Ok(());
        }
        self.members(project).await;
        self.roles(project).await;
        for repo in project.repositories.iter().filter(|repo| repo.removed) {
            let Ok(name) = RepoName::new(&format!("{name}/{}", repo.name)) else { continue };
            if self.govern.registry().repository(&name).is_some() {
                self.govern.remove_repository(&by(), &name).await.map_err(failed)?;
                self.count += 1;
            }
        }
        if project.removed {
            self.govern.remove_project(&by(), name).await.map_err(failed)?;
            self.count += 1;
        }
        Ok(())
    }

    fn note(&mut self, what: &str, done: Result<(), GovernError>) {
        match done {
            Ok(()) => self.count += 1,
            Err(error) => self.left_out.push(format!("{what}: {}", chain(&error))),
        }
    }

    async fn members(&mut self, project: &Project) {
        for (field, is_app) in [("members", false), ("appIds", true), ("tokens", true)] {
            for (id, member) in project.metadata[field].as_object().into_iter().flatten() {
                let role = match member["role"].as_str() {
                    Some("OWNER") => ProjectRole::Owner,
                    Some("MEMBER") => ProjectRole::Member,
                    _ => continue,
                };
                let what = format!("`{id}` of the project `{}`", project.name);
                let Some(who) = self.known(&what, id, is_app).await else { continue };
                let registry = self.govern.registry();
                let here = registry.projects.get(&project.name);
                if here.is_some_and(|one| !one.members.contains_key(&who)) {
                    let set = self.govern.set_member(&by(), &project.name, &who, Some(role)).await;
                    self.note(&what, set.map(drop));
                }
            }
        }
    }

    async fn roles(&mut self, project: &Project) {
        for (name, repo) in project.metadata["repos"].as_object().into_iter().flatten() {
            let Ok(name) = RepoName::new(&format!("{}/{name}", project.name)) else { continue };
            let roles = &repo["roles"];
            if let Some(projects) = roles["projects"].as_object() {
                let of = |field: &str| projects.get(field).and_then(right);
                self.project_rights(&name, of("member"), of("guest")).await;
            }
            for (field, is_app) in [("users", false), ("appIds", true), ("tokens", true)] {
                for (id, role) in roles[field].as_object().into_iter().flatten() {
                    if let Some(right) = right(role) {
                        self.grant(&name, id, is_app, right).await;
                    }
                }
            }
        }
    }

    async fn project_rights(
        &mut self,
        name: &RepoName,
        member: Option<Right>,
        guest: Option<Right>,
    ) {
        let registry = self.govern.registry();
        let Some(here) = registry.repository(name) else { return };
        if (member, guest) != (here.policy.member, here.policy.guest) {
            let set = self.govern.set_project_rights(&by(), name, member, guest).await;
            self.note(&format!("what members and guests may do with `{name}`"), set.map(drop));
        }
    }

    async fn grant(&mut self, name: &RepoName, id: &str, is_app: bool, right: Right) {
        let what = format!("`{id}` of `{name}`");
        let Some(who) = self.known(&what, id, is_app).await else { return };
        let registry = self.govern.registry();
        let Some(here) = registry.repository(name) else { return };
        if !here.policy.grants.iter().any(|grant| grant.to == who) {
            let set = self.govern.set_grant(&by(), name, &who, Some(right), None).await;
            self.note(&what, set.map(drop));
        }
    }

    /// Whom an id means here, where it can be said.
    async fn known(&mut self, what: &str, id: &str, is_app: bool) -> Option<Subject> {
        let found = if is_app { self.app(id) } else { self.person(id).await };
        found.map_err(|why| self.left_out.push(format!("{what}: {why}"))).ok()
    }

    fn app(&self, id: &str) -> Result<Subject, String> {
        if self.govern.registry().tokens.contains_key(id) {
            return Ok(Subject::Token(id.to_owned()));
        }
        Err("there is no such token here; make it, then give it the right".into())
    }

    /// A mail address becomes a person of its first part, who has that
    /// address from then on.
    async fn person(&self, id: &str) -> Result<Subject, String> {
        let name = |text: &str| Person::new(text).map_err(|error| error.to_string());
        if let Some(first) = id.strip_suffix(NO_MAIL) {
            return name(first).map(Subject::Person);
        }
        let Some((first, _)) = id.split_once('@') else { return name(id).map(Subject::Person) };
        let mail = id.to_lowercase();
        if let Some(person) = self.govern.person_by_mail(&mail) {
            return Ok(Subject::Person(person));
        }
        let name = name(first)?;
        if self.govern.knows(&name) {
            return Err(format!("`{name}` is somebody else here; give them the address first"));
        }
        let created = Stamp { by: by().name, at: clock::now() };
        let person = PersonDocument {
            name: name.clone(),
            emails: [mail].into(),
            role: Role::Guest,
            created,
        };
        let put = self.govern.put_person(&by(), person).await;
        put.map(|()| Subject::Person(name)).map_err(|error| error.to_string())
    }
}

fn right(value: &Value) -> Option<Right> {
    match value.as_str()? {
        "READ" => Some(Right::Read),
        "WRITE" => Some(Right::Write),
        "ADMIN" => Some(Right::Admin),
        _ => None,
    }
}

fn failed(error: GovernError) -> Failure {
    Failure::new(Failure::FAILED, chain(&error))
}
