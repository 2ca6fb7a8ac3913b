//! Tokens that are issued while the server runs: shown once, kept as a hash,
//! ended at once or by themselves.

use jiff::Timestamp;

use super::draft::{Draft, write};
use super::names::{check_id, token_path};
use super::registry::Inner;
use super::rights::strip;
use super::secret::mint;
use super::{GovernError, NewToken, Stamp, TokenDocument};
use crate::access::{NodeGrant, Subject};
use crate::model::{ContentHash, Origin, Person, Role, Secret};
use crate::telemetry::clock;

/// The shortest and the longest secret that a caller may bring.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=1024;
/// Tokens that may be kept, ended ones included.
const TOKENS_MAX: usize = 20_000;
/// Tokens of one person, ended ones included.
const OWN_TOKENS_MAX: usize = 100;

/// Issues a token.
pub(super) async fn issue(
    inner: &Inner,
    by: &Origin,
    new: NewToken,
) -> Result<(TokenDocument, Secret), GovernError> {
    check_id("token", &new.name)?;
    check_kind(&new)?;
    check_end(new.expires)?;
    let secret = match new.secret {
        Some(brought) => usable(inner, brought)?,
        None => mint()?,
    };
    if inner.settings.tokens.iter().any(|token| token.name == new.name) {
        return Err(GovernError::Exists { what: "token", name: new.name, removed: false });
    }
    check_count(inner, new.person.as_ref())?;
    let path = token_path(&new.name);
    let document = write(inner, by, &format!("Issue the token {}", new.name), |draft| {
        if draft.get::<TokenDocument>(&path)?.is_some() {
            let name = new.name.clone();
            return Err(GovernError::Exists { what: "token", name, removed: false });
        }
        let document = TokenDocument {
            name: new.name.clone(),
            person: new.person.clone(),
            role: new.role,
            node: new.node.clone(),
            sha256: ContentHash::of(secret.expose().as_bytes()),
            created: Stamp { by: by.name.clone(), at: draft.now },
            expires: new.expires,
            revoked: None,
        };
        draft.put(&path, &document)?;
        Ok(document)
    })
    .await?;
    Ok((document, secret))
}

fn check_count(inner: &Inner, person: Option<&Person>) -> Result<(), GovernError> {
    let registry = inner.registry();
    let own = registry.tokens.values().filter(|token| token.person.as_ref() == person).count();
    if registry.tokens.len() >= TOKENS_MAX || person.is_some() && own >= OWN_TOKENS_MAX {
        return Err(GovernError::State(format!(
            "{own} tokens are kept already; remove those that nobody uses"
        )));
    }
    Ok(())
}

/// A token is a node's, with all that it may be and see, or not at all.
fn check_kind(new: &NewToken) -> Result<(), GovernError> {
    let name = &new.name;
    match (&new.node, new.role) {
        (Some(_), Role::Node) if new.person.is_some() => {
            Err(GovernError::Invalid(format!("`{name}`: a token of nodes is nobody's own")))
        }
        (Some(grant), Role::Node) => check_grant(name, grant),
        (None, Role::Node) => check_grant(name, &NodeGrant::default()),
        (Some(_), _) => Err(GovernError::Invalid(format!(
            "`{name}`: only a token with the role `node` has a scope or certificates"
        ))),
        (None, _) => Ok(()),
    }
}

fn check_grant(name: &str, grant: &NodeGrant) -> Result<(), GovernError> {
    grant.check().map_err(|error| GovernError::Invalid(format!("`{name}`: {error}")))
}

fn check_end(expires: Option<Timestamp>) -> Result<(), GovernError> {
    match expires {
        Some(end) if end <= clock::now() => {
            Err(GovernError::Invalid(format!("the token would have ended at {end}")))
        }
        _ => Ok(()),
    }
}

fn usable(inner: &Inner, secret: Secret) -> Result<Secret, GovernError> {
    let text = secret.expose();
    if !SECRET_BYTES.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(GovernError::Invalid(
            "a secret has 16 to 1,024 printable characters without spaces; leave it out, and one \
             is made"
                .into(),
        ));
    }
    let registry = inner.registry();
    if registry.has_hash(&ContentHash::of(text.as_bytes())) {
        return Err(GovernError::Invalid("this secret is another token's".into()));
    }
    Ok(secret)
}

