//! A file's bytes, for programs that want nothing else: the shortest way
//! through the API, and the one that is asked most.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::params::Params;
use super::scope::FileScope;
use crate::model::{At, BlobId};
use crate::web::Site;
use crate::web::error::Fault;

/// Which revision was read.
pub(super) const REVISION: HeaderName = HeaderName::from_static("x-convoy-revision");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// It may be kept, and must be asked for again: rights can end.
const CACHING: HeaderValue = HeaderValue::from_static("private, no-cache");

pub(super) async fn raw(
    State(site): State<Site>,
    FileScope { scope, path }: FileScope,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let params = params.only(&["revision"])?;
    let revision = scope.revision(&site, params.value::<At>("revision")?)?;
    let file = site.web.store.file(&scope.repo, revision, &path)?;
    let tag = tag(&file.blob)?;
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|given| names(given, &tag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let kind = if std::str::from_utf8(&file.content).is_ok() { TEXT } else { BYTES };
        ([(header::CONTENT_TYPE, kind)], file.content).into_response()
    };
    let answer = response.headers_mut();
    answer.insert(header::ETAG, tag);
    answer.insert(header::CACHE_CONTROL, CACHING);
    answer.insert(REVISION, revision.0.into());
    Ok(response)
}

/// The strong validator of a content: Git's name of it, in quotes.
fn tag(blob: &BlobId) -> Result<HeaderValue, Fault> {
    let text = format!("\"{blob}\"");
    HeaderValue::try_from(text).map_err(|error| Fault::internal(&error))
}

/// Whether an `If-None-Match` names the tag: `*`, or a list of tags, each
/// strong or weak.
fn names(given: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(given), Ok(tag)) = (given.to_str(), tag.to_str()) else { return false };
    let mut given = given.split(',').map(|one| one.trim());
    given.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_content_is_found_in_every_form_of_the_header() {
        let tag = tag(&BlobId([1; 20])).unwrap();
        let text = tag.to_str().unwrap();
        for (given, expected) in [
            ("*".to_owned(), true),
            (text.to_owned(), true),
            (format!("W/{text}"), true),
            (format!("\"x\", {text}"), true),
            (text.trim_matches('"').to_owned(), false),
            ("\"x\"".to_owned(), false),
            (String::new(), false),
        ] {
            let given = HeaderValue::try_from(given).unwrap();
            assert_eq!(names(&given, &tag), expected, "{given:?}");
        }
    }
}
