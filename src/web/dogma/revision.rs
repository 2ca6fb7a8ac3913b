//! Revisions as Central Dogma's clients write them: `head`, `-1`, `3`, `3.0`.

use super::fault;
use crate::model::{RepoName, Revision};
use crate::web::Site;
use crate::web::error::Fault;

/// A revision as it is asked for; below 0 it counts from the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked(pub(super) i64);

impl Asked {
    /// The newest.
    pub(super) const HEAD: Self = Self(-1);

    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        if text.eq_ignore_ascii_case("head") {
            return Ok(Self::HEAD);
        }
        // Long ago revisions had a minor number; it is 0 ever since.
        let major = text.strip_suffix(".0").unwrap_or(text);
        match major.parse::<i64>() {
            Ok(number) if number != 0 && !major.starts_with('+') => Ok(Self(number)),
            _ => Err(fault::illegal(format!(
                "revision: `{}`: write a whole number other than 0, or `head`",
                text.escape_debug()
            ))),
        }
    }

    /// The revision itself, in a repository whose newest is `head`.
    pub(super) fn normalise(self, repo: &RepoName, head: Revision) -> Result<Revision, Fault> {
        let newest = i64::try_from(head.0).unwrap_or(i64::MAX);
        let number =
            if self.0 < 0 { newest.saturating_add(self.0).saturating_add(1) } else { self.0 };
        match u64::try_from(number) {
            Ok(number) if number > 0 && number <= head.0 => Ok(Revision(number)),
            _ => {
                let text = format!("`{repo}` has no revision {} (newest: {head})", self.0);
                Err(fault::no_revision(text))
            }
        }
    }
}

/// The newest revision of a repository.
pub(super) fn head(site: &Site, repo: &RepoName) -> Result<Revision, Fault> {
    Ok(site.web.store.head(repo).map_err(fault::store)?.revision)
}

/// The revision that a text asks for; without one, the newest.
pub(super) fn find(site: &Site, repo: &RepoName, text: Option<&str>) -> Result<Revision, Fault> {
    let asked = text.filter(|text| !text.is_empty()).map_or(Ok(Asked::HEAD), Asked::parse)?;
    asked.normalise(repo, head(site, repo)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_read_in_every_form() {
        let repo = RepoName::new("a/b").expect("a name");
        let at = |text: &str| Asked::parse(text)?.normalise(&repo, Revision(5));
        for (text, expect) in
            [("head", 5), ("HEAD", 5), ("-1", 5), ("-5", 1), ("3", 3), ("3.0", 3), ("1", 1)]
        {
            assert_eq!(at(text).expect(text), Revision(expect), "{text}");
        }
        for (text, status) in [
            ("0", 400),
            ("x", 400),
            ("", 400),
            ("+3", 400),
            ("3.1", 400),
            ("1e3", 400),
            ("6", 404),
            ("-6", 404),
            ("9223372036854775807", 404),
            ("-9223372036854775808", 404),
        ] {
            assert_eq!(at(text).expect_err(text).status.as_u16(), status, "{text}");
        }
    }
}
