//! Who may do what in a project and its repositories: members, roles, and the
//! same for application identities. Each answers with the revision of
//! Convoy's own state that made it so.

use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use super::answer::{self, Reply};
use super::fault;
use super::names;
use super::request::{self, Json, Replaced};
use super::{revision, subject};
use crate::access::{ProjectRole, Right, Subject};
use crate::govern::RepositoryDocument;
use crate::model::RepoName;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Path;

type Named = Path<(String, String)>;

/// A repository, as its project's metadata tells it.
pub(super) fn told(name: &str, one: &RepositoryDocument) -> Value {
    let (mut users, mut apps) = (Map::new(), Map::new());
    // A right on some paths only is none that Central Dogma knows.
    for grant in one.policy.grants.iter().filter(|grant| grant.paths.is_none()) {
        let roles = match grant.to {
            Subject::Token(_) => &mut apps,
            Subject::Person(_) | Subject::Team(_) => &mut users,
        };
        roles.insert(subject::name(&grant.to), json!(grant.right));
    }
    let mut told = json!({
        "name": name,
        "roles": {
            "projects": { "member": one.policy.member, "guest": one.policy.guest },
            "users": users,
            "appIds": apps,
        },
        "creation": answer::stamp(&one.created),
        "status": one.status,
    });
    if let (Some(fields), Some(removed)) = (told.as_object_mut(), &one.removed) {
        fields.insert("removal".into(), answer::stamp(removed));
    }
    told
}

/// The revision of Convoy's state, which clients are told.
fn done(site: &Site) -> Reply {
    answer::value(&revision::head(site, &RepoName::state())?)
}

fn project_role(text: &str) -> Result<ProjectRole, Fault> {
    match text {
        "OWNER" => Ok(ProjectRole::Owner),
        "MEMBER" => Ok(ProjectRole::Member),
        other => {
            let text = format!("role: `{}`: write OWNER or MEMBER", other.escape_debug());
            Err(fault::illegal(text))
        }
    }
}

fn right(text: &str) -> Result<Right, Fault> {
    match text {
        "READ" => Ok(Right::Read),
        "WRITE" => Ok(Right::Write),
        "ADMIN" => Ok(Right::Admin),
        other => {
            let text = format!("role: `{}`: write READ, WRITE or ADMIN", other.escape_debug());
            Err(fault::illegal(text))
        }
    }
}

/// Whether a list is of people or of applications.
#[derive(Clone, Copy)]
enum Of {
    People,
    Apps,
}

impl Of {
    fn subject(self, site: &Site, id: &str) -> Result<Subject, Fault> {
        match self {
            Self::People => subject::person(site, id),
            Self::Apps => subject::app(id),
        }
    }

    fn missing(self, id: &str) -> Fault {
        match self {
            Self::People => fault::no_member(id),
            Self::Apps => fault::no_identity(id),
        }
    }

    /// Checks that an application is there before it is given something.
    fn check(self, site: &Site, who: &Subject) -> Result<(), Fault> {
        match who {
            Subject::Token(id) if !super::identities::is_known(site, id) => Err(self.missing(id)),
            _ => Ok(()),
        }
    }
}

struct Call {
    site: Site,
    caller: Caller,
    headers: HeaderMap,
    of: Of,
}

impl Call {
    async fn add(self, project: &str, body: &Value) -> Reply {
        let who = self.of.subject(&self.site, request::required(body, "id")?)?;
        let role = project_role(request::required(body, "role")?)?;
        self.of.check(&self.site, &who)?;
        self.set(project, &who, Some(role)).await?;
        done(&self.site)
    }

    async fn change(self, project: &str, id: &str, patch: Replaced) -> Reply {
        let who = self.member(project, id)?;
        let role = match (patch.path.as_str(), patch.value.as_str()) {
            ("/role", Some(role)) => project_role(role)?,
            _ => return Err(fault::illegal("only `/role` can be replaced, by OWNER or MEMBER")),
        };
        self.set(project, &who, Some(role)).await?;
        done(&self.site)
    }

    async fn remove(self, project: &str, id: &str) -> Reply {
        let who = self.member(project, id)?;
        self.set(project, &who, None).await?;
        Ok(answer::nothing())
    }

