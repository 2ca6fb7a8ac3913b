//! Merged files: several documents laid over each other, then queried.

use axum::extract::{RawQuery, State};
use serde_json::{Value, json};

use super::answer::{self, Reply};
use super::fault;
use super::names;
use super::revision;
use crate::access::Right;
use crate::content::{self, EntryKind};
use crate::model::{FilePath, RepoName, Revision};
use crate::store::StoreError;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Path;

/// Files of one merge.
const SOURCES_MAX: usize = 100;

/// What is merged.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    revision: Option<String>,
    /// In their order, with whether they must be there.
    sources: Vec<(String, bool)>,
    json_paths: Vec<String>,
}

impl Asked {
    /// Reads the query. Clients send it unencoded as well as encoded, so it is
    /// decoded as a whole first, and only then taken apart.
    fn parse(query: &str) -> Self {
        let query = query.replace('+', " ");
        let decoded = percent_decoded(&query);
        let mut asked = Self::default();
        for part in decoded.split('&') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "path" => asked.sources.push((value.to_owned(), true)),
                "optional_path" => asked.sources.push((value.to_owned(), false)),
                "jsonpath" => asked.json_paths.push(value.to_owned()),
                "revision" => asked.revision = Some(value.to_owned()),
                _ => {}
            }
        }
        asked
    }
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub(super) async fn merge(
    State(site): State<Site>,
    Path((project, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    caller: Caller,
) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let asked = Asked::parse(query.as_deref().unwrap_or(""));
    if asked.sources.is_empty() || asked.sources.len() > SOURCES_MAX {
        let text = format!("name 1 to {SOURCES_MAX} files by `path` or `optional_path`");
        return Err(fault::illegal(text));
    }
    let at = revision::find(&site, &repo, asked.revision.as_deref())?;
    let mut sources = Vec::with_capacity(asked.sources.len());
    for (path, required) in &asked.sources {
        let path = names::file(path)?;
        caller.may(&site, Right::Read, &repo, Some(&path))?;
        sources.push((path, *required));
    }
    super::blocking(move || merged(&site, &repo, at, &sources, &asked.json_paths)).await
}

fn merged(
    site: &Site,
    repo: &RepoName,
    at: Revision,
    sources: &[(FilePath, bool)],
    json_paths: &[String],
) -> Reply {
    let (mut found, mut documents) = (Vec::new(), Vec::new());
    for (path, required) in sources {
        match document(site, repo, at, path) {
            Ok(Some(document)) => {
                found.push(format!("/{path}"));
                documents.push(document);
            }
            Ok(None) if *required => {
                return Err(fault::no_entry(format!("`/{path}` is not in revision {at}")));
            }
            Ok(None) => {}
            Err(fault) => return Err(fault),
        }
    }
    if documents.is_empty() {
        return Err(fault::no_entry(format!("none of the files is in revision {at} of `{repo}`")));
    }
    let failed = |error: content::ContentError| fault::query_failed(error.to_string());
    let mut content = content::overlay(&documents).map_err(failed)?;
    if !json_paths.is_empty() {
        content = content::select_in_sequence(&content, json_paths).map_err(failed)?;
    }
    answer::value(&json!({ "revision": at, "type": "JSON", "content": content, "paths": found }))
}

fn document(
    site: &Site,
    repo: &RepoName,
    at: Revision,
    path: &FilePath,
) -> Result<Option<Value>, Fault> {
    let file = match site.web.store.file(repo, at, path) {
        Ok(file) => file,
        Err(StoreError::NoFile { .. }) => return Ok(None),
        Err(error) => return Err(fault::store(error)),
    };
    let refuse = |why: &str| fault::query_failed(format!("`/{path}` can't be merged: {why}"));
    if EntryKind::of(path) == EntryKind::Text {
        return Err(refuse("it is no JSON or YAML file"));
    }
    let text = std::str::from_utf8(&file.content).map_err(|_| refuse("it is not UTF-8"))?;
    content::parse(path, text).map(Some).map_err(|error| refuse(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_decoded_before_it_is_taken_apart() {
        let expect = Asked {
            revision: Some("4".into()),
            sources: vec![("/a.json".into(), true), ("/b.json".into(), false)],
            json_paths: vec!["$.inner".into()],
        };
        for query in [
            "revision=4&path=/a.json&optional_path=/b.json&jsonpath=$.inner",
            "revision=4&path=%2Fa.json&optional_path=%2fb.json&jsonpath=%24.inner",
            "revision=4%26path=/a.json%26optional_path%3D/b.json&jsonpath=$.inner",
        ] {
            assert_eq!(Asked::parse(query), expect, "{query}");
        }
    }
}
