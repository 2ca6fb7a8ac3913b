//! Addresses of console pages. The only place in chat that knows their shape.

use std::fmt::Write as _;

use crate::model::{PromotionId, RepoName, Stage};

/// Builds links under Convoy's own public address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    base: String,
}

impl Links {
    /// `base` is what browsers reach Convoy by, `https://convoy.example.com`.
    pub fn new(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned() }
    }

    /// The board of every pipeline.
    pub fn board(&self) -> String {
        format!("{}/", self.base)
    }

    /// The page of a promotion.
    pub fn promotion(&self, id: &PromotionId) -> String {
        format!("{}/promotions/{}", self.base, part(id.as_str()))
    }

    /// The page on which a Slack user says who they are.
    pub fn linking(&self, token: &str) -> String {
        format!("{}/slack/link?token={}", self.base, part(token))
    }

    /// What changes from one side to the other, each a bundle or a stage; for
    /// bundles, in `stage`.
    pub fn diff(
        &self,
        repo: &RepoName,
        stage: Option<&Stage>,
        from: Option<&str>,
        to: &str,
    ) -> String {
        let (project, name) = (part(repo.project()), part(repo.repository()));
        let mut link = format!("{}/r/{project}/{name}/diff?to={}", self.base, part(to));
        // A stage that serves nothing so far stands for itself.
        if let Some(from) = from.or(stage.map(Stage::as_str)) {
            let _ = write!(link, "&from={}", part(from));
        }
        if let Some(stage) = stage {
            let _ = write!(link, "&stage={}", part(stage.as_str()));
        }
        link
    }
}

/// Names need no escaping by their own rule; this keeps it so.
fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A link in Slack's markup. `label` must be plain.
pub(super) fn link(url: &str, label: &str) -> String {
    let url = url.replace('|', "%7C").replace('<', "%3C").replace('>', "%3E");
    format!("<{}|{label}>", url.replace('&', "&amp;"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_under_the_base() {
        let links = Links::new("https://convoy.example.com/");
        let repo = RepoName::new("mesh/config").unwrap();
        assert_eq!(
            links.diff(&repo, Stage::new("canary").ok().as_ref(), Some("b-1"), "b-2"),
            "https://convoy.example.com/r/mesh/config/diff?to=b-2&from=b-1&stage=canary"
        );
        assert_eq!(link("https://x/?a=1&b=2", "x"), "<https://x/?a=1&amp;b=2|x>");
    }
}
