//! The Slack client against a stand-in for Slack's Web API, and our signatures
//! and messages before Slack's own SDK.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use convoy::chat::{
    self, Able, Audience, Caller, ChatError, Ingress, Links, Message, Post, Posted, Slack,
    SlackConfig, VERBS,
};
use convoy::model::{Actor, BundleId, Person, RepoName, Role, Secret, Stage};
use convoy::promote::{Promotion, Refusal, RefusalKind};
use convoy::reconcile::{Bundle, Receipt, Rehearsal, View};
use convoy::snapshot::{Sides, Summary};
use convoy::tasks::Tasks;
use convoy::web::hooks::{
    self, Desk, Directory, GitHub, Hooks, Linking, Previews, Replies, SlackHooks,
};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::harness::slack::{BOT_TOKEN, FakeSlack};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

type Acted = Result<Receipt, Refusal>;
type Rehearsed = Result<Rehearsal, Refusal>;

fn client(fake: &FakeSlack, token: &str) -> Slack {
    let api_url = Some(format!("{}/api", fake.url()));
    Slack::new(&SlackConfig::new(Secret::new(token), api_url)).unwrap()
}

/// A message to `channel`.
fn to<'a>(channel: &'a str, message: &'a Message) -> Post<'a> {
    Post { channel, thread: None, broadcast: false, key: None, message }
}

#[tokio::test]
async fn a_card_is_posted_once_and_then_edited_in_place() {
    let fake = FakeSlack::start();
    let slack = client(&fake, BOT_TOKEN);
    let posted = slack.post(to("#deploys", &Message::plain("first"))).await.unwrap();
    assert_eq!(posted.channel, "CDEPLOYS");
    slack.update(&posted, &Message::plain("second")).await.unwrap();
    let shown = fake.exchange("GET", "/_messages", &Value::Null);
    let shown = shown["CDEPLOYS"].as_array().unwrap().clone();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0]["text"], "second");
    assert_eq!(shown[0]["blocks"][0]["text"]["text"], "second");
    let sent = &fake.log()[0]["body"];
    assert_eq!((&sent["unfurl_links"], &sent["parse"]), (&json!(false), &json!("none")));
}

