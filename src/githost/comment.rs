//! Our one comment in a pull request, found again by a mark that nobody sees,
//! and changed in place.

use serde::Deserialize;
use serde_json::json;

use super::{GitHub, HostError, text};

/// What GitHub takes is 65,536 characters.
const BODY_MAX: usize = 65_000;

/// A comment that is there.
#[derive(Debug, Clone, Deserialize)]
pub struct Comment {
    /// GitHub's number.
    pub id: u64,
    /// Its text.
    #[serde(default)]
    pub body: Option<String>,
    user: Option<User>,
    #[serde(default)]
    performed_via_github_app: Option<App>,
}

#[derive(Debug, Clone, Deserialize)]
struct User {
    login: String,
}

#[derive(Debug, Clone, Deserialize)]
struct App {
    id: u64,
    #[serde(default)]
    client_id: Option<String>,
}

/// The mark of a repository's comment; two Convoys at one repository have two.
fn mark(name: &str) -> String {
    format!("<!-- convoy:review:{name} -->")
}

impl GitHub {
    /// Shows `body` as our comment in pull request `number`: changes the one
    /// that stands, or writes it where there is none. Gives its id.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn show_comment(
        &self,
        number: u64,
        name: &str,
        known: Option<u64>,
        body: &str,
    ) -> Result<u64, HostError> {
        let body = format!("{}\n{}", mark(name), text::clip(body, BODY_MAX));
        let standing = match known {
            Some(id) => Some(id),
            None => self.find_comment(number, name).await?,
        };
        if let Some(id) = standing {
            let path = format!("/issues/comments/{id}");
            match self.patch::<Comment>(&path, &json!({ "body": body })).await {
                Ok(comment) => return Ok(comment.id),
                // Somebody removed it: look again, then write a new one.
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error),
            }
            if let Some(other) = self.find_comment(number, name).await?.filter(|one| *one != id) {
                return Ok(other);
            }
        }
        let path = format!("/issues/{number}/comments");
        Ok(self.post::<Comment>(&path, &json!({ "body": body })).await?.id)
    }

    /// Our comment: with the mark, and written by us. A mark alone can be
    /// copied by anybody.
    async fn find_comment(&self, number: u64, name: &str) -> Result<Option<u64>, HostError> {
        let mark = mark(name);
        let path = format!("/issues/{number}/comments");
        let all: Vec<Comment> = self.list(&path, |page| page).await?;
        let marked = |one: &&Comment| one.body.as_ref().is_some_and(|b| b.starts_with(&mark));
        let marked: Vec<&Comment> = all.iter().filter(marked).collect();
        if marked.is_empty() {
            return Ok(None);
        }
        let login = match self.credential().app() {
            Some(_) => None,
            None => Some(self.login().await?),
        };
        let ours = |one: &&&Comment| one.is_by(self.credential().app(), login.as_deref());
        Ok(marked.iter().find(ours).map(|one| one.id))
    }

    /// The name of whose token it is.
    async fn login(&self) -> Result<String, HostError> {
        self.get::<User>("~/user").await.map(|user| user.login)
    }
}

impl Comment {
    fn is_by(&self, app: Option<&str>, login: Option<&str>) -> bool {
        match (app, login) {
            (Some(app), _) => self
                .performed_via_github_app
                .as_ref()
                .is_some_and(|by| by.id.to_string() == app || by.client_id.as_deref() == Some(app)),
            (None, login) => {
                self.user.as_ref().map(|user| user.login.as_str()) == login && login.is_some()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_mark_makes_nobody_elses_comment_ours() {
        let comment = |login: &str, app: Option<u64>| Comment {
            id: 1,
            body: None,
            user: Some(User { login: login.into() }),
            performed_via_github_app: app.map(|id| App { id, client_id: Some("Iv1.a".into()) }),
        };
        assert!(comment("bot", None).is_by(None, Some("bot")));
        assert!(!comment("eve", None).is_by(None, Some("bot")));
        assert!(comment("convoy[bot]", Some(17)).is_by(Some("17"), None));
        assert!(comment("convoy[bot]", Some(17)).is_by(Some("Iv1.a"), None));
        assert!(!comment("convoy[bot]", Some(18)).is_by(Some("17"), None));
        assert!(!comment("17", None).is_by(Some("17"), None));
    }
}
