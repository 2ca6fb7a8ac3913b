//! GitHub's webhook: a nudge to look at an upstream, never a source of truth.
//!
//! ```text
//! push                                 ─▶ the upstream is looked at
//! pull_request                         ─▶ its pull requests are looked at
//! check_run, check_suite rerequested   ─▶ its cells run again, and what is said
//!                                         of the commit is said again
//! installation, installation_repositories ─▶ everything is looked at
//! ```
//!
//! Which commits there are and what waits is asked of GitHub afterwards, so
//! deliveries may be lost, repeated or out of order. One that was received
//! before does nothing for three days, as long as GitHub itself keeps it.
//!
//! <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use super::{Desk, GitHubHook, Hooks};
use crate::chat::Seen;
use crate::hosting::Hosting;
use crate::model::{Actor, CommitId, ContentHash, RepoName, Secret, Via};
use crate::reconcile::{Act as Wanted, Command};
use crate::telemetry::clock;

/// As long as GitHub lets a delivery be sent again.
const REMEMBER: Duration = Duration::from_secs(3 * 24 * 3600);
const REMEMBER_MAX: usize = 20_000;
/// Repositories of an installation that are looked at.
const REPOSITORIES_MAX: usize = 1_000;

/// Who is told that something about a repository may have changed.
pub trait Told: Send + Sync + std::fmt::Debug {
    /// Its pull requests.
    fn pulls(&self, repo: &RepoName);
    /// What is said about a commit shall be said again.
    fn again(&self, repo: &RepoName, commit: CommitId);
}

impl Told for Hosting {
    fn pulls(&self, repo: &RepoName) {
        self.nudge(repo);
    }

    fn again(&self, repo: &RepoName, commit: CommitId) {
        Self::again(self, repo, commit);
    }
}

/// Every configured webhook, and the deliveries of late.
#[derive(Debug)]
pub struct GitHub {
    hooks: Vec<GitHubHook>,
    seen: Mutex<Seen<String>>,
    told: Arc<dyn Told>,
}

impl GitHub {
    /// One entry per mirrored repository that GitHub tells us about.
    pub fn new(hooks: Vec<GitHubHook>) -> Self {
        let seen = Mutex::new(Seen::new(REMEMBER, REMEMBER_MAX));
        Self { hooks, seen, told: Arc::new(Hosting::default()) }
    }

    /// The same, telling `told` what is not about pushes.
    #[must_use]
    pub fn telling(self, told: Arc<dyn Told>) -> Self {
        Self { told, ..self }
    }

    /// The hooks whose secret made this signature. All are compared.
    fn signed(&self, signature: &[u8], body: &[u8]) -> Vec<&GitHubHook> {
        let signed = |hook: &&GitHubHook| {
            let good = hook.secrets.iter().filter(|secret| is_signed(secret, signature, body));
            good.count() > 0
        };
        self.hooks.iter().filter(signed).collect()
    }

    /// Whether a delivery is new. One without a name is known by its body.
    fn first(&self, delivery: Option<&str>, body: &[u8]) -> bool {
        let named = delivery.filter(|name| !name.is_empty() && name.len() <= 64);
        let name = named.map_or_else(|| ContentHash::of(body).to_string(), str::to_owned);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.first(name, clock::now())
    }
}

/// As much of any payload as is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload {
    action: String,
    #[serde(rename = "ref")]
    reference: String,
    deleted: bool,
    forced: bool,
    repository: Option<Repository>,
    pull_request: Option<PullRequest>,
    check_run: Option<Checked>,
    check_suite: Option<Checked>,
    repositories: Vec<Repository>,
    repositories_added: Vec<Repository>,
    repositories_removed: Vec<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    base: Base,
}

#[derive(Debug, Deserialize)]
struct Base {
    #[serde(rename = "ref")]
    branch: String,
}

#[derive(Debug, Deserialize)]
struct Checked {
    head_sha: String,
}

