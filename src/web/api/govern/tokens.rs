//! Tokens and sessions. Administrators issue any; people issue tokens that act
//! on their own behalf and may do no more than they themselves.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Done;
use crate::access::{NodeGrant, NodeScope};
use crate::config::Role;
use crate::govern::{NewToken, Stamp, TokenDocument};
use crate::model::{Origin, Person, ResourceKind, Secret};
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{Answer, JsonBody, Path};
use crate::web::session::SessionCard;

/// The longest life that can be asked for.
const DAYS_MAX: i64 = 3660;

/// A token without its secret.
#[derive(Debug, Serialize)]
pub(crate) struct TokenCard {
    name: String,
    person: Option<Person>,
    role: Role,
    /// What a token of nodes lets its holder be and see.
    #[serde(flatten)]
    node: Option<NodeGrant>,
    /// It stands in the configuration file and can't be changed here.
    configured: bool,
    /// `active`, `revoked` or `expired`.
    state: &'static str,
    created: Option<Stamp>,
    expires: Option<Timestamp>,
    revoked: Option<Stamp>,
}

impl TokenCard {
    fn of(token: &TokenDocument, now: Timestamp) -> Self {
        let over = token.expires.is_some_and(|end| end <= now);
        let state = match (&token.revoked, over) {
            (Some(_), _) => "revoked",
            (None, true) => "expired",
            (None, false) => "active",
        };
        Self {
            name: token.name.clone(),
            person: token.person.clone(),
            role: token.role,
            node: token.node.clone(),
            configured: false,
            state,
            created: Some(token.created.clone()),
            expires: token.expires,
            revoked: token.revoked.clone(),
        }
    }
}

/// The tokens that a caller may see: all, or their own.
pub(crate) fn cards(site: &Site, caller: &Caller) -> Vec<TokenCard> {
    let (registry, now) = (site.web.govern.registry(), clock::now());
    let mine = |person: Option<&Person>| {
        caller.role.covers(Role::Admin) || person.is_some() && person == caller.person.as_ref()
    };
    let configured = site.web.govern.settings().tokens.iter().map(|token| TokenCard {
        name: token.name.clone(),
        person: token.person.clone(),
        role: token.role,
        node: None,
        configured: true,
        state: "active",
        created: None,
        expires: None,
        revoked: None,
    });
    let issued = registry.tokens.values().map(|token| TokenCard::of(token, now));
    configured.chain(issued).filter(|card| mine(card.person.as_ref())).collect()
}

#[derive(Serialize)]
pub(super) struct Tokens {
    tokens: Vec<TokenCard>,
}

pub(super) async fn list(State(site): State<Site>, caller: Caller) -> Answer<Tokens> {
    Answer(Tokens { tokens: cards(&site, &caller) })
}

/// A token to issue, as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTokenIn {
    pub(crate) name: String,
    pub(crate) person: Option<Person>,
    pub(crate) role: Option<Role>,
    /// `30d`, `12h`, or a moment.
    pub(crate) expires: Option<String>,
    /// For a token of nodes.
    pub(crate) scope: Option<NodeScope>,
    /// For a token of nodes: the certificates that stand for it.
    #[serde(default)]
    pub(crate) certificates: Vec<String>,
}

impl NewTokenIn {
    fn grant(&self) -> Option<NodeGrant> {
        let given = self.scope.is_some() || !self.certificates.is_empty();
        given.then(|| NodeGrant {
            scope: self.scope.clone().unwrap_or_default(),
            certificates: self.certificates.clone(),
        })
    }
}

#[derive(Serialize)]
pub(super) struct Issued {
    token: TokenCard,
    /// Shown this once.
    secret: String,
}

impl Issued {
    fn of((token, secret): (TokenDocument, Secret)) -> Self {
        Self { token: TokenCard::of(&token, clock::now()), secret: secret.expose().to_owned() }
    }
}

pub(super) async fn create(
    State(site): State<Site>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<NewTokenIn>,
) -> Result<Response, Fault> {
    let issued = issue(&site, &caller, &caller.origin(&headers), body).await?;
    Ok((StatusCode::CREATED, Answer(Issued::of(issued))).into_response())
}

