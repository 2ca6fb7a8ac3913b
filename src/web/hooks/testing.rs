//! A desk that records, and the routes around it, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::future::BoxFuture;
use globset::GlobMatcher;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::Sha256;
use tower::ServiceExt;
use url::form_urlencoded;

use super::talk::Talk;
use super::{
    Desk, Directory, GitHub, GitHubHook, Hooks, Linking, Previews, Replies, SlackHooks, routes,
};
use crate::chat::{Caller, Click, Ingress, Links, Slack, SlackConfig, samples};
use crate::model::{
    Actor, BundleId, ContentHash, NodeGroup, Person, RepoName, ResourceName, Role, Secret,
    SnapshotKey, Stage,
};
use crate::promote::{Allowed, Promotion, Refusal, RefusalKind};
use crate::reconcile::{Bundle, Command, Receipt, Rehearsal, View};
use crate::schema::Schema;
use crate::snapshot::testing::cluster;
use crate::snapshot::{self, Sides, Snapshot, Summary};
use crate::tasks::Tasks;

const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
pub(super) const GITHUB_SECRET: &str = "It's a Secret to Everybody";

/// Answers from a fixed view and counts what it is asked.
pub(super) struct Counter {
    view: Arc<View>,
    acts: Mutex<Vec<(Actor, Command)>>,
    nudges: Mutex<usize>,
    refusal: Mutex<Option<Refusal>>,
}

impl Counter {
    pub(super) fn new(promotions: Vec<Promotion>) -> Self {
        let view = View {
            state: Arc::new(samples::state(promotions)),
            manifests: BTreeMap::from([(samples::repo(), samples::manifest())]),
            ..View::default()
        };
        Self {
            view: Arc::new(view),
            acts: Mutex::default(),
            nudges: Mutex::default(),
            refusal: Mutex::default(),
        }
    }

    pub(super) fn acts(&self) -> Vec<(Actor, Command)> {
        self.acts.lock().unwrap().clone()
    }

    pub(super) fn nudges(&self) -> usize {
        *self.nudges.lock().unwrap()
    }

    pub(super) fn refuse(&self, message: &str) {
        let refusal = Refusal {
            kind: RefusalKind::Forbidden,
            message: message.into(),
            hint: "ask somebody else".into(),
        };
        *self.refusal.lock().unwrap() = Some(refusal);
    }
}

impl Desk for Counter {
    fn view(&self) -> Arc<View> {
        self.view.clone()
    }

    fn act(&self, actor: Actor, command: Command) -> BoxFuture<'_, Result<Receipt, Refusal>> {
        self.acts.lock().unwrap().push((actor, command));
        let refusal = self.refusal.lock().unwrap().clone();
        let receipt = Receipt { promotion: None, message: "it is done".into(), already: false };
        Box::pin(std::future::ready(refusal.map_or(Ok(receipt), Err)))
    }

    fn rehearse(&self, _: Actor, _: Command) -> BoxFuture<'_, Result<Rehearsal, Refusal>> {
        let refusal = self.refusal.lock().unwrap().clone();
        let promotion = self.view.state.promotions.values().next().cloned();
        let receipt = Receipt { promotion, message: "it would be done".into(), already: false };
        let rehearsal = Rehearsal { allowed: Allowed::default(), receipt };
        Box::pin(std::future::ready(refusal.map_or(Ok(rehearsal), Err)))
    }

    fn bundle<'a>(&'a self, id: &'a BundleId) -> BoxFuture<'a, Result<Arc<Bundle>, Refusal>> {
        let key = (samples::stage("canary"), NodeGroup::default());
        let served = Arc::new(rendered(id));
        let snapshots = BTreeMap::from([(key, served)]);
        let bundle = Bundle { id: id.clone(), snapshots, places: BTreeMap::new() };
        Box::pin(std::future::ready(Ok(Arc::new(bundle))))
    }

    fn changes(
        &self,
        (from, to): (Sides, Sides),
        only: Option<GlobMatcher>,
    ) -> BoxFuture<'_, Result<Summary, Refusal>> {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        let nodes = to.values().map(|side| (side.key.clone(), 3)).collect();
        let keep = |name: &ResourceName| only.as_ref().is_none_or(|only| only.is_match(&*name.0));
        let schema = SCHEMA.get_or_init(Schema::load);
        let summary = snapshot::summarize(schema, (&from, &to), &nodes, &keep);
        Box::pin(std::future::ready(Ok(summary)))
    }

    fn changes_of<'a>(&'a self, promotion: &'a Promotion) -> BoxFuture<'a, Option<Summary>> {
        let side = |id: &BundleId| Sides::from([("default".to_owned(), Arc::new(rendered(id)))]);
        let from = promotion.plan.from.as_ref().map(side).unwrap_or_default();
        let sides = (from, side(&promotion.plan.to));
        Box::pin(async move { self.changes(sides, None).await.ok() })
    }

    fn nudge(&self, _repo: &RepoName) {
        *self.nudges.lock().unwrap() += 1;
    }
}

/// What a bundle gives: the older one waits for 1 s, any other for 3 s.
fn rendered(id: &BundleId) -> Snapshot {
    let seconds = if id.as_str() == "b-old" { 1 } else { 3 };
    snapshot("canary", &[("same", 1), ("pay", seconds)])
}

/// A snapshot of clusters, by name and seconds until a connection fails.
pub(super) fn snapshot(stage: &str, resources: &[(&str, i64)]) -> Snapshot {
    let key = SnapshotKey {
        repo: samples::repo(),
        stage: samples::stage(stage),
        group: NodeGroup::default(),
    };
    let clusters: Vec<_> =
        resources.iter().map(|(name, seconds)| cluster(name, *seconds)).collect();
    snapshot::build(key, &clusters)
}