#[tokio::test]
async fn a_message_that_is_gone_is_told_from_other_refusals() {
    let fake = FakeSlack::start();
    let slack = client(&fake, BOT_TOKEN);
    let nowhere = Posted { channel: "C1".into(), ts: "1.000001".into() };
    let error = slack.update(&nowhere, &Message::plain("x")).await.unwrap_err();
    assert!(error.is_gone() && !error.is_transient(), "{error}");
    let wrong = client(&fake, "xoxb-other").post(to("C1", &Message::plain("x"))).await.unwrap_err();
    assert!(!wrong.is_gone(), "{wrong}");
    assert_eq!(wrong.to_string(), "chat.postMessage was refused: invalid_auth");
    assert!(!format!("{wrong:?}").contains("xoxb"), "{wrong:?}");
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_as_long_as_slack_asks() {
    let fake = FakeSlack::start();
    let slack = client(&fake, BOT_TOKEN);
    fake.fail(&json!({"method": "chat.postMessage", "status": 429, "retry_after": 1, "count": 1}));
    let began = tokio::time::Instant::now();
    slack.post(to("C1", &Message::plain("x"))).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    let statuses: Vec<_> = fake.log().iter().map(|entry| entry["status"].clone()).collect();
    assert_eq!(statuses, [json!(429), json!(200)]);
}

#[tokio::test]
async fn a_rate_limit_without_end_is_given_up() {
    let fake = FakeSlack::start();
    let slack = client(&fake, BOT_TOKEN);
    fake.fail(&json!({"method": "chat.update", "status": 429, "retry_after": 0, "count": 99}));
    fake.fail(&json!({"method": "chat.postMessage", "status": 429, "retry_after": 3600}));
    let posted = Posted { channel: "C1".into(), ts: "1.000001".into() };
    let error = slack.update(&posted, &Message::plain("x")).await.unwrap_err();
    assert!(matches!(error, ChatError::RateLimited { .. }) && error.is_transient(), "{error}");
    let error = slack.post(to("C1", &Message::plain("x"))).await.unwrap_err();
    let ChatError::RateLimited { retry_after, .. } = error else { panic!("{error}") };
    assert_eq!(retry_after, Some(Duration::from_secs(3600)));
    assert_eq!(fake.log().len(), 5);
}

#[tokio::test]
async fn a_post_that_may_have_arrived_is_not_posted_twice() {
    let fake = FakeSlack::start();
    let slack = client(&fake, BOT_TOKEN);
    fake.fail(&json!({"method": "chat.postMessage", "status": 502, "count": 1}));
    let error = slack.post(to("C1", &Message::plain("x"))).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn a_late_answer_goes_to_the_response_url_and_nowhere_else() {
    let fake = FakeSlack::start();
    let slack = client(&fake, BOT_TOKEN);
    let message = Message::plain("done");
    slack.respond(&format!("{}/response/7", fake.url()), Audience::Caller, &message).await.unwrap();
    let got = &fake.log()[0]["body"];
    assert_eq!(got["path"], "/response/7");
    assert_eq!(got["response_type"], "ephemeral");
    assert_eq!(got["replace_original"], false);
    let other = FakeSlack::start();
    let refused =
        slack.respond(&format!("{}/response/7", other.url()), Audience::Caller, &message).await;
    assert!(matches!(refused, Err(ChatError::ForeignResponseUrl)), "{refused:?}");
    assert!(other.log().is_empty());
}

#[tokio::test]
async fn a_post_whose_answer_was_lost_is_found_by_its_key() {
    let fake = FakeSlack::start();
    let slack = client(&fake, BOT_TOKEN);
    fake.fail(&json!({"method": "chat.postMessage", "status": 500, "done": true}));
    let message = Message::plain("card");
    let since = Timestamp::UNIX_EPOCH;
    assert_eq!(slack.find("C1", None, "P-1 C1", since).await.unwrap(), None);
    let lost = slack.post(Post { key: Some("P-1 C1"), ..to("C1", &message) }).await.unwrap_err();
    assert!(lost.is_open(), "{lost}");
    let found = slack.find("C1", None, "P-1 C1", since).await.unwrap().unwrap();
    assert_eq!(slack.find("C1", None, "P-2 C1", since).await.unwrap(), None);
    let thread = Some(found.ts.as_str());
    let note = Post { thread, key: Some("P-1 vote"), ..to("C1", &message) };
    let told = slack.post(note).await.unwrap();
    let again = slack.find("C1", thread, "P-1 vote", since).await.unwrap();
    assert_eq!(again.map(|found| found.ts), Some(told.ts));
    fake.fail(&json!({"method": "conversations.history", "error": "missing_scope"}));
    let blind = slack.find("C1", None, "P-1 C1", since).await.unwrap_err();
    assert!(blind.lacks_scope() && !blind.is_transient(), "{blind}");
}

#[tokio::test]
async fn a_whisper_reaches_one_person() {
    let fake = FakeSlack::start();
    client(&fake, BOT_TOKEN).whisper("C1", "U1", None, &Message::plain("psst")).await.unwrap();
    let log = fake.log();
    assert_eq!(log[0]["method"], "chat.postEphemeral");
    assert_eq!(log[0]["body"]["user"], "U1");
}

#[tokio::test]
async fn slack_that_is_not_there_is_an_error_and_no_more() {
    let slack = client(&FakeSlack::start(), BOT_TOKEN);
    let error = slack.post(to("C1", &Message::plain("x"))).await.unwrap_err();
    assert!(matches!(error, ChatError::Unreachable { .. }) && error.is_transient(), "{error}");
}

/// A desk that takes longer than Slack waits.
struct SlowDesk {
    /// Lets the answer go.
    answer: Arc<Notify>,
}

impl Desk for SlowDesk {
    fn view(&self) -> Arc<View> {
        Arc::default()
    }

    fn act(&self, actor: Actor, _: convoy::reconcile::Command) -> BoxFuture<'_, Acted> {
        Box::pin(async move {
            self.answer.notified().await;
            let message = format!("{actor} adopted the upstream");
            Ok(Receipt { promotion: None, message, already: false })
        })
    }

    fn rehearse(&self, _: Actor, _: convoy::reconcile::Command) -> BoxFuture<'_, Rehearsed> {
        unreachable!("nothing here is shown first")
    }

    fn bundle<'a>(&'a self, _: &'a BundleId) -> BoxFuture<'a, Result<Arc<Bundle>, Refusal>> {
        unreachable!("nothing here asks for a diff")
    }

    fn changes(
        &self,
        _: (Sides, Sides),
        _: Option<globset::GlobMatcher>,
    ) -> BoxFuture<'_, Result<Summary, Refusal>> {
        unreachable!("nothing here asks for a diff")
    }

    fn changes_of<'a>(&'a self, _: &'a Promotion) -> BoxFuture<'a, Option<Summary>> {
        unreachable!("nothing here is shown first")
    }

    fn nudge(&self, _: &RepoName) {}
}

