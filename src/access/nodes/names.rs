//! Which certificates are a credential's: patterns over the names in a
//! certificate, that may say which node its holder is.
//!
//! A pattern with `://` is for the URIs (SPIFFE ids), any other for the DNS
//! names. `*` is one segment of it, `**` any text; `{node}` and `{cluster}`
//! are one segment each, and its holder must be exactly that node.

use regex::Regex;

use crate::model::NodeIdentity;

use super::Outside;

/// Characters of one pattern.
const PATTERN_MAX: usize = 512;

/// One name in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// A URI, as SPIFFE ids are.
    Uri(String),
    /// A DNS name.
    Dns(String),
}

impl CertificateName {
    /// The name alone.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Uri(name) | Self::Dns(name) => name,
        }
    }
}

/// A pattern ready to be asked.
#[derive(Debug, Clone)]
pub struct NamePattern {
    text: String,
    uri: bool,
    regex: Regex,
}

/// Why a text is no pattern of certificate names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no pattern of certificate names: {reason}")]
pub struct NamePatternError {
    pattern: String,
    reason: &'static str,
}

/// What the name of a certificate says of its holder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    /// The `node.id` it must have.
    pub node: Option<String>,
    /// The `node.cluster` it must have.
    pub cluster: Option<String>,
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for NamePattern {}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It is empty, too long, or has a placeholder that is not known.
    pub fn new(text: &str) -> Result<Self, NamePatternError> {
        let refuse = |reason| NamePatternError { pattern: text.escape_debug().to_string(), reason };
        if text.is_empty() || text.chars().count() > PATTERN_MAX {
            return Err(refuse("it has 1 to 512 characters"));
        }
        let uri = text.contains("://");
        let expression = translate(text, uri).map_err(refuse)?;
        let regex = Regex::new(&expression).map_err(|_| refuse("it is too large"))?;
        Ok(Self { text: text.to_owned(), uri, regex })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What a name says of its holder, where the pattern matches it.
    pub fn matches(&self, name: &CertificateName) -> Option<Bound> {
        let is_uri = matches!(name, CertificateName::Uri(_));
        let captures = self.regex.captures(name.as_str()).filter(|_| is_uri == self.uri)?;
        let part = |group| captures.name(group).map(|found| found.as_str().to_owned());
        Some(Bound { node: part("node"), cluster: part("cluster") })
    }
}

impl Bound {
    /// Whether its holder may say that it is `node`.
    ///
    /// # Errors
    /// What the certificate says instead.
    pub fn may_be(&self, node: &NodeIdentity) -> Result<(), Outside> {
        let check = |what, is: &str, bound: &Option<String>| match bound {
            Some(name) if name != is => Err(Outside {
                what,
                is: is.to_owned(),
                part: "the name in the certificate",
                allowed: vec![name.clone()],
            }),
            _ => Ok(()),
        };
        check("node.id", &node.id.0, &self.node)?;
        check("node.cluster", &node.cluster, &self.cluster)
    }
}

fn translate(pattern: &str, uri: bool) -> Result<String, &'static str> {
    let segment = if uri { "[^/]" } else { "[^.]" };
    // Host names are the same in any case; URIs are not. Lines don't matter to
    // either, so `.` is any character.
    let mut out = String::from(if uri { "(?s)\\A" } else { "(?si)\\A" });
    let mut rest = pattern;
    let mut seen = Vec::new();
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**") {
            out.push_str(".*");
            rest = after;
        } else if let Some(after) = rest.strip_prefix('*') {
            out.push_str(segment);
            out.push('*');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or("a `{` is not closed")?;
            if !["node", "cluster"].contains(&name) {
                return Err("only {node} and {cluster} can stand in braces");
            }
            if seen.contains(&name) {
                return Err("each of {node} and {cluster} can stand there once");
            }
            seen.push(name);
            out.push_str(&format!("(?P<{name}>{segment}+)"));
            rest = after;
        } else {
            out.push_str(&regex::escape(&rest[..first.len_utf8()]));
            rest = &rest[first.len_utf8()..];
        }
    }
    out.push_str("\\z");
    Ok(out)
}