    /// Somebody who is in the project.
    fn member(&self, project: &str, id: &str) -> Result<Subject, Fault> {
        let who = self.of.subject(&self.site, id)?;
        let registry = self.site.web.govern.registry();
        let found = registry.projects.get(project).ok_or_else(|| fault::no_project(project))?;
        if found.members.contains_key(&who) { Ok(who) } else { Err(self.of.missing(id)) }
    }

    async fn set(
        &self,
        project: &str,
        who: &Subject,
        role: Option<ProjectRole>,
    ) -> Result<(), Fault> {
        let by = self.caller.origin(&self.headers);
        let done = self.site.web.govern.set_member(&by, project, who, role).await;
        done.map(drop).map_err(fault::govern)
    }

    async fn grant(self, project: &str, repo: &str, body: &Value) -> Reply {
        let repo = names::repo(&self.site, project, repo)?;
        let who = self.of.subject(&self.site, request::required(body, "id")?)?;
        let right = right(request::required(body, "role")?)?;
        self.of.check(&self.site, &who)?;
        let by = self.caller.origin(&self.headers);
        let govern = &self.site.web.govern;
        govern.set_grant(&by, &repo, &who, Some(right), None).await.map_err(fault::govern)?;
        done(&self.site)
    }

    async fn take(self, project: &str, repo: &str, id: &str) -> Reply {
        let repo = names::repo(&self.site, project, repo)?;
        let who = self.of.subject(&self.site, id)?;
        let registry = self.site.web.govern.registry();
        let has = registry.repository(&repo).is_some_and(|one| {
            one.policy.grants.iter().any(|grant| grant.to == who && grant.paths.is_none())
        });
        if !has {
            return Err(self.of.missing(id));
        }
        let by = self.caller.origin(&self.headers);
        let govern = &self.site.web.govern;
        govern.set_grant(&by, &repo, &who, None, None).await.map_err(fault::govern)?;
        Ok(answer::nothing())
    }
}

/// The two faces of each of these calls.
macro_rules! faces {
    ($of:ident: $add:ident $change:ident $remove:ident $grant:ident $take:ident) => {
        pub(super) async fn $add(
            State(site): State<Site>,
            Path(project): Path<String>,
            caller: Caller,
            headers: HeaderMap,
            Json(body): Json,
        ) -> Reply {
            Call { site, caller, headers, of: Of::$of }.add(&project, &body).await
        }

        pub(super) async fn $change(
            State(site): State<Site>,
            Path((project, id)): Named,
            caller: Caller,
            headers: HeaderMap,
            patch: Replaced,
        ) -> Reply {
            Call { site, caller, headers, of: Of::$of }.change(&project, &id, patch).await
        }

        pub(super) async fn $remove(
            State(site): State<Site>,
            Path((project, id)): Named,
            caller: Caller,
            headers: HeaderMap,
        ) -> Reply {
            Call { site, caller, headers, of: Of::$of }.remove(&project, &id).await
        }

        pub(super) async fn $grant(
            State(site): State<Site>,
            Path((project, repo)): Named,
            caller: Caller,
            headers: HeaderMap,
            Json(body): Json,
        ) -> Reply {
            Call { site, caller, headers, of: Of::$of }.grant(&project, &repo, &body).await
        }

        pub(super) async fn $take(
            State(site): State<Site>,
            Path((project, repo, id)): Path<(String, String, String)>,
            caller: Caller,
            headers: HeaderMap,
        ) -> Reply {
            Call { site, caller, headers, of: Of::$of }.take(&project, &repo, &id).await
        }
    };
}

faces!(People: add_member change_member remove_member grant_user take_user);
faces!(Apps: add_app change_app remove_app grant_app take_app);

/// What members and guests have on a repository; null is nothing.
pub(super) async fn project_roles(
    State(site): State<Site>,
    Path((project, repo)): Named,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let repo = names::repo(&site, &project, &repo)?;
    if !body.is_object() {
        return Err(fault::illegal("send `member` and `guest`"));
    }
    let of = |field| request::text(&body, field)?.map(right).transpose();
    let (member, guest) = (of("member")?, of("guest")?);
    if guest > Some(Right::Write) || member > Some(Right::Write) {
        return Err(fault::illegal("members and guests can have READ or WRITE"));
    }
    let by = caller.origin(&headers);
    let set = site.web.govern.set_project_rights(&by, &repo, member, guest).await;
    set.map_err(fault::govern)?;
    done(&site)
}