impl Payload {
    /// Whether it is about the repository of a hook.
    fn is_about(&self, hook: &GitHubHook) -> bool {
        let named = |repository: &Repository| {
            let given = &hook.full_name;
            given.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(&repository.full_name))
        };
        let lists = [&self.repositories, &self.repositories_added, &self.repositories_removed];
        let listed = lists.into_iter().flatten().take(REPOSITORIES_MAX);
        self.repository.iter().chain(listed).any(named)
    }
}

/// `POST /hooks/github`
pub(super) async fn receive(
    State(hooks): State<Hooks>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(signature) = header("x-hub-signature-256").and_then(parse_signature) else {
        tracing::warn!("github: a request without a sha256 signature was refused");
        return said(StatusCode::UNAUTHORIZED, "X-Hub-Signature-256 is missing or malformed");
    };
    let signed = hooks.github.signed(&signature, &body);
    if signed.is_empty() {
        tracing::warn!("github: a request with a wrong signature was refused");
        return said(StatusCode::UNAUTHORIZED, "the signature is wrong");
    }
    let act: Act = match header("x-github-event") {
        Some("ping") => return said(StatusCode::OK, "pong"),
        Some("push") => push,
        Some("pull_request") => pull_request,
        Some("check_run" | "check_suite") => rerequested,
        Some("installation" | "installation_repositories") => installation,
        _ => return said(StatusCode::ACCEPTED, "ignored: not an event that is used"),
    };
    let form = header(CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let payload: Payload = match serde_json::from_slice(&payload(&body, form)) {
        Ok(payload) => payload,
        Err(error) => {
            tracing::warn!("github: a signed payload can't be read: {error}");
            return said(StatusCode::BAD_REQUEST, "the payload can't be read");
        }
    };
    let meant: Vec<_> = signed.into_iter().filter(|hook| payload.is_about(hook)).collect();
    if meant.is_empty() {
        return said(StatusCode::ACCEPTED, "ignored: no such repository is mirrored");
    }
    let works = match act(&payload, &meant) {
        Ok(works) => works,
        Err(why) => return said(StatusCode::ACCEPTED, why),
    };
    if !hooks.github.first(header("x-github-delivery"), &body) {
        return said(StatusCode::OK, "already received");
    }
    for work in &works {
        work.run(&hooks).await;
    }
    said(StatusCode::ACCEPTED, "nudged")
}

/// What an event asks for, or why it is ignored.
type Act = fn(&Payload, &[&GitHubHook]) -> Result<Vec<Work>, &'static str>;

/// One thing to look at.
enum Work {
    Upstream(RepoName),
    Pulls(RepoName),
    Again(RepoName, CommitId),
}

impl Work {
    async fn run(&self, hooks: &Hooks) {
        match self {
            Self::Upstream(repo) => hooks.desk.nudge(repo),
            Self::Pulls(repo) => hooks.github.told.pulls(repo),
            Self::Again(repo, commit) => {
                hooks.github.told.again(repo, *commit);
                rerun(hooks.desk.as_ref(), repo.clone(), *commit).await;
            }
        }
    }
}

/// Has the smoke cells of a commit run again. GitHub lets those ask for it who
/// may write to the repository; nobody of ours is named by it. A commit that is
/// no revision of ours, as a pull request's head, has no cells.
async fn rerun(desk: &dyn Desk, repo: RepoName, commit: CommitId) {
    let view = desk.view();
    let mut of_repo = view.state.bundles.values().filter(|bundle| bundle.repo == repo);
    let Some(bundle) = of_repo.find(|bundle| bundle.commit.commit == commit) else { return };
    let id = bundle.id.to_string();
    let act = Wanted::Retest { repo, bundle: id.clone(), stage: None, version: None };
    let by = Actor { person: None, via: Via::Git };
    match desk.act(by, Command::Act(act)).await {
        Ok(_) => tracing::info!(bundle = id, "github: asked for again, its smoke cells run again"),
        Err(refusal) => {
            tracing::info!(bundle = id, "github: asked for again, not run: {}", refusal.message);
        }
    }
}

/// A branch that is gone or was rewritten is looked at like any other: what
/// that means is the reconciler's to say.
fn push(push: &Payload, meant: &[&GitHubHook]) -> Result<Vec<Work>, &'static str> {
    let branch = push.reference.strip_prefix("refs/heads/");
    let followed = meant.iter().filter(|hook| branch == Some(hook.branch.as_str()));
    let works: Vec<_> = followed.map(|hook| Work::Upstream(hook.repo.clone())).collect();
    if works.is_empty() {
        return Err("ignored: the branch is not mirrored");
    }
    tracing::info!(
        branch,
        deleted = push.deleted,
        forced = push.forced,
        "github: a push was announced"
    );
    Ok(works)
}

