//! By what nodes are known: the configuration and the tokens that were issued,
//! put together for `xds` and kept up to date.

use std::sync::Arc;

use tokio::sync::watch;

use crate::access::{NamePattern, NodeScope};
use crate::config::{Config, Role};
use crate::govern::{Govern, Registry, TokenDocument};
use crate::xds::{Credential, Credentials, Guard, Tls};

/// Who may open streams. Follows the documents: a token that was issued is
/// good, and one that was revoked is not, by the time that this is acknowledged.
pub(super) fn guard(config: &Config, tls: Option<Tls>, govern: &Govern) -> Guard {
    let base = configured(config);
    let known = watch::Sender::new(Arc::new(Credentials::default()));
    let guard = Guard::new(known.subscribe());
    govern.follow(move |registry| {
        let next = with_issued(&base, registry);
        // Most changes of documents are about something else.
        known.send_if_modified(|known| {
            let news = **known != next;
            if news {
                *known = Arc::new(next);
            }
            news
        });
    });
    match tls {
        Some(tls) => guard.over(tls),
        None => guard,
    }
}

/// What the configuration says. With `--insecure-dev` and without any
/// credential of nodes, everybody is served everything.
fn configured(config: &Config) -> Credentials {
    let mut known = Credentials::default();
    for token in config.tokens.iter().filter(|token| token.role == Role::Node) {
        let credential = credential(format!("token {}", token.name), &token.scope);
        known.tokens.extend(credential.map(|one| (token.sha256, Arc::new(one))));
    }
    for one in &config.certificates {
        let Some(credential) = credential(format!("certificate {}", one.name), &one.scope) else {
            continue;
        };
        name(&mut known, one.names.clone(), &Arc::new(credential));
    }
    known.open = config.insecure_dev && known.tokens.is_empty() && known.certificates.is_empty();
    known
}

/// What the documents say besides. They can't change what the configuration
/// says.
fn with_issued(base: &Credentials, registry: &Registry) -> Credentials {
    let mut known = base.clone();
    for token in registry.tokens.values().filter(|token| token.revoked.is_none()) {
        let Some((credential, patterns)) = issued(token) else { continue };
        let credential = Arc::new(credential);
        known.tokens.entry(token.sha256).or_insert_with(|| credential.clone());
        name(&mut known, patterns, &credential);
    }
    known
}

fn issued(token: &TokenDocument) -> Option<(Credential, Vec<NamePattern>)> {
    let grant = token.node.as_ref().filter(|_| token.role == Role::Node)?;
    let credential = credential(format!("token {}", token.name), &grant.scope)?;
    let patterns = grant.patterns().ok()?;
    Some((Credential { expires: token.expires, ..credential }, patterns))
}

fn name(known: &mut Credentials, patterns: Vec<NamePattern>, credential: &Arc<Credential>) {
    let named = patterns.into_iter().map(|pattern| (pattern, credential.clone()));
    known.certificates.extend(named);
}

/// A scope was checked when it was read; one that can't be compiled all the
/// same lets nobody in.
fn credential(name: String, scope: &NodeScope) -> Option<Credential> {
    match scope.compile() {
        Ok(scope) => Some(Credential { name: name.into(), expires: None, scope: Arc::new(scope) }),
        Err(error) => {
            tracing::error!(credential = name, %error, "a scope of nodes can't be used");
            None
        }
    }
}