/// Ends a token at once, or lets it be used again.
pub(super) async fn set_active(
    inner: &Inner,
    by: &Origin,
    name: &str,
    active: bool,
) -> Result<TokenDocument, GovernError> {
    let verb = if active { "Let the token be used again:" } else { "Revoke the token" };
    change(inner, by, name, &format!("{verb} {name}"), |token, stamp| {
        token.revoked = match (active, token.revoked.take()) {
            (true, _) => None,
            (false, Some(before)) => Some(before),
            (false, None) => Some(stamp),
        };
    })
    .await
}

/// Changes what a token may do everywhere.
pub(super) async fn set_role(
    inner: &Inner,
    by: &Origin,
    name: &str,
    role: Role,
) -> Result<TokenDocument, GovernError> {
    let was = inner.registry().tokens.get(name).map(|token| token.role);
    if was.is_some_and(|was| was != role && (was == Role::Node || role == Role::Node)) {
        return Err(GovernError::Invalid(format!(
            "`{name}` can't become a token of nodes or cease to be one; issue another"
        )));
    }
    let message = format!("Make the token {name} {role}");
    change(inner, by, name, &message, |token, _| token.role = role).await
}

/// Changes what a token of nodes lets its holder be and see.
pub(super) async fn set_grant(
    inner: &Inner,
    by: &Origin,
    name: &str,
    grant: NodeGrant,
) -> Result<TokenDocument, GovernError> {
    check_grant(name, &grant)?;
    if inner.registry().tokens.get(name).is_some_and(|token| token.role != Role::Node) {
        return Err(GovernError::Invalid(format!(
            "`{name}` is no token of nodes; grant rights on repositories to it instead"
        )));
    }
    let message = format!("Change what nodes with the token {name} may be and see");
    change(inner, by, name, &message, |token, _| token.node = Some(grant.clone())).await
}

/// Gives a token a new secret.
pub(super) async fn rotate(
    inner: &Inner,
    by: &Origin,
    name: &str,
) -> Result<(TokenDocument, Secret), GovernError> {
    let secret = mint()?;
    let hash = ContentHash::of(secret.expose().as_bytes());
    let message = format!("Give the token {name} a new secret");
    let token = change(inner, by, name, &message, |token, _| token.sha256 = hash).await?;
    Ok((token, secret))
}

/// Removes a token for ever, and what was granted to it.
pub(super) async fn remove(inner: &Inner, by: &Origin, name: &str) -> Result<(), GovernError> {
    check_issued(inner, name)?;
    let (path, who) = (token_path(name), Subject::Token(name.to_owned()));
    write(inner, by, &format!("Remove the token {name}"), |draft| {
        existing(draft, name)?;
        strip(draft, &inner.registry(), &who)?;
        draft.remove(&path)
    })
    .await
}

async fn change(
    inner: &Inner,
    by: &Origin,
    name: &str,
    message: &str,
    work: impl Fn(&mut TokenDocument, Stamp),
) -> Result<TokenDocument, GovernError> {
    check_issued(inner, name)?;
    let path = token_path(name);
    write(inner, by, message, |draft| {
        let mut token = existing(draft, name)?;
        let stamp = Stamp { by: by.name.clone(), at: draft.now };
        work(&mut token, stamp);
        draft.put(&path, &token)?;
        Ok(token)
    })
    .await
}

/// Refuses tokens that no document is there for.
fn check_issued(inner: &Inner, name: &str) -> Result<(), GovernError> {
    if inner.settings.tokens.iter().any(|token| token.name == name) {
        return Err(GovernError::State(format!(
            "`{name}` is a token of the configuration file; change `auth.tokens` there and restart"
        )));
    }
    if inner.registry().tokens.contains_key(name) { Ok(()) } else { Err(no_token(name)) }
}

fn existing(draft: &mut Draft<'_>, name: &str) -> Result<TokenDocument, GovernError> {
    draft.get(&token_path(name))?.ok_or_else(|| no_token(name))
}

fn no_token(name: &str) -> GovernError {
    GovernError::NotFound { what: "token", name: name.into() }
}