/// Whatever happened to it: what waits is asked for.
fn pull_request(payload: &Payload, meant: &[&GitHubHook]) -> Result<Vec<Work>, &'static str> {
    let pull = payload.pull_request.as_ref().ok_or("ignored: it names no pull request")?;
    // One that went to another branch by now is not shown any more.
    let moved = payload.action == "edited";
    let ours = meant.iter().filter(|hook| moved || hook.branch == pull.base.branch);
    let works: Vec<_> = ours.map(|hook| Work::Pulls(hook.repo.clone())).collect();
    if works.is_empty() { Err("ignored: it goes to another branch") } else { Ok(works) }
}

fn rerequested(payload: &Payload, meant: &[&GitHubHook]) -> Result<Vec<Work>, &'static str> {
    if payload.action != "rerequested" {
        return Err("ignored: nothing was asked for again");
    }
    let checked = payload.check_run.as_ref().or(payload.check_suite.as_ref());
    let commit = checked.and_then(|checked| checked.head_sha.parse().ok());
    let commit: CommitId = commit.ok_or("ignored: it names no commit")?;
    Ok(meant.iter().map(|hook| Work::Again(hook.repo.clone(), commit)).collect())
}

fn installation(payload: &Payload, meant: &[&GitHubHook]) -> Result<Vec<Work>, &'static str> {
    tracing::info!(action = payload.action, "github: an App's installation changed");
    let works = meant
        .iter()
        .flat_map(|hook| [Work::Upstream(hook.repo.clone()), Work::Pulls(hook.repo.clone())]);
    Ok(works.collect())
}

/// The JSON, which GitHub may send as the `payload` of a form.
fn payload(body: &Bytes, form: bool) -> Cow<'_, [u8]> {
    if !form {
        return Cow::Borrowed(body);
    }
    let mut fields = url::form_urlencoded::parse(body);
    let found = fields.find(|(name, _)| name == "payload");
    Cow::Owned(found.map_or_else(Vec::new, |(_, value)| value.into_owned().into_bytes()))
}

/// `sha256=` and 64 hex digits. SHA-1 signatures are not looked at.
fn parse_signature(text: &str) -> Option<[u8; 32]> {
    let hex = text.strip_prefix("sha256=")?;
    hex.parse().ok().map(|crate::model::ContentHash(bytes)| bytes)
}

/// In constant time. An empty secret signs nothing.
fn is_signed(secret: &Secret, signature: &[u8], body: &[u8]) -> bool {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
    !secret.is_empty()
        && mac.is_ok_and(|mac| mac.chain_update(body).verify_slice(signature).is_ok())
}

