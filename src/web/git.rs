//! Repositories for stock `git`, to clone and fetch:
//! `git clone https://HOST/PROJECT/REPO.git`, with or without the `.git`.
//!
//! Smart HTTP only (protocol 2, and 0 for old clients), read-only. A token
//! goes as `Authorization: Bearer`, or as the password of Basic
//! authentication, which is what credential helpers send and what only these
//! routes ask for.
//!
//! A clone holds everything, so it takes the right to read the whole
//! repository. What answers is `mirror`'s `git upload-pack`.

use std::io::Read as _;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Deserialize;

use super::Site;
use super::access::{Access, Entry};
use super::auth::Caller;
use super::error::Fault;
use super::extract::{Path, Query};
use crate::access::{Reach, Right};
use crate::mirror::{Answer, Ask, ServeError};
use crate::model::RepoName;

/// What a zipped request may hold: half a million commits that a client has.
const BODY_BYTES_MAX: u64 = 32 << 20;

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const REQUEST: &str = "application/x-git-upload-pack-request";
const RESULT: &str = "application/x-git-upload-pack-result";

const READ_ONLY: &str = "repositories are read-only over Git: commit in the console, over the \
                         API, or to the remote that the repository mirrors";

/// The routes. The guard lets everybody pass, because a refusal must be in
/// Git's words and ask for Basic authentication; [`open`] is what guards.
pub(crate) fn routes() -> Vec<Entry> {
    vec![
        Entry::get("/{project}/{repo}/info/refs", Access::Public, advertise),
        Entry::post("/{project}/{repo}/git-upload-pack", Access::Public, upload_pack).with_files(),
        Entry::post("/{project}/{repo}/git-receive-pack", Access::Public, receive_pack),
    ]
}

type Named = Path<(String, String)>;

#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    service: String,
}

async fn advertise(
    State(site): State<Site>,
    Path((project, repo)): Named,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let repo = match open(&site, &headers, &project, &repo) {
        Ok(repo) => repo,
        Err(refusal) => return refusal,
    };
    match wanted.service.as_str() {
        "git-upload-pack" => {}
        "git-receive-pack" => return say(StatusCode::FORBIDDEN, READ_ONLY),
        _ => return say(StatusCode::FORBIDDEN, "only Git's smart protocol is spoken; update git"),
    }
    // What was acknowledged before the request is part of the answer.
    if let Err(error) = site.web.store.flush(&repo).await {
        return Fault::from(error).into_response();
    }
    let protocol = protocol(&headers);
    // Older clients want to see which service answers; version 2 dropped it.
    let is_v2 = protocol.iter().flat_map(|text| text.split(':')).any(|word| word == "version=2");
    let head = if is_v2 { Bytes::new() } else { Bytes::from_static(HEAD) };
    let ask = ask(&site, &repo, protocol, Bytes::new(), true);
    answer(&site, ask, ADVERTISEMENT, head).await
}

/// `# service=git-upload-pack` as one of Git's lines, and the end of a part.
const HEAD: &[u8] = b"001e# service=git-upload-pack\n0000";

async fn upload_pack(
    State(site): State<Site>,
    Path((project, repo)): Named,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let repo = match open(&site, &headers, &project, &repo) {
        Ok(repo) => repo,
        Err(refusal) => return refusal,
    };
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != REQUEST) {
        let text = format!("the body must be {REQUEST}");
        return say(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text);
    }
    let body = match plain(&headers, body) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let ask = ask(&site, &repo, protocol(&headers), body, false);
    answer(&site, ask, RESULT, Bytes::new()).await
}

async fn receive_pack(
    State(site): State<Site>,
    Path((project, repo)): Named,
    headers: HeaderMap,
) -> Response {
    match open(&site, &headers, &project, &repo) {
        Ok(_) => say(StatusCode::FORBIDDEN, READ_ONLY),
        Err(refusal) => refusal,
    }
}