/// `U1` is kim.
#[derive(Debug)]
struct Kim;

impl Directory for Kim {
    fn find(&self, caller: &Caller) -> Option<Person> {
        Person::new("kim").ok().filter(|_| caller.user == "U1")
    }

    fn role(&self, _: &Person) -> Option<Role> {
        None
    }

    fn slack_of(&self, _: &Person) -> Option<String> {
        None
    }

    fn link<'a>(&'a self, _: &'a str, _: &'a Person) -> BoxFuture<'a, Result<(), Refusal>> {
        unreachable!("nothing here links")
    }

    fn subscribe<'a>(
        &'a self,
        _: &'a Actor,
        _: &'a str,
        _: (&'a RepoName, &'a Stage),
        _: Option<&'a BTreeSet<String>>,
    ) -> BoxFuture<'a, Result<bool, Refusal>> {
        unreachable!("nothing here subscribes")
    }
}

/// Serves the hooks over `desk` on a free port; returns the address.
async fn serve(fake: &FakeSlack, tasks: &Tasks, answer: Arc<Notify>) -> String {
    let slack = SlackHooks {
        ingress: Ingress::new(vec![Secret::new(SECRET)]),
        directory: Arc::new(Kim),
        client: client(fake, BOT_TOKEN),
        links: Links::new("https://convoy.example.com"),
        default_repo: RepoName::new("mesh/config").ok(),
        replies: Replies::default(),
        previews: Previews::default(),
        linking: Arc::new(Linking::new(Secret::new(SECRET), Arc::new(Kim))),
        zone: jiff::tz::TimeZone::UTC,
    };
    let hooks = Hooks {
        desk: Arc::new(SlowDesk { answer }),
        slack: Some(Arc::new(slack)),
        github: Arc::new(GitHub::new(Vec::new())),
        tasks: tasks.clone(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn("hooks", async move {
        axum::serve(listener, hooks::routes(hooks)).await.unwrap();
    });
    address
}

/// What `slack_send.py` prints: the status, then the answer.
async fn send(address: &str, fake: &FakeSlack, secret: &std::path::Path, what: &[&str]) -> String {
    let output = tokio::process::Command::new("python3")
        .arg(format!("{FIXTURES}/slack_send.py"))
        .args(["--url", address, "--slack", &fake.url(), "--secret-file"])
        .arg(secret)
        .args(what)
        .output()
        .await
        .expect("python3 is needed");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn what_takes_too_long_is_answered_later_and_only_once() {
    let (fake, tasks, folder) =
        (FakeSlack::start(), Tasks::default(), tempfile::tempdir().unwrap());
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let answer = Arc::new(Notify::new());
    let address = serve(&fake, &tasks, answer.clone()).await;
    let adopt = ["--user", "U1", "--text", "reject P-1 no", "--id", "t1"];
    let (first, again) = tokio::join!(
        send(&address, &fake, &secret, &adopt),
        send(&address, &fake, &secret, &adopt)
    );
    assert!(first.starts_with("200\n") && first.contains("Working on it"), "{first}");
    assert_eq!(first, again);
    answer.notify_one();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while fake.log().is_empty() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let later = send(&address, &fake, &secret, &adopt).await;
    assert!(later.contains("kim adopted the upstream"), "{later}");
    let log = fake.log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0]["body"]["text"].as_str().unwrap().contains("kim adopted the upstream"));
    tasks.stop();
}

#[tokio::test]
async fn every_refused_click_gets_an_answer_of_its_own() {
    let (fake, tasks, folder) =
        (FakeSlack::start(), Tasks::default(), tempfile::tempdir().unwrap());
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let address = serve(&fake, &tasks, Arc::default()).await;
    let value = "v1.P-7.0123456789ab";
    for (user, said) in [("U1", "no promotion P-7"), ("U9", "is not a person")] {
        let click = ["--user", user, "--action", "approve", "--value", value];
        let answer = send(&address, &fake, &secret, &click).await;
        assert!(answer.starts_with("200\n") && answer.contains(said), "{answer}");
    }
    let old = ["--user", "U1", "--text", "reject P-1 no", "--age", "301"];
    let answer = send(&address, &fake, &secret, &old).await;
    assert_eq!(answer, "401\ninvalid request\n");
    std::fs::write(&secret, "another secret").unwrap();
    let answer = send(&address, &fake, &secret, &["--user", "U1", "--text", "reject P-1 no"]).await;
    assert_eq!(answer, "401\ninvalid request\n");
    tasks.stop();
}

/// Runs Slack's own SDK over `order`.
fn judge(what: &str, order: &Value) -> Value {
    let python = std::env::var("CONVOY_PY").expect(
        "CONVOY_PY must name a python that has slack_sdk and slack_bolt (ci/test sets it up)",
    );
    let mut child = Command::new(&python)
        .args([&format!("{FIXTURES}/slack_judge.py"), what])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{python} can't be started: {error}"));
    child.stdin.take().unwrap().write_all(order.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

const SECRET: &str = "fa2c05deeef5a4077494e89f54394de0";
const SIGNATURE: &str = "v0=baa91ef62d346e56607bbdd278a8acd570b91226854f15a382f43d33be42f666";
const SIGNED_AT: i64 = 1_531_420_618;

#[test]
fn slacks_sdk_and_we_agree_on_every_signature_at_every_age() {
    let requests = [
        ("1531420618", SIGNATURE, "test-body"),
        ("1531420618", SIGNATURE, "test-bodY"),
        ("1531420617", SIGNATURE, "test-body"),
        ("1531420618", "v0=", "test-body"),
        ("now", SIGNATURE, "test-body"),
        ("", SIGNATURE, "test-body"),
    ];
    for age in [0, 299, 300, 301, -300, -301, 100_000] {
        let now = SIGNED_AT + age;
        let ingress = Ingress::new(vec![Secret::new(SECRET)]);
        let ours = requests.map(|(timestamp, signature, body)| {
            let now = Timestamp::from_second(now).unwrap();
            ingress.verify(Some(timestamp), Some(signature), body.as_bytes(), now).is_ok()
        });
        let listed: Vec<_> = requests
            .iter()
            .map(|(timestamp, signature, body)| {
                json!({"timestamp": timestamp, "signature": signature, "body": body})
            })
            .collect();
        let order = json!({"secret": SECRET, "now": now, "requests": listed});
        assert_eq!(judge("verify", &order), json!(ours), "age {age}");
    }
}

/// The requests that `slack_send.py` makes are what stands for Slack in the
/// demo: Slack's own framework takes them for real.
#[test]
fn what_stands_for_slack_in_the_demo_is_taken_for_slack_by_bolt() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let command = capture(&secret, &["--text", "status canary"]);
    let click = capture(&secret, &["--action", "approve", "--value", "v1.P-1.0123456789ab"]);
    let mut forged = command.clone();
    forged["body"] = json!(format!("{}x", command["body"].as_str().unwrap()));
    let requests = json!([command, click, forged]);
    let now = command["timestamp"].as_str().unwrap().parse::<i64>().unwrap();
    let order = json!({"secret": SECRET, "now": now, "requests": requests});
    assert_eq!(judge("bolt", &order), json!([200, 200, 401]));
    let ingress = Ingress::new(vec![Secret::new(SECRET)]);
    let ours = requests.as_array().unwrap().iter().map(|request| {
        let text = |name: &str| request[name].as_str().unwrap();
        let now = Timestamp::from_second(now).unwrap();
        let (timestamp, signature) = (Some(text("timestamp")), Some(text("signature")));
        ingress.verify(timestamp, signature, text("body").as_bytes(), now).is_ok()
    });
    assert_eq!(ours.collect::<Vec<_>>(), [true, true, false]);
}

/// Takes one request of `slack_send.py` off the wire.
fn capture(secret: &std::path::Path, what: &[&str]) -> Value {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut child = Command::new("python3")
        .arg(format!("{FIXTURES}/slack_send.py"))
        .args(["--url", &url, "--user", "U1", "--secret-file"])
        .arg(secret)
        .args(what)
        .stdout(Stdio::null())
        .spawn()
        .expect("python3 is needed");
    let mut reader = BufReader::new(listener.accept().unwrap().0);
    let mut headers = std::collections::BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    reader.get_mut().write_all(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    drop(reader);
    assert!(child.wait().unwrap().success());
    json!({
        "timestamp": headers["x-slack-request-timestamp"],
        "signature": headers["x-slack-signature"],
        "body": String::from_utf8(body).unwrap(),
    })
}

/// The pinned messages that carry blocks, as the unit tests wrote them.
const PINNED: [(&str, &str); 4] = [
    (
        "waiting",
        include_str!("../../src/chat/snapshots/convoy__chat__card__tests__card_waiting.snap"),
    ),
    (
        "last stage",
        include_str!("../../src/chat/snapshots/convoy__chat__card__tests__card_last_stage.snap"),
    ),
    (
        "rejected",
        include_str!("../../src/chat/snapshots/convoy__chat__card__tests__card_rejected.snap"),
    ),
    ("board", include_str!("../../src/chat/snapshots/convoy__chat__board__tests__board.snap")),
];

#[test]
fn slacks_sdk_takes_every_message_that_we_make() {
    let refusal = Refusal {
        kind: RefusalKind::Unavailable,
        message: "<!channel> ".repeat(2_000),
        hint: "&".repeat(5_000),
    };
    let mut messages = vec![
        chat::help("/convoy", None, &Able::default()),
        chat::refusal("Not promoted", &refusal, "t-1"),
        chat::working(),
        Message::new("x", (0..80).map(|_| chat::header(&"😀".repeat(400))).collect()),
        Message::new("x", vec![chat::section(&"&lt;".repeat(4_000))]),
    ];
    messages
        .extend(VERBS.iter().map(|spec| chat::help("/convoy", Some(spec.verb), &Able::default())));
    let mut order: Vec<_> =
        messages.iter().map(|message| message.answer(Audience::Channel)).collect();
    for (name, pinned) in PINNED {
        let json = pinned.splitn(3, "---").nth(2).unwrap_or_else(|| panic!("{name}"));
        order.push(serde_json::from_str(json).unwrap());
    }
    assert_eq!(judge("blocks", &json!(order)), json!(order.len()));
}

/// The pinned forms and home pages, as the unit tests wrote them.
const VIEWS: &str = "src/chat/snapshots/convoy__chat__forms__tests__views.snap";

#[test]
fn slacks_sdk_takes_every_form_and_home_page() {
    let pinned = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(VIEWS);
    let pinned = std::fs::read_to_string(pinned).unwrap();
    let views: Vec<Value> = serde_json::from_str(pinned.splitn(3, "---").nth(2).unwrap()).unwrap();
    assert!(views.len() >= 6, "{}", views.len());
    assert_eq!(judge("views", &json!(views)), json!(views.len()));
}

#[test]
fn what_the_tests_send_as_slack_is_taken_for_slack_by_bolt() {
    let now = SIGNED_AT;
    let form = |payload: &Value| {
        let body = crate::harness::slack::form(&[("payload", &payload.to_string())]);
        (body, "application/x-www-form-urlencoded")
    };
    let (user, team) = (json!({"id": "U1", "team_id": "T1"}), json!({"id": "T1"}));
    let event = |event: Value| {
        let body = json!({"type": "event_callback", "event_id": "Ev1", "team_id": "T1",
            "event": event, "token": "x", "authorizations": []});
        (body.to_string(), "application/json")
    };
    let bodies = [
        form(
            &json!({"type": "shortcut", "callback_id": "promote_open", "user": user, "team": team,
            "action_ts": "1.1", "trigger_id": "t", "token": "x"}),
        ),
        form(&json!({"type": "view_submission", "user": user, "team": team, "token": "x",
            "trigger_id": "t", "view": {"id": "V1", "hash": "h", "type": "modal",
            "callback_id": "reject_reason", "private_metadata": "{}", "state": {"values": {}}}})),
        event(json!({"type": "app_home_opened", "user": "U1", "tab": "home", "channel": "D1"})),
        event(json!({"type": "app_mention", "user": "U1", "text": "<@U0> status",
            "channel": "C1", "ts": "1.1"})),
    ];
    let (ingress, secret) = (Ingress::new(vec![Secret::new(SECRET)]), SECRET);
    let mut requests = Vec::new();
    for (body, kind) in &bodies {
        let signature = crate::harness::slack::sign_with(secret, now, body);
        let (time, at) = (now.to_string(), Timestamp::from_second(now).unwrap());
        assert!(ingress.verify(Some(&time), Some(&signature), body.as_bytes(), at).is_ok());
        match *kind {
            "application/json" => {
                let read = chat::Incoming::parse(body.as_bytes()).unwrap();
                assert!(!matches!(read, chat::Incoming::Other(_)), "{read:?}");
            }
            _ => {
                let read = chat::Interaction::parse(body.as_bytes()).unwrap();
                assert!(!matches!(read, chat::Interaction::Other(_)), "{read:?}");
            }
        }
        requests
            .push(json!({"timestamp": time, "signature": signature, "body": body, "type": kind}));
    }
    let order = json!({"secret": secret, "now": now, "requests": requests});
    assert_eq!(judge("bolt", &order), json!([200, 200, 200, 200]));
}

#[test]
fn the_manifest_in_deploy_is_what_the_command_prints() {
    let kept = include_str!("../../deploy/slack/manifest.yaml");
    let manifest = |more: &[&str]| {
        let output = Command::new(crate::harness::convoy::program())
            .args(["slack", "manifest"])
            .args(more)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, printed) = manifest(&["--url", "https://convoy.example.com"]);
    assert_eq!((code, printed.as_str()), (Some(0), kept));
    let (_, socket) = manifest(&["--url", "https://convoy.example.com", "--socket"]);
    assert!(socket.contains("socket_mode_enabled: true"), "{socket}");
    for wrong in ["convoy.example.com", "http://convoy.example.com", "ftp://x"] {
        assert_eq!(manifest(&["--url", wrong]).0, Some(2), "{wrong}");
    }
}

#[test]
fn the_judge_sees_a_button_beyond_the_limit_within_a_block() {
    let python = std::env::var("CONVOY_PY").expect("CONVOY_PY must name a python with slack_sdk");
    let text = json!({"type": "plain_text", "text": "x".repeat(76)});
    let button = json!({"type": "button", "action_id": "a", "text": text});
    let message = json!([{"text": "x", "blocks": [{"type": "actions", "elements": [button]}]}]);
    let mut child = Command::new(python)
        .args([&format!("{FIXTURES}/slack_judge.py"), "blocks"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message.to_string().as_bytes()).unwrap();
    assert!(!child.wait().unwrap().success());
}
