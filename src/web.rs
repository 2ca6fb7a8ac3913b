//! HTTP: the JSON API, the console and the health endpoints.
//!
//! Everything here is thin: it parses what came in, asks `store`, `reconcile`
//! or `xds`, and shapes the answer. It decides nothing about promotions and
//! writes no document. Called by `app`, which builds a [`Web`] and merges
//! [`router`] with the hooks' routes.
//!
//! ```text
//! request -> edge (request id, headers) -> access (who, role, same origin)
//!         -> api/* or console/*         -> error (status, code, page or JSON)
//! ```
//!
//! A route exists only as an `access::Entry`, which names the role it needs:
//! there is no way to add one that everybody may call by accident.

mod access;
mod api;
mod attempts;
mod auth;
mod board;
mod compare;
mod console;
mod csrf;
mod dogma;
mod edge;
mod edits;
mod error;
mod extract;
mod fleet;
mod git;
mod health;
pub mod hooks;
mod oidc;
mod session;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::sync::Semaphore;
use tower::Layer as _;
use tower::util::MapRequestLayer;

use crate::govern::Govern;
use crate::hosting::Hosting;
use crate::mirror::{GitServer, Upstream};
use crate::mirroring::Mirroring;
use crate::model::{Person, RepoName};
use crate::reconcile::Handle;
use crate::render::Renderer;
use crate::store::Store;
use crate::xds::Hub;

pub use auth::{Auth, AuthError};
use console::Pages;
pub use oidc::{Oidc, ProviderError};

/// Event streams that may be open at once; each holds two watch receivers.
const STREAMS_MAX: usize = 256;
/// Validations and rendered diffs that may run at once: they use a whole core.
const HEAVY_MAX: usize = 4;

/// Gives the metrics page in Prometheus' text form.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// What the routes need; cheap to clone.
#[derive(Clone)]
pub struct Web {
    /// The repositories.
    pub store: Store,
    /// The reconciler.
    pub handle: Handle,
    /// Who is connected, and what is served.
    pub hub: Hub,
    /// The renderer that pushes go through, for validation.
    pub renderer: Arc<Renderer>,
    /// Who calls.
    pub auth: Auth,
    /// Who may do what.
    pub govern: Govern,
    /// Mirrors that are documents.
    pub mirroring: Mirroring,
    /// Pull requests that edits become.
    pub hosting: Hosting,
    /// Clones and fetches of our repositories.
    pub git: GitServer,
    /// Where people reach us, without a slash at the end.
    pub base_url: Arc<str>,
    /// The repositories that follow an upstream.
    pub upstreams: Arc<BTreeMap<RepoName, Upstream>>,
    /// The name and mail address that a person's edits are committed with. It
    /// must be one that the configuration maps back to the person, or authors
    /// could approve their own commits.
    pub authors: Arc<BTreeMap<Person, (String, String)>>,
    /// Where edits get their temporary folders.
    pub work_dir: Arc<Path>,
    /// How Slack users say who they are, where Slack is configured.
    pub linking: Option<Arc<hooks::Linking>>,
    /// The metrics page.
    pub metrics: MetricsText,
    /// Set once the store is open and the stored snapshots are served.
    pub ready: Arc<AtomicBool>,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Every route of the API, the console and health.
pub fn router(web: Web) -> Router {
    let site = Site::new(web);
    let routes = entries()
        .fold(Router::new(), |router, entry| entry.mount(router, &site))
        .fallback(edge::no_such_page)
        .method_not_allowed_fallback(edge::wrong_method)
        .layer(from_fn_with_state(site.clone(), edge::finish))
        .with_state(site);
    // A path is changed before it is routed, so that is one router further out.
    Router::new().fallback_service(MapRequestLayer::new(dogma::normalise).layer(routes))
}

/// One route, for whoever checks or lists them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST` …
    pub method: String,
    /// The path, with `{names}` for its variable parts.
    pub path: &'static str,
    /// Who may take it, as in `Repo(Read)`.
    pub needs: String,
}

/// Every route of the API, the console, served Git and health.
pub fn routes() -> Vec<Route> {
    let route = |entry: access::Entry| Route {
        method: entry.method.to_string(),
        path: entry.path,
        needs: format!("{:?}", entry.needs),
    };
    entries().map(route).collect()
}

/// Every route with what it needs.
fn entries() -> impl Iterator<Item = access::Entry> {
    let entries = api::routes().into_iter();
    let entries = entries.chain(dogma::routes()).chain(console::routes());
    entries.chain(git::routes()).chain(health::routes())
}

/// The state of every route: [`Web`] and what only this module needs.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) web: Web,
    pub(crate) pages: Arc<Pages>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) heavy: Arc<Semaphore>,
    pub(crate) dogma: Arc<dogma::Shared>,
}

impl Site {
    fn new(web: Web) -> Self {
        Self {
            web,
            pages: Arc::new(Pages::load()),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            heavy: Arc::new(Semaphore::new(HEAVY_MAX)),
            dogma: Arc::default(),
        }
    }
}