/// Issues a token on a caller's word.
pub(crate) async fn issue(
    site: &Site,
    caller: &Caller,
    by: &Origin,
    asked: NewTokenIn,
) -> Result<(TokenDocument, Secret), Fault> {
    let expires = asked.expires.as_deref().map(|text| end(text, clock::now())).transpose()?;
    let new = match caller.role.covers(Role::Admin) {
        true => NewToken {
            node: asked.grant(),
            name: asked.name,
            person: asked.person,
            role: asked.role.unwrap_or(Role::Guest),
            expires,
            secret: None,
        },
        false => {
            // What is issued must not outlive what it was issued with.
            let issued = |name: &String| site.web.govern.registry().tokens.contains_key(name);
            if caller.token.as_ref().is_some_and(issued) {
                let text = format!("the token `{}` may not issue others", caller.name);
                return Err(Fault::forbidden(
                    text,
                    "log in to the console, or ask an administrator",
                ));
            }
            own(caller, asked, expires)?
        }
    };
    Ok(site.web.govern.issue_token(by, new).await?)
}

/// People may give themselves tokens, of no more than they may do.
fn own(caller: &Caller, asked: NewTokenIn, expires: Option<Timestamp>) -> Result<NewToken, Fault> {
    let hint = "an administrator can issue any token";
    let person = caller.person.clone().ok_or_else(|| Fault::no_person(&caller.name))?;
    if asked.person.as_ref().is_some_and(|other| *other != person) {
        let text = format!("`{}` may issue tokens for `{person}` only", caller.name);
        return Err(Fault::forbidden(text, hint));
    }
    let role = asked.role.unwrap_or(caller.role);
    if role == Role::Node || asked.grant().is_some() {
        let text = format!("`{}` may not issue tokens of nodes", caller.name);
        return Err(Fault::forbidden(text, hint));
    }
    if !caller.role.covers(role) {
        let text = format!("`{}` is {}, and this token would be {role}", caller.name, caller.role);
        return Err(Fault::forbidden(text, hint));
    }
    Ok(NewToken { name: asked.name, person: Some(person), role, node: None, expires, secret: None })
}

/// When something ends: after a while, or at a moment.
fn end(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let hint = "write it as 30d, 12h or 90m, or as 2027-01-31T00:00:00Z";
    let refuse = || Fault::invalid(format!("`{text}` is no end"), hint);
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
    let (number, unit) = text.split_at(digits);
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        "w" => 7 * 24 * 60,
        _ => return Err(refuse()),
    };
    let number: i64 = number.parse().map_err(|_| refuse())?;
    let left = number.checked_mul(minutes).filter(|left| (1..=DAYS_MAX * 1440).contains(left));
    let left = left.ok_or_else(refuse)?;
    now.checked_add(SignedDuration::from_mins(left)).map_err(|_| refuse())
}

/// Refuses those whose token it is not. Others' tokens are not there for them.
pub(crate) fn own_or_admin(site: &Site, caller: &Caller, name: &str) -> Result<(), Fault> {
    let seen = cards(site, caller).iter().any(|card| card.name == name);
    let missing = || Fault::not_found(format!("there is no token `{name}`"), "list your tokens");
    if seen || caller.role.covers(Role::Admin) { Ok(()) } else { Err(missing()) }
}

