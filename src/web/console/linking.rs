//! The page on which somebody who is logged in says that a Slack user is theirs.

use axum::extract::State;
use axum::response::Html;
use serde::{Deserialize, Serialize};

use crate::model::Person;
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{Posted, Query};
use crate::web::hooks::Linking;

#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    token: String,
}

#[derive(Serialize)]
struct LinkPage {
    token: String,
    user: String,
    person: Option<Person>,
    done: bool,
}

/// `GET /slack/link`: for which Slack user the link is.
pub(super) async fn show(
    State(site): State<Site>,
    caller: Caller,
    Query(Link { token }): Query<Link>,
) -> Result<Html<String>, Fault> {
    let user = linking(&site)?.read(&token, clock::now())?;
    let page = LinkPage { token, user, person: caller.person.clone(), done: false };
    site.pages.render("linking.html", Some(&caller), page)
}

/// `POST /slack/link`: it is theirs.
pub(super) async fn link(
    State(site): State<Site>,
    posted: Posted<Link>,
) -> Result<Html<String>, Fault> {
    let person = posted.actor()?.person.ok_or_else(|| {
        let message = "only a person can be linked to a Slack user";
        Fault::invalid(message, "log in as yourself, not with a service's token")
    })?;
    let token = posted.form.token.clone();
    let user = linking(&site)?.link(&token, &person, clock::now()).await?;
    let page = LinkPage { token: String::new(), user, person: Some(person), done: true };
    site.pages.render("linking.html", Some(&posted.caller), page)
}

fn linking(site: &Site) -> Result<&Linking, Fault> {
    site.web.linking.as_deref().ok_or_else(Fault::no_route)
}