/// `U1` is kim, `U2` is ann, `U3` is rea, who may only read.
#[derive(Debug, Default)]
pub(super) struct Names {
    linked: Mutex<Vec<(String, Person)>>,
}

impl Names {
    pub(super) fn linked(&self) -> Vec<(String, Person)> {
        self.linked.lock().unwrap().clone()
    }
}

impl Directory for Names {
    fn find(&self, caller: &Caller) -> Option<Person> {
        let people = [("U1", "kim"), ("U2", "ann"), ("U3", "rea")];
        let name = people.iter().find(|(id, _)| *id == caller.user)?.1;
        Person::new(name).ok()
    }

    fn role(&self, person: &Person) -> Option<Role> {
        (person.as_str() == "rea").then_some(Role::Reader)
    }

    fn slack_of(&self, person: &Person) -> Option<String> {
        (person.as_str() == "kim").then(|| "U1".to_owned())
    }

    fn link<'a>(&'a self, user: &'a str, person: &'a Person) -> BoxFuture<'a, Result<(), Refusal>> {
        self.linked.lock().unwrap().push((user.to_owned(), person.clone()));
        Box::pin(std::future::ready(Ok(())))
    }

    fn subscribe<'a>(
        &'a self,
        _: &'a Actor,
        _: &'a str,
        _: (&'a RepoName, &'a Stage),
        events: Option<&'a BTreeSet<String>>,
    ) -> BoxFuture<'a, Result<bool, Refusal>> {
        Box::pin(std::future::ready(Ok(events.is_some())))
    }
}

pub(super) fn slack_hooks() -> SlackHooks {
    let api_url = Some("http://127.0.0.1:1/api".to_owned());
    let names = Arc::new(Names::default());
    SlackHooks {
        ingress: Ingress::new(vec![Secret::new(SLACK_SECRET)]),
        directory: names.clone(),
        client: Slack::new(&SlackConfig::new(Secret::new("xoxb-test"), api_url)).unwrap(),
        links: Links::new("https://convoy.example.com"),
        default_repo: None,
        replies: Replies::default(),
        previews: Previews::default(),
        linking: Arc::new(Linking::new(Secret::new("key"), names)),
        zone: jiff::tz::TimeZone::UTC,
    }
}

/// A request of a person in the channel `C1`.
pub(super) fn talk<'a>(desk: &'a dyn Desk, slack: &'a SlackHooks, caller: &'a Caller) -> Talk<'a> {
    let (trigger, trace) = ("1.2.3", "t-123456");
    Talk { desk, slack, caller, channel: "C1", trigger, command: "/convoy", trace }
}

pub(super) fn click(user: &str, action_id: &str, value: &str) -> Click {
    Click {
        caller: caller(user),
        channel: "C1".into(),
        message_ts: "1.2".into(),
        action_id: action_id.into(),
        action_ts: "3.4".into(),
        value: value.into(),
        response_url: None,
        trigger_id: "5.6".into(),
    }
}

pub(super) fn caller(user: &str) -> Caller {
    Caller { user: user.into(), team: Some("T1".into()), enterprise: None }
}

pub(super) fn command_form(user: &str, text: &str, trigger_id: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("command", "/convoy")
        .append_pair("text", text)
        .append_pair("user_id", user)
        .append_pair("team_id", "T1")
        .append_pair("channel_id", "C1")
        .append_pair("response_url", "http://127.0.0.1:1/response/1")
        .append_pair("trigger_id", trigger_id)
        .finish()
}

pub(super) fn payload_form(user: &str, action_id: &str, value: &str, action_ts: &str) -> String {
    let payload = json!({
        "type": "block_actions",
        "user": {"id": user, "team_id": "T1"},
        "team": {"id": "T1"},
        "channel": {"id": "C1"},
        "container": {"message_ts": "1.2", "channel_id": "C1"},
        "actions": [{"action_id": action_id, "value": value, "action_ts": action_ts}],
    });
    form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish()
}

/// The routes, without a socket.
pub(super) struct App {
    pub(super) desk: Arc<Counter>,
    router: Router,
}

impl App {
    pub(super) fn start(desk: Counter) -> Self {
        Self::telling(desk, Arc::new(crate::hosting::Hosting::default()))
    }

    pub(super) fn telling(desk: Counter, told: Arc<dyn super::Told>) -> Self {
        let desk = Arc::new(desk);
        let hook = GitHubHook {
            repo: samples::repo(),
            full_name: Some("acme/mesh".into()),
            branch: "main".into(),
            secrets: vec![Secret::new("an older one"), Secret::new(GITHUB_SECRET)],
        };
        let hooks = Hooks {
            desk: desk.clone(),
            slack: Some(Arc::new(slack_hooks())),
            github: Arc::new(GitHub::new(vec![hook]).telling(told)),
            tasks: Tasks::default(),
        };
        Self { desk, router: routes(hooks) }
    }

    /// Headers as Slack would send them, signed `age` seconds from now.
    pub(super) fn signed(&self, body: &str, age: i64) -> [(&'static str, String); 2] {
        let timestamp = (crate::telemetry::clock::now().as_second() + age).to_string();
        let mac = Hmac::<Sha256>::new_from_slice(SLACK_SECRET.as_bytes()).unwrap();
        let mac = mac.chain_update(format!("v0:{timestamp}:{body}"));
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        let signature = format!("v0={}", ContentHash(bytes));
        [(Ingress::TIMESTAMP, timestamp), (Ingress::SIGNATURE, signature)]
    }

    pub(super) async fn slack(&self, path: &str, body: &str) -> (u16, Value) {
        let headers = self.signed(body, 0);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post(path, &headers, body).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, Value) {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}