pub(super) async fn revoke(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer<TokenCard>, Fault> {
    let by = caller.origin(&headers);
    Ok(Answer(set_active(&site, &caller, &by, &name, false).await?))
}

pub(super) async fn activate(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer<TokenCard>, Fault> {
    let by = caller.origin(&headers);
    Ok(Answer(set_active(&site, &caller, &by, &name, true).await?))
}

/// Ends a token on a caller's word, or lets it be used again.
pub(crate) async fn set_active(
    site: &Site,
    caller: &Caller,
    by: &Origin,
    name: &str,
    active: bool,
) -> Result<TokenCard, Fault> {
    own_or_admin(site, caller, name)?;
    if active {
        may_wake(site, caller, name)?;
    }
    let token = site.web.govern.set_token_active(by, name, active).await?;
    Ok(TokenCard::of(&token, clock::now()))
}

/// A token may have been issued when its person had a greater role.
fn may_wake(site: &Site, caller: &Caller, name: &str) -> Result<(), Fault> {
    let registry = site.web.govern.registry();
    match registry.tokens.get(name) {
        Some(token) if !caller.role.covers(token.role) => Err(Fault::forbidden(
            format!("`{}` is {}, and this token is {}", caller.name, caller.role, token.role),
            "an administrator can do it",
        )),
        _ => Ok(()),
    }
}

pub(super) async fn rotate(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer<Issued>, Fault> {
    let issued = renew(&site, &caller, &caller.origin(&headers), &name).await?;
    Ok(Answer(Issued::of(issued)))
}

/// Gives a token a new secret on a caller's word.
pub(crate) async fn renew(
    site: &Site,
    caller: &Caller,
    by: &Origin,
    name: &str,
) -> Result<(TokenDocument, Secret), Fault> {
    own_or_admin(site, caller, name)?;
    may_wake(site, caller, name)?;
    Ok(site.web.govern.rotate_token(by, name).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleIn {
    role: Role,
}

pub(super) async fn set_role(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(RoleIn { role }): JsonBody<RoleIn>,
) -> Result<Answer<TokenCard>, Fault> {
    let token = site.web.govern.set_token_role(&caller.origin(&headers), &name, role).await?;
    Ok(Answer(TokenCard::of(&token, clock::now())))
}

/// Parts that are given replace what was there; an empty list takes it away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopeIn {
    nodes: Option<Vec<String>>,
    clusters: Option<Vec<String>>,
    repositories: Option<Vec<String>>,
    stages: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    kinds: Option<Vec<ResourceKind>>,
    secrets: Option<Vec<String>>,
    certificates: Option<Vec<String>>,
}

impl ScopeIn {
    fn over(self, known: NodeGrant) -> NodeGrant {
        let NodeGrant { scope, certificates } = known;
        NodeGrant {
            scope: NodeScope {
                nodes: self.nodes.unwrap_or(scope.nodes),
                clusters: self.clusters.unwrap_or(scope.clusters),
                repositories: self.repositories.unwrap_or(scope.repositories),
                stages: self.stages.unwrap_or(scope.stages),
                groups: self.groups.unwrap_or(scope.groups),
                kinds: self.kinds.unwrap_or(scope.kinds),
                secrets: self.secrets.unwrap_or(scope.secrets),
            },
            certificates: self.certificates.unwrap_or(certificates),
        }
    }
}

pub(super) async fn set_scope(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ScopeIn>,
) -> Result<Answer<TokenCard>, Fault> {
    let govern = &site.web.govern;
    let known = govern.registry().tokens.get(&name).and_then(|token| token.node.clone());
    let grant = body.over(known.unwrap_or_default());
    let token = govern.set_token_grant(&caller.origin(&headers), &name, grant).await?;
    Ok(Answer(TokenCard::of(&token, clock::now())))
}

pub(super) async fn remove(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer<Done>, Fault> {
    own_or_admin(&site, &caller, &name)?;
    site.web.govern.remove_token(&caller.origin(&headers), &name).await?;
    Ok(Done::says(format!("the token `{name}` is gone, and what was granted to it")))
}

#[derive(Serialize)]
pub(super) struct SessionList {
    sessions: Vec<SessionCard>,
}

pub(super) async fn sessions(State(site): State<Site>, caller: Caller) -> Answer<SessionList> {
    Answer(SessionList { sessions: site.web.auth.sessions(&caller) })
}

pub(super) async fn end_session(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Answer<Done>, Fault> {
    match site.web.auth.end_session(&caller, &id) {
        true => Ok(Done::says("the session is over")),
        false => Err(Fault::not_found("there is no such session of yours", "list them first")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_while_or_a_moment() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("30d", Some("2026-01-31T00:00:00Z")),
            ("12h", Some("2026-01-01T12:00:00Z")),
            ("90m", Some("2026-01-01T01:30:00Z")),
            ("2w", Some("2026-01-15T00:00:00Z")),
            ("2027-01-31T00:00:00Z", Some("2027-01-31T00:00:00Z")),
            ("", None),
            ("30", None),
            ("d", None),
            ("0d", None),
            ("-1d", None),
            ("99999999999999999999d", None),
            ("999999999d", None),
            ("1y", None),
        ] {
            let expected = expected.map(|text| text.parse::<Timestamp>().unwrap());
            assert_eq!(end(text, now).ok(), expected, "{text}");
        }
    }
}
