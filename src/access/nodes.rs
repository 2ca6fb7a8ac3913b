//! What a node may be and see: the scope of its token or certificate. Pure.
//!
//! A part that is empty does not restrict, with one exception: secrets are
//! seen only where they are named. Kept as documents by `govern` and as keys
//! of the configuration; `xds` asks the compiled [`Scope`].

mod names;

use std::fmt;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

pub use names::{Bound, CertificateName, NamePattern, NamePatternError};

use crate::model::{NodeIdentity, ResourceKind, ResourceName, SnapshotKey, TypeUrl};

/// Patterns in one part of a scope.
const PATTERNS_MAX: usize = 1000;
/// Characters of one pattern.
const PATTERN_MAX: usize = 512;

/// A scope as it is written. Patterns are globs: `*` is any text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeScope {
    /// Which `node.id` it may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Which `node.cluster` it may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// Which repositories it may be served from, `project/repository`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// Which stages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<String>,
    /// Which node groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Which kinds of resource it sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<ResourceKind>,
    /// Which secrets it sees, by their names; none unless they are named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

impl NodeScope {
    /// A scope that hides nothing.
    pub fn everything() -> Self {
        Self { secrets: vec!["*".into()], ..Self::default() }
    }

    /// Compiles it.
    ///
    /// # Errors
    /// As [`Scope::new`].
    pub fn compile(&self) -> Result<Scope, ScopeError> {
        Scope::new(self.clone())
    }

    /// The parts that are globs, by name.
    fn parts(&self) -> [(&'static str, &[String]); 6] {
        [
            ("nodes", &self.nodes),
            ("clusters", &self.clusters),
            ("repositories", &self.repositories),
            ("stages", &self.stages),
            ("groups", &self.groups),
            ("secrets", &self.secrets),
        ]
    }
}

/// What is granted to a node's token that is issued: a scope, and the
/// certificates that stand for the token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeGrant {
    /// What its holder may be and see.
    pub scope: NodeScope,
    /// Patterns over the names in certificates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
}

impl NodeGrant {
    /// Checks it. Who may be which node, and in which stage, must be said.
    ///
    /// # Errors
    /// The first part that is wrong or missing.
    pub fn check(&self) -> Result<(), ScopeError> {
        self.scope.compile()?;
        self.patterns()?;
        let scope = &self.scope;
        let missing = |part, message: &str| ScopeError { part, message: message.to_owned() };
        if scope.nodes.is_empty() && scope.clusters.is_empty() && self.certificates.is_empty() {
            let message = "which nodes may use it must be said, as in web-*; `*` is every node";
            return Err(missing("nodes", message));
        }
        if scope.stages.is_empty() {
            let message = "from which stages it is served must be said; `*` is every stage";
            return Err(missing("stages", message));
        }
        Ok(())
    }

    /// The patterns over certificate names.
    ///
    /// # Errors
    /// The first that can't be read.
    pub fn patterns(&self) -> Result<Vec<NamePattern>, ScopeError> {
        let part = "certificates";
        if self.certificates.len() > PATTERNS_MAX {
            let message = format!("at most {PATTERNS_MAX} patterns can stand here");
            return Err(ScopeError { part, message });
        }
        let read = self.certificates.iter().map(|text| NamePattern::new(text));
        let refuse = |error: NamePatternError| ScopeError { part, message: error.to_string() };
        read.collect::<Result<_, _>>().map_err(refuse)
    }
}

/// What is wrong with a scope; the text names the part, the rule and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{part}`: {message}")]
pub struct ScopeError {
    /// The part.
    pub part: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Why a node is not served what it asks for; the text names the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// What was looked at, as in `node.id`.
    pub what: &'static str,
    /// What it was.
    pub is: String,
    /// The part of the scope that says otherwise.
    pub part: &'static str,
    /// What that part allows.
    pub allowed: Vec<String>,
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = self.allowed.join(", ");
        write!(f, "its {} `{}` is not among `{}` ({allowed})", self.what, self.is, self.part)
    }
}