/// The repository, if it is there and the caller may read all of it.
#[allow(clippy::result_large_err, reason = "a response is the error here, and is made once")]
fn open(site: &Site, headers: &HeaderMap, project: &str, repo: &str) -> Result<RepoName, Response> {
    let caller = site.web.auth.identify(headers).ok_or_else(ask_who)?;
    let repo = repo.strip_suffix(".git").unwrap_or(repo);
    let missing = || {
        let text = format!("there is no repository `{project}/{repo}` that you may read");
        say(StatusCode::NOT_FOUND, &text)
    };
    let name = RepoName::new(&format!("{project}/{repo}")).map_err(|_| missing())?;
    let reach = reach(site, &caller, &name);
    if reach == Reach::Nothing || site.web.govern.registry().repository(&name).is_none() {
        return Err(missing());
    }
    if let Reach::Some(_) = reach {
        let text = format!(
            "`{}` may read some paths of `{name}` only, and a clone holds everything; read them \
             over the API, or ask an owner of `{project}` for the right `read` on `{name}`",
            caller.name
        );
        return Err(say(StatusCode::FORBIDDEN, &text));
    }
    Ok(name)
}

fn reach(site: &Site, caller: &Caller, repo: &RepoName) -> Reach {
    caller.reach(site, Right::Read, repo)
}

fn ask_who() -> Response {
    let text = "send a token as the password; any user name does";
    let mut response = say(StatusCode::UNAUTHORIZED, text);
    let ask = HeaderValue::from_static("Basic realm=\"Convoy\", charset=\"UTF-8\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    response
}

/// A refusal in plain text, which is what `git` shows.
fn say(status: StatusCode, text: &str) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, format!("{text}\n")).into_response()
}

fn protocol(headers: &HeaderMap) -> Option<String> {
    headers.get("git-protocol")?.to_str().ok().map(str::to_owned)
}

fn ask(
    site: &Site,
    repo: &RepoName,
    protocol: Option<String>,
    body: Bytes,
    advertise: bool,
) -> Ask {
    Ask { git_dir: site.web.store.git_dir(repo), protocol, advertise, body }
}

/// A request's body, unzipped where it was zipped.
#[allow(clippy::result_large_err, reason = "a response is the error here, and is made once")]
fn plain(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Response> {
    let coding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    match coding {
        None | Some(b"identity") => return Ok(body),
        Some(b"gzip" | b"x-gzip") => {}
        Some(_) => {
            return Err(say(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a body is plain or gzip"));
        }
    }
    let mut plain = Vec::new();
    let mut zipped = flate2::read::MultiGzDecoder::new(&*body).take(BODY_BYTES_MAX + 1);
    if zipped.read_to_end(&mut plain).is_err() {
        return Err(say(StatusCode::BAD_REQUEST, "the body is not gzip as its header says"));
    }
    if plain.len() as u64 > BODY_BYTES_MAX {
        return Err(say(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large; clone anew"));
    }
    Ok(plain.into())
}

async fn answer(site: &Site, ask: Ask, kind: &'static str, head: Bytes) -> Response {
    let answer = match site.web.git.answer(ask).await {
        Ok(answer) => answer,
        Err(ServeError::Busy) => {
            let mut busy =
                say(StatusCode::SERVICE_UNAVAILABLE, "too many clones at once; try again");
            busy.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            return busy;
        }
        Err(error) => return Fault::internal(&error).into_response(),
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache, no-store")];
    (headers, body(head, answer)).into_response()
}

fn body(head: Bytes, answer: Answer) -> Body {
    let start = (Some(head).filter(|head| !head.is_empty()), answer);
    let pieces = futures_util::stream::unfold(start, |(head, mut answer)| async move {
        match head {
            Some(head) => Some((Ok(head), (None, answer))),
            None => answer.next().await.map(|piece| (piece, (None, answer))),
        }
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_unfolds_without_end_is_refused() {
        use std::io::Write as _;
        let zip = |length: u64| {
            let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            let piece = vec![0; 1 << 20];
            for _ in 0..length >> 20 {
                zipped.write_all(&piece).unwrap();
            }
            Bytes::from(zipped.finish().unwrap())
        };
        let gzip =
            HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert_eq!(plain(&gzip, zip(1 << 20)).unwrap().len(), 1 << 20);
        let status = |body| plain(&gzip, body).expect_err("refused").status();
        assert_eq!(status(zip(BODY_BYTES_MAX + (1 << 20))), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status(Bytes::from_static(b"plain")), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn the_first_line_has_the_length_that_it_says() {
        let length = usize::from_str_radix(std::str::from_utf8(&HEAD[..4]).unwrap(), 16).unwrap();
        assert_eq!(&HEAD[length..], b"0000");
    }
}