fn said(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "status": text }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::hooks::testing::{App, Counter, GITHUB_SECRET};

    const VECTOR: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn sign(body: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(GITHUB_SECRET.as_bytes()).unwrap();
        let bytes: [u8; 32] = mac.chain_update(body).finalize().into_bytes().into();
        format!("sha256={}", crate::model::ContentHash(bytes))
    }

    fn body(reference: &str, full_name: &str) -> String {
        json!({"ref": reference, "after": "0", "repository": {"full_name": full_name}}).to_string()
    }

    async fn deliver(app: &App, event: &str, delivery: &str, body: &str) -> (u16, String) {
        let signature = sign(body);
        let headers = [
            ("x-hub-signature-256", signature.as_str()),
            ("x-github-event", event),
            ("x-github-delivery", delivery),
        ];
        let (status, answer) = app.post("/hooks/github", &headers, body).await;
        (status, answer["status"].as_str().unwrap_or("").to_owned())
    }

    #[test]
    fn githubs_own_vector_is_accepted_and_nothing_near_it() {
        let secret = Secret::new("It's a Secret to Everybody");
        let signature = parse_signature(VECTOR).unwrap();
        assert!(is_signed(&secret, &signature, b"Hello, World!"));
        assert!(!is_signed(&secret, &signature, b"Hello, World?"));
        assert!(!is_signed(&Secret::new(""), &signature, b"Hello, World!"));
        for odd in ["", "sha256=", "sha1=757107ea0eb2509fc211221cce984b8a37570b6d", &VECTOR[..70]] {
            assert!(parse_signature(odd).is_none(), "{odd}");
        }
    }

    #[tokio::test]
    async fn a_push_to_the_mirrored_branch_nudges_once_per_delivery() {
        let app = App::start(Counter::new(Vec::new()));
        let push = body("refs/heads/main", "Acme/mesh");
        assert_eq!(deliver(&app, "push", "1", &push).await, (202, "nudged".into()));
        assert_eq!(deliver(&app, "push", "1", &push).await, (200, "already received".into()));
        assert_eq!(deliver(&app, "push", "2", &push).await.0, 202);
        assert_eq!(app.desk.nudges(), 2);
    }

    #[tokio::test]
    async fn a_delivery_without_a_name_is_known_by_its_body() {
        let app = App::start(Counter::new(Vec::new()));
        let push = body("refs/heads/main", "acme/mesh");
        assert_eq!(deliver(&app, "push", "", &push).await.0, 202);
        assert_eq!(deliver(&app, "push", "", &push).await, (200, "already received".into()));
        assert_eq!(app.desk.nudges(), 1);
    }

    /// What was told, in words.
    #[derive(Debug, Default)]
    struct Listener(Mutex<Vec<String>>);

    impl Told for Listener {
        fn pulls(&self, repo: &RepoName) {
            self.0.lock().unwrap().push(format!("pulls of {repo}"));
        }

        fn again(&self, repo: &RepoName, commit: CommitId) {
            self.0.lock().unwrap().push(format!("{repo} {}", commit.short()));
        }
    }

    #[tokio::test]
    async fn what_is_not_about_pushes_is_told_to_whoever_keeps_github_in_step() {
        let told = Arc::new(Listener::default());
        let app = App::telling(Counter::new(Vec::new()), told.clone());
        let about = |mut more: serde_json::Value| {
            more["repository"] = json!({"full_name": "acme/mesh"});
            more.to_string()
        };
        let pull = |action: &str, base: &str| {
            about(json!({"action": action, "pull_request": {"base": {"ref": base}}}))
        };
        let sha = "12".repeat(20);
        let run = |action: &str, sha: &str| {
            about(json!({"action": action, "check_run": {"head_sha": sha}}))
        };
        let installed = |name: &str| {
            json!({"action": "created", "repositories": [{"full_name": name}]}).to_string()
        };
        let table = [
            ("pull_request", pull("synchronize", "main"), "pulls of mesh/config"),
            ("pull_request", pull("closed", "main"), "pulls of mesh/config"),
            ("pull_request", pull("edited", "other"), "pulls of mesh/config"),
            ("pull_request", pull("opened", "other"), ""),
            ("check_run", run("rerequested", &sha), "mesh/config 1212121212"),
            ("check_run", run("completed", &sha), ""),
            ("check_run", run("rerequested", "main"), ""),
            (
                "check_suite",
                about(json!({"action": "rerequested", "check_suite": {"head_sha": sha}})),
                "mesh/config 1212121212",
            ),
            ("installation", installed("acme/mesh"), "pulls of mesh/config"),
            ("installation", installed("acme/other"), ""),
        ];
        for (n, (event, body, expected)) in table.iter().enumerate() {
            let (status, said) = deliver(&app, event, &format!("d{n}"), body).await;
            let heard: Vec<String> = std::mem::take(&mut *told.0.lock().unwrap());
            assert_eq!(
                (status, heard.concat().as_str()),
                (202, *expected),
                "{event} {body} {said}"
            );
            let (_, again) = deliver(&app, event, &format!("d{n}"), body).await;
            assert!(told.0.lock().unwrap().is_empty(), "{event} {body} {again}");
        }
    }

    #[tokio::test]
    async fn a_check_that_is_asked_for_again_runs_the_cells_of_its_commit_again() {
        let app = App::start(Counter::new(Vec::new()));
        let body = |sha: &str| {
            json!({"action": "rerequested", "repository": {"full_name": "acme/mesh"},
                "check_run": {"head_sha": sha}})
            .to_string()
        };
        // The commit of the newer bundle, twice the same delivery; none of ours.
        let sha = "0c".repeat(20);
        for (delivery, sha) in [("1", &sha), ("1", &sha), ("2", &"ff".repeat(20))] {
            deliver(&app, "check_run", delivery, &body(sha)).await;
        }
        let acts = app.desk.acts();
        let retest = Wanted::Retest {
            repo: crate::chat::samples::repo(),
            bundle: "b-new".into(),
            stage: None,
            version: None,
        };
        let by = Actor { person: None, via: Via::Git };
        assert_eq!(acts, [(by, Command::Act(retest))]);
    }

    #[tokio::test]
    async fn what_concerns_nobody_is_accepted_and_ignored() {
        let app = App::start(Counter::new(Vec::new()));
        let main = body("refs/heads/main", "acme/mesh");
        let table = [
            ("ping", r#"{"zen":"x"}"#.to_owned(), 200, "pong"),
            ("push", body("refs/heads/topic", "acme/mesh"), 202, "branch"),
            ("push", body("refs/tags/main", "acme/mesh"), 202, "branch"),
            ("push", body("refs/heads/main", "acme/other"), 202, "repository"),
            ("issues", main, 202, "not an event"),
            ("push", "{".to_owned(), 400, "can't be read"),
        ];
        for (event, body, status, part) in table {
            let (code, said) = deliver(&app, event, "", &body).await;
            assert!(code == status && said.contains(part), "{event} {body}: {code} {said}");
        }
        assert_eq!(app.desk.nudges(), 0);
    }

    #[tokio::test]
    async fn forged_requests_nudge_nobody() {
        let app = App::start(Counter::new(Vec::new()));
        let push = body("refs/heads/main", "acme/mesh");
        let other = sign("another body");
        for headers in [
            vec![("x-github-event", "push")],
            vec![("x-github-event", "push"), ("x-hub-signature", "sha1=abc")],
            vec![("x-github-event", "push"), ("x-hub-signature-256", other.as_str())],
        ] {
            assert_eq!(app.post("/hooks/github", &headers, &push).await.0, 401);
        }
        assert_eq!(app.desk.nudges(), 0);
    }

    #[tokio::test]
    async fn a_payload_in_a_form_is_understood() {
        let app = App::start(Counter::new(Vec::new()));
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let form = form.append_pair("payload", &body("refs/heads/main", "acme/mesh")).finish();
        let signature = sign(&form);
        let headers = [
            ("x-hub-signature-256", signature.as_str()),
            ("x-github-event", "push"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        assert_eq!(app.post("/hooks/github", &headers, &form).await.0, 202);
        assert_eq!(app.desk.nudges(), 1);
    }
}
