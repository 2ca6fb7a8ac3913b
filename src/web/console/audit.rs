//! The audit log, newest first, of one repository or person or of all.

use axum::extract::State;
use axum::response::Html;
use serde::{Deserialize, Serialize};

use crate::model::RepoName;
use crate::store::AuditEntry;
use crate::web::Site;
use crate::web::api::newest_entries;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Query;

/// Entries of one page.
const PAGE: usize = 50;

#[derive(Deserialize)]
pub(super) struct AuditForm {
    #[serde(default)]
    repo: String,
    #[serde(default)]
    who: String,
    before: Option<u64>,
}

#[derive(Serialize)]
struct AuditPage {
    repo: String,
    who: String,
    /// All that can be chosen from.
    repos: Vec<String>,
    entries: Vec<Line>,
    /// Where the next page begins.
    older: Option<u64>,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    entry: AuditEntry,
    who: String,
    via: String,
    /// What it led to, for people.
    after_short: String,
}

impl Line {
    fn of(entry: AuditEntry) -> Self {
        Self {
            who: entry.origin.name.clone(),
            via: format!("{:?}", entry.origin.actor.via).to_lowercase(),
            after_short: entry.after.map(|commit| commit.short()).unwrap_or_default(),
            entry,
        }
    }
}

pub(super) async fn show(
    State(site): State<Site>,
    Query(query): Query<AuditForm>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let AuditForm { repo, who, before } = query;
    let (repo, who) = (repo.trim().to_owned(), who.trim().to_owned());
    let named = (!repo.is_empty()).then(|| RepoName::try_from(repo.clone())).transpose()?;
    let wanted = who.clone();
    let by = move |entry: &AuditEntry| {
        let person = entry.origin.actor.person.as_ref().map(|person| person.as_str());
        wanted.is_empty() || entry.origin.name == wanted || person == Some(wanted.as_str())
    };
    let (entries, older) = newest_entries(&site, before, named, PAGE, by).await?;
    let registry = site.web.govern.registry();
    let all = std::iter::once(RepoName::state()).chain(registry.repositories());
    let repos: Vec<_> = all.map(|repo| repo.to_string()).collect();
    let entries = entries.into_iter().map(Line::of).collect();
    let page = AuditPage { repo, who, repos, entries, older };
    site.pages.render("audit.html", Some(&caller), page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CommitId, ContentHash, Origin, Revision};
    use crate::web::console::pages::tests::page;

    #[test]
    fn an_entry_says_who_did_what_and_where() {
        let entry = AuditEntry {
            number: 7,
            time: jiff::Timestamp::UNIX_EPOCH,
            origin: Origin::system(),
            act: "commit".into(),
            repo: RepoName::new("mesh/config").unwrap(),
            revision: Revision(3),
            before: None,
            after: Some(CommitId([1; 20])),
            summary: "Change <it>".into(),
            previous: ContentHash([0; 32]),
            hash: ContentHash([1; 32]),
        };
        let html = page(
            "audit.html",
            AuditPage {
                repo: "mesh/config".into(),
                who: String::new(),
                repos: vec!["@convoy/state".into(), "mesh/config".into()],
                entries: vec![Line::of(entry)],
                older: Some(7),
            },
        );
        for part in ["Change &lt;it&gt;", "system", "before=7", "0101010101"] {
            assert!(html.contains(part), "{part} is not in\n{html}");
        }
    }
}
