//! What Slack and GitHub send us.
//!
//! ```text
//! POST /slack/command      ─▶ verify ─▶ parse ─┐         ┌▶ converse ─▶ answer, or preview
//! POST /slack/interactive  ─▶ verify ─▶ parse ─┼▶ door ──┼▶ click, fill ─▶ an answer to the person
//! POST /slack/events       ─▶ verify ─▶ parse ─┤ (once)  └▶ events ─▶ home page
//! Socket Mode              ──────────▶ parse ──┘
//! POST /hooks/github       ─▶ verify ─▶ nudge
//! ```
//!
//! Nothing is decided here: who may do what is the reconciler's to say, and
//! its announcements edit the cards. Bodies are bounded before they are read
//! and verified before they are parsed. The app merges [`routes`] into its
//! router.

mod acts;
mod choose;
mod click;
mod compare;
mod converse;
mod desk;
mod directory;
mod door;
mod events;
mod fill;
mod github;
mod linking;
mod previews;
mod replies;
mod slack;
mod socket;
mod talk;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;

use jiff::tz::TimeZone;

use crate::chat::{Ingress, Links, Slack};
use crate::model::{RepoName, Secret};
use crate::tasks::Tasks;

pub use desk::Desk;
pub use directory::{Directory, Known};
pub use github::{GitHub, Told};
pub use linking::Linking;
pub use previews::Previews;
pub use replies::Replies;
pub use socket::SocketHooks;

/// Slack's requests are a few KiB.
const SLACK_BODY_MAX: usize = 256 * 1024;
/// A push of 2,048 commits, the most that GitHub lists, is below this. What
/// is larger is missed, and polling finds it.
const GITHUB_BODY_MAX: usize = 5 * 1024 * 1024;

/// What the hooks need; cheap to clone.
#[derive(Clone)]
pub struct Hooks {
    /// Who decides.
    pub desk: Arc<dyn Desk>,
    /// Slack, where it is configured.
    pub slack: Option<Arc<SlackHooks>>,
    /// GitHub's webhooks.
    pub github: Arc<GitHub>,
    /// Where answers that take longer are finished.
    pub tasks: Tasks,
}

/// Slack's side of the hooks.
#[derive(Debug)]
pub struct SlackHooks {
    /// Whether a request is Slack's.
    pub ingress: Ingress,
    /// Who is who.
    pub directory: Arc<dyn Directory>,
    /// For answers that come later than the request.
    pub client: Slack,
    /// Addresses of console pages.
    pub links: Links,
    /// The repository that is meant where none is named.
    pub default_repo: Option<RepoName>,
    /// What was answered to which request.
    pub replies: Replies,
    /// What was typed and waits for its yes.
    pub previews: Previews,
    /// How Slack users say who they are.
    pub linking: Arc<Linking>,
    /// The zone in which times are meant that name none.
    pub zone: TimeZone,
}

/// One repository's webhook.
#[derive(Debug, Clone)]
pub struct GitHubHook {
    /// Our repository.
    pub repo: RepoName,
    /// GitHub's name of it, `owner/name`; `None` accepts any.
    pub full_name: Option<String>,
    /// The branch that is mirrored.
    pub branch: String,
    /// Each is good; two while one is being replaced.
    pub secrets: Vec<Secret>,
}

/// The routes, with their own state and limits.
pub fn routes(hooks: Hooks) -> Router {
    let mut router = Router::new()
        .route("/hooks/github", post(github::receive))
        .layer(DefaultBodyLimit::max(GITHUB_BODY_MAX));
    if hooks.slack.is_some() {
        let slack = Router::new()
            .route("/slack/command", post(slack::command))
            .route("/slack/interactive", post(slack::interactive))
            .route("/slack/events", post(slack::events))
            .layer(DefaultBodyLimit::max(SLACK_BODY_MAX));
        router = router.merge(slack);
    }
    router.with_state(hooks)
}