/// A scope ready to be asked.
#[derive(Debug, Clone)]
pub struct Scope {
    rule: NodeScope,
    nodes: Globs,
    clusters: Globs,
    repositories: Globs,
    stages: Globs,
    groups: Globs,
    secrets: GlobSet,
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

impl Eq for Scope {}

impl Scope {
    /// Compiles a scope.
    ///
    /// # Errors
    /// A pattern that can't be read, too many of them, or parts that
    /// contradict each other.
    pub fn new(rule: NodeScope) -> Result<Self, ScopeError> {
        for (part, patterns) in rule.parts() {
            check_size(part, patterns)?;
        }
        let kinds = &rule.kinds;
        let hides_secrets = !kinds.is_empty() && !kinds.contains(&ResourceKind::Secrets);
        if hides_secrets && !rule.secrets.is_empty() {
            let message = "secrets are named although `kinds` leaves them out; add `secrets` to \
                           `kinds`, or name none";
            return Err(ScopeError { part: "secrets", message: message.into() });
        }
        Ok(Self {
            nodes: Globs::new("nodes", &rule.nodes)?,
            clusters: Globs::new("clusters", &rule.clusters)?,
            repositories: Globs::new("repositories", &rule.repositories)?,
            stages: Globs::new("stages", &rule.stages)?,
            groups: Globs::new("groups", &rule.groups)?,
            secrets: compile("secrets", &rule.secrets)?,
            rule,
        })
    }

    /// The scope as it is written.
    pub fn rule(&self) -> &NodeScope {
        &self.rule
    }

    /// Whether its holder may say that it is `node`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn may_be(&self, node: &NodeIdentity) -> Result<(), Outside> {
        self.nodes.check("node.id", &node.id.0, "nodes", &self.rule.nodes)?;
        self.clusters.check("node.cluster", &node.cluster, "clusters", &self.rule.clusters)
    }

    /// Whether its holder may be served from `key`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn may_have(&self, key: &SnapshotKey) -> Result<(), Outside> {
        let rule = &self.rule;
        self.repositories.check(
            "repository",
            key.repo.as_str(),
            "repositories",
            &rule.repositories,
        )?;
        self.stages.check("stage", key.stage.as_str(), "stages", &rule.stages)?;
        self.groups.check("node group", key.group.as_str(), "groups", &rule.groups)
    }

    /// Whether its holder sees a resource.
    pub fn sees(&self, type_url: &TypeUrl, name: &ResourceName) -> bool {
        let kinds = &self.rule.kinds;
        match type_url.kind() {
            Some(ResourceKind::Secrets) => self.secrets.is_match(&*name.0),
            Some(kind) => kinds.is_empty() || kinds.contains(&kind),
            // A type that is none of Envoy's kinds can't be listed.
            None => kinds.is_empty(),
        }
    }
}

/// A part that restricts; `None` where nothing was written.
#[derive(Debug, Clone)]
struct Globs(Option<GlobSet>);

impl Globs {
    fn new(part: &'static str, patterns: &[String]) -> Result<Self, ScopeError> {
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        compile(part, patterns).map(|set| Self(Some(set)))
    }

    fn check(
        &self,
        what: &'static str,
        is: &str,
        part: &'static str,
        allowed: &[String],
    ) -> Result<(), Outside> {
        match &self.0 {
            Some(set) if !set.is_match(is) => {
                Err(Outside { what, is: is.to_owned(), part, allowed: allowed.to_vec() })
            }
            _ => Ok(()),
        }
    }
}

fn check_size(part: &'static str, patterns: &[String]) -> Result<(), ScopeError> {
    if patterns.len() > PATTERNS_MAX {
        let message = format!("at most {PATTERNS_MAX} patterns can stand here; use `*`");
        return Err(ScopeError { part, message });
    }
    if patterns.iter().any(|one| one.is_empty() || one.chars().count() > PATTERN_MAX) {
        let message = format!("a pattern has 1 to {PATTERN_MAX} characters; `*` matches anything");
        return Err(ScopeError { part, message });
    }
    Ok(())
}

fn compile(part: &'static str, patterns: &[String]) -> Result<GlobSet, ScopeError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern).map_err(|error| ScopeError {
            part,
            message: format!(
                "`{}` is no pattern: {}; write it as web-*, or `*` for anything",
                pattern.escape_debug(),
                error.kind()
            ),
        })?;
        set.add(glob);
    }
    let large = |error: globset::Error| ScopeError {
        part,
        message: format!("the patterns can't be used together: {}", error.kind()),
    };
    set.build().map_err(large)
}

#[cfg(test)]
mod tests;
