//! By what nodes are known: the tokens and certificates that are good now.
//! Plain data; whoever holds the documents feeds it, streams follow it.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::access::{Bound, CertificateName, NamePattern, NodeScope, Scope, ScopeError};
use crate::model::ContentHash;

/// One token or certificate of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What it is called, as in `token edge`; for logs, pages and errors.
    pub name: Arc<str>,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// What its holder may be and see.
    pub scope: Arc<Scope>,
}

/// Everything by which a node can be known, as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Whether who comes with nothing is served everything.
    pub open: bool,
    /// By the hash of the token.
    pub tokens: HashMap<ContentHash, Arc<Credential>>,
    /// By the names in a certificate; the first that matches counts.
    pub certificates: Vec<(NamePattern, Arc<Credential>)>,
}

impl Credentials {
    /// Everybody is served everything.
    pub fn open() -> Self {
        Self { open: true, ..Self::default() }
    }

    /// These tokens, each for all of it.
    ///
    /// # Errors
    /// None, as what hides nothing can be compiled.
    pub(super) fn whole(hashes: Vec<ContentHash>) -> Result<Self, ScopeError> {
        let scope = Arc::new(Scope::new(NodeScope::everything())?);
        let credential = |hash: ContentHash| {
            let name = format!("token sha256:{}", hash.short()).into();
            (hash, Arc::new(Credential { name, expires: None, scope: scope.clone() }))
        };
        let tokens = hashes.into_iter().map(credential).collect();
        Ok(Self { tokens, ..Self::default() })
    }

    /// Whose the token with this hash is, if it is good at `now`. A hash can't
    /// be steered towards one that is kept, so looking it up tells nothing by
    /// the time it takes.
    pub(super) fn token(&self, hash: &ContentHash, now: Timestamp) -> Option<&Arc<Credential>> {
        self.tokens.get(hash).filter(|one| one.is_good(now))
    }

    /// Whose a certificate with these names is, if it is good at `now`, and
    /// which node the name says that it is.
    pub(super) fn certificate(
        &self,
        names: &[CertificateName],
        now: Timestamp,
    ) -> Option<(&Arc<Credential>, Bound)> {
        let good = self.certificates.iter().filter(|(_, one)| one.is_good(now));
        good.flat_map(|(pattern, one)| names.iter().map(move |name| (pattern, one, name)))
            .find_map(|(pattern, one, name)| Some((one, pattern.matches(name)?)))
    }
}

impl Credential {
    fn is_good(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}
