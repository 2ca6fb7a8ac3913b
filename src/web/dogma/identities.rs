//! Application identities: Convoy's service tokens, as Central Dogma's clients
//! manage them. A secret is shown once, when it is made. Those of the
//! configuration file are not here: they are changed there.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{self, Reply};
use super::fault;
use super::names;
use super::request::{self, Json, Params};
use crate::config::Role;
use crate::govern::{NewToken, TokenDocument};
use crate::model::Secret;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Path;

/// Whether there is such a token, here or in the configuration.
pub(super) fn is_known(site: &Site, id: &str) -> bool {
    let govern = &site.web.govern;
    govern.registry().tokens.contains_key(id)
        || govern.settings().tokens.iter().any(|token| token.name == id)
}

fn told(token: &TokenDocument, secret: Option<&Secret>) -> Value {
    let mut told = json!({
        "appId": token.name,
        "id": token.name,
        "type": "TOKEN",
        "systemAdmin": token.role.covers(Role::Admin),
        "allowGuestAccess": true,
        "creation": answer::stamp(&token.created),
    });
    if let Some(fields) = told.as_object_mut() {
        if let Some(secret) = secret {
            fields.insert("secret".into(), secret.expose().into());
        }
        if let Some(revoked) = &token.revoked {
            fields.insert("deactivation".into(), answer::stamp(revoked));
        }
    }
    told
}

fn is_admin(caller: &Caller) -> bool {
    caller.principal().role.covers(Role::Admin)
}

/// A token that the caller made, or any for an administrator.
fn own(site: &Site, caller: &Caller, id: &str) -> Result<TokenDocument, Fault> {
    let registry = site.web.govern.registry();
    let found = registry.tokens.get(id).filter(|token| is_own(caller, token));
    found.cloned().ok_or_else(|| {
        let configured = site.web.govern.settings().tokens.iter().any(|token| token.name == id);
        match configured && is_admin(caller) {
            true => fault::unsupported(format!(
                "the token `{id}` is named by the configuration file; change it there"
            )),
            false => fault::no_identity(id),
        }
    })
}

fn is_own(caller: &Caller, token: &TokenDocument) -> bool {
    let who = caller.principal();
    who.role.covers(Role::Admin)
        || token.created.by == who.name
        || token.person.is_some() && token.person == who.person
}

pub(super) async fn list(State(site): State<Site>, caller: Caller) -> Reply {
    let registry = site.web.govern.registry();
    let mine = registry.tokens.values().filter(|token| is_own(&caller, token));
    answer::list(&mine.map(|token| told(token, None)).collect::<Vec<_>>())
}

pub(super) async fn create(
    State(site): State<Site>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let text = String::from_utf8_lossy(&body);
    let form = Params::parse(Some(&text));
    let name = form.get("appId").or_else(|| form.get("id")).unwrap_or("");
    names::check_name("application identity", name)?;
    if !matches!(form.get("type"), None | Some("" | "TOKEN")) {
        return Err(fault::unsupported(
            "Convoy knows applications by token: send type=TOKEN, or leave it out",
        ));
    }
    let admin = form.flag("isSystemAdmin")?;
    let secret = form.get("secret").filter(|secret| !secret.is_empty());
    if (admin || secret.is_some()) && !is_admin(&caller) {
        return Err(fault::forbidden("you must be a system administrator for this token"));
    }
    // A node's token subscribes; it makes no others.
    if caller.principal().role == Role::Node {
        return Err(fault::forbidden("a node's token can't make others"));
    }
    if is_known(&site, name) {
        return Err(fault::conflict(format!("the application identity `{name}` is there already")));
    }
    let new = NewToken {
        name: name.to_owned(),
        person: None,
        role: if admin { Role::Admin } else { Role::Guest },
        node: None,
        expires: None,
        secret: secret.map(Secret::new),
    };
    let by = caller.origin(&headers);
    let (token, secret) = site.web.govern.issue_token(&by, new).await.map_err(fault::govern)?;
    let url = format!("/api/v1/appIdentities/{}", token.name);
    answer::created(told(&token, Some(&secret)), Some(url))
}

pub(super) async fn remove(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    own(&site, &caller, &id)?;
    let by = caller.origin(&headers);
    site.web.govern.set_token_active(&by, &id, false).await.map_err(fault::govern)?;
    Ok(answer::nothing())
}

pub(super) async fn purge(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    own(&site, &caller, &id)?;
    let by = caller.origin(&headers);
    site.web.govern.remove_token(&by, &id).await.map_err(fault::govern)?;
    Ok(answer::nothing())
}

/// Ends a token's use, or lets it be used again.
pub(super) async fn set_status(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let token = own(&site, &caller, &id)?;
    let active = match request::required(&body, "status")? {
        "active" => true,
        "inactive" => false,
        other => {
            let text = format!("status: `{}`: write active or inactive", other.escape_debug());
            return Err(fault::illegal(text));
        }
    };
    if token.revoked.is_none() == active {
        return Ok(answer::unchanged());
    }
    let by = caller.origin(&headers);
    let set = site.web.govern.set_token_active(&by, &id, active).await.map_err(fault::govern)?;
    answer::value(&told(&set, None))
}

/// Gives a token a new secret.
pub(super) async fn rotate(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    own(&site, &caller, &id)?;
    let by = caller.origin(&headers);
    let (token, secret) = site.web.govern.rotate_token(&by, &id).await.map_err(fault::govern)?;
    answer::value(&told(&token, Some(&secret)))
}

/// Makes a token a system administrator's, or no more.
pub(super) async fn set_level(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let token = own(&site, &caller, &id)?;
    let role = match request::required(&body, "level")? {
        "USER" => Role::Guest,
        "SYSTEMADMIN" => Role::Admin,
        other => {
            let text = format!("level: `{}`: write USER or SYSTEMADMIN", other.escape_debug());
            return Err(fault::illegal(text));
        }
    };
    if token.role.covers(Role::Admin) == role.covers(Role::Admin) {
        return Ok(answer::unchanged());
    }
    let by = caller.origin(&headers);
    let set = site.web.govern.set_token_role(&by, &id, role).await.map_err(fault::govern)?;
    answer::value(&told(&set, None))
}
