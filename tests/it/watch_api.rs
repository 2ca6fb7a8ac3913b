//! Watching over the JSON API and the command line: nothing twice, nothing
//! left out, whatever breaks, and nothing that may not be read.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::blocking::Response;
use serde_json::{Value, json};

use crate::harness::api::{Asker, ROOT, guarded};
use crate::harness::convoy::{Convoy, wait_for};
use crate::harness::process::Beside;

/// The events of a stream of JSON lines, without heartbeats.
struct Events(BufReader<Response>);

impl Events {
    fn open(api: &Asker, query: &str) -> Self {
        let response = api.open(&format!("/watch?{query}"), &[("accept", "application/x-ndjson")]);
        assert_eq!(response.status().as_u16(), 200, "{query}");
        Self(BufReader::new(response))
    }

    /// The next event; `None`: the stream is over.
    fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("the stream goes on") == 0 {
                return None;
            }
            let event: Value = serde_json::from_str(&line).expect("a line is JSON");
            if event["event"] != "heartbeat" {
                return Some(event);
            }
        }
    }

    fn revision(&mut self) -> Value {
        let event = self.next().expect("an event");
        assert_eq!(event["event"], "revision", "{event}");
        event
    }
}

fn write(path: &str, content: &str) -> Value {
    json!([{ "path": path, "content": content }])
}

#[test]
fn one_stream_carries_many_patterns_of_many_repositories() {
    let convoy = Convoy::with().start();
    let api = Asker::of(&convoy);
    api.make("p", "r");
    api.make("p", "s");
    api.commit("p/r", &write("a/x", "1"));
    let mut events =
        Events::open(&api, "watch=p/r@1:/a/**&watch=p/s&watch=p/r:/b&watch=p/r:/nothing");
    let ready = events.next().expect("an event");
    assert_eq!((&ready["event"], &ready["position"]), (&json!("ready"), &json!("1,1,2,2")));
    let told = events.revision();
    assert_eq!((&told["watch"], &told["revision"]), (&json!(0), &json!(2)));
    let entry = json!({"path": "a/x", "change": "added", "size": 1, "content": "1",
                       "blob": told["entries"][0]["blob"]});
    assert_eq!(told["entries"], json!([entry]));
    assert_eq!((&told["message"], &told["author_name"]), (&json!("change"), &json!("dev")));
    api.commit("p/s", &write("z", "1"));
    assert_eq!(events.revision()["watch"], 1);
    api.commit("p/r", &json!([{"path": "a/x", "content": null}, {"path": "b", "content": "2"}]));
    let mut both = [events.revision(), events.revision()];
    both.sort_by_key(|event| event["watch"].as_u64());
    assert_eq!(both[0]["entries"][0]["change"], "removed");
    assert_eq!((&both[1]["watch"], &both[1]["entries"][0]["path"]), (&json!(2), &json!("b")));
}

#[test]
fn server_sent_events_go_on_where_a_client_left_off() {
    let convoy = Convoy::with().start();
    let api = Asker::of(&convoy);
    api.make("p", "r");
    for content in ["1", "2", "3"] {
        api.commit("p/r", &write("a", content));
    }
    let read = |headers: &[(&str, &str)], lines: usize| -> Vec<String> {
        let response = api.open("/watch?watch=p/r@1:/a&watch=p/r:/b", headers);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let lines = BufReader::new(response).lines().map_while(Result::ok).take(lines);
        lines.collect()
    };
    let all = read(&[], 16);
    let ids: Vec<_> = all.iter().filter(|line| line.starts_with("id: ")).collect();
    assert_eq!(ids, ["id: 1,4", "id: 2,4", "id: 3,4", "id: 4,4"]);
    let rest = read(&[("last-event-id", "3,4")], 8);
    assert_eq!(rest.iter().filter(|line| line.starts_with("id: ")).count(), 2, "{rest:?}");
    assert_eq!((rest[0].as_str(), rest[4].as_str()), ("id: 3,4", "id: 4,4"));
    for bad in ["3", "x,y", "3,4,5"] {
        let refused = api.get_with("/watch?watch=p/r&watch=p/r", &[("last-event-id", bad)]);
        assert_eq!(refused.refusal().0, 422, "{bad}");
    }
    for (bad, status) in [
        ("", 422),
        ("watch=p", 422),
        ("watch=p/r@x", 422),
        ("watch=p/r:***", 422),
        ("watch=p/other", 404),
        ("watch=p/r@99", 404),
        ("watch=p/r@-99", 404),
        ("watsch=p/r", 422),
    ] {
        assert_eq!(api.get(&format!("/watch?{bad}")).refusal().0, status, "{bad}");
    }
}

#[test]
fn a_long_poll_ends_with_what_changed_or_with_nothing() {
    let convoy = Convoy::with().start();
    let api = Asker::of(&convoy);
    api.make("p", "r");
    api.commit("p/r", &write("a", "1"));
    let seen = api.get("/repos/p/r/watch?since=1&pattern=/a").ok();
    assert_eq!((&seen["revision"], &seen["entries"][0]["content"]), (&json!(2), &json!("1")));
    let nothing = api.get("/repos/p/r/watch?pattern=/b&since=1&wait=1");
    assert_eq!((nothing.status, nothing.header("x-convoy-revision")), (204, "1"));
    let waiting = std::thread::spawn({
        let api = api.clone();
        move || api.get("/repos/p/r/watch?pattern=/b,/c&since=2").ok()
    });
    api.commit("p/r", &write("a", "2"));
    api.commit("p/r", &write("c", "3"));
    let seen = waiting.join().expect("the poll ends");
    assert_eq!((&seen["revision"], &seen["entries"][0]["path"]), (&json!(4), &json!("c")));
    for bad in ["wait=0", "wait=x", "since=x", "pattern=***", "wait=1&wait=2"] {
        assert_eq!(api.get(&format!("/repos/p/r/watch?{bad}")).refusal().0, 422, "{bad}");
    }
}

#[test]
fn a_reader_that_is_slow_misses_nothing_and_holds_nobody_up() {
    let convoy = Convoy::with().start();
    let api = Asker::of(&convoy);
    api.make("p", "r");
    let mut events = Events::open(&api, "watch=p/r");
    assert_eq!(events.next().map(|event| event["event"].clone()), Some(json!("ready")));
    // Far more than sockets hold.
    let large = "x".repeat(200_000);
    for number in 0..100 {
        api.commit("p/r", &write("a", &format!("{number}{large}")));
    }
    let huge = "y".repeat(400_000);
    api.commit("p/r", &write("b", &huge));
    for revision in 2..102 {
        let event = events.revision();
        assert_eq!(event["revision"], revision);
        assert_eq!(
            event["entries"][0]["size"],
            event["entries"][0]["content"].as_str().map_or(0, str::len)
        );
    }
    let event = events.revision();
    assert_eq!(
        (&event["entries"][0]["size"], &event["entries"][0]["content"]),
        (&json!(400_000), &Value::Null)
    );
}

#[test]
fn a_stream_tells_what_may_be_read_and_ends_with_the_right() {
    let convoy = guarded().start();
    let root = Asker::of(&convoy).with(ROOT);
    root.make("p", "r");
    let ann = root.with(&root.token("ann", "guest"));
    assert_eq!(ann.get("/watch?watch=p/r").refusal().0, 404);
    let grant = json!({"to": "token:ann", "right": "READ", "paths": "/a/**"});
    root.post("/govern/repos/p/r/grants", &grant).ok();
    let mut events = Events::open(&ann, "watch=p/r");
    assert_eq!(events.next().map(|event| event["event"].clone()), Some(json!("ready")));
    root.commit("p/r", &write("secret", "1"));
    root.commit(
        "p/r",
        &json!([{"path": "a/x", "content": "2"}, {"path": "secret", "content": "2"}]),
    );
    let told = events.revision();
    assert_eq!((&told["revision"], told["entries"].as_array().map(Vec::len)), (&json!(3), Some(1)));
    let polling = std::thread::spawn({
        let ann = ann.clone();
        move || ann.get("/repos/p/r/watch?pattern=/a/**").status
    });
    root.post("/govern/repos/p/r/grants/remove", &json!({"to": "token:ann", "paths": "/a/**"}))
        .ok();
    let end = events.next().expect("an event");
    assert_eq!((&end["event"], &end["error"]["code"]), (&json!("end"), &json!("not_found")));
    assert_eq!(events.next(), None);
    assert!(matches!(polling.join(), Ok(403 | 404)));
    root.post("/govern/repos/p/r/grants", &grant).ok();
    let mut events = Events::open(&ann, "watch=p/r");
    assert_eq!(events.next().map(|event| event["event"].clone()), Some(json!("ready")));
    root.post("/govern/tokens/ann/revoke", &json!({})).ok();
    let end = events.next().expect("an event");
    assert_eq!((&end["event"], &end["error"]["code"]), (&json!("end"), &json!("unauthenticated")));
    assert_eq!(ann.get("/watch?watch=p/r").refusal().0, 401);
}

#[test]
fn streams_end_in_order_when_the_server_stops() {
    let mut convoy = Convoy::with().start();
    let api = Asker::of(&convoy);
    api.make("p", "r");
    let mut events = Events::open(&api, "watch=p/r");
    assert_eq!(events.next().map(|event| event["event"].clone()), Some(json!("ready")));
    let polling = std::thread::spawn({
        let api = api.clone();
        move || api.get("/repos/p/r/watch").status
    });
    assert_eq!(convoy.stop(), Some(0));
    let end = events.next().expect("an event");
    assert_eq!((&end["event"], &end["error"]), (&json!("end"), &Value::Null));
    // A poll that began too late finds nobody.
    assert!(matches!(polling.join(), Ok(204) | Err(_)));
}

/// A `convoy watch -o json` that runs beside the test.
struct Watcher {
    lines: Arc<Mutex<Vec<Value>>>,
    _running: Beside,
}

impl Watcher {
    fn start(convoy: &Convoy, watches: &[&str]) -> Self {
        let mut command = convoy.command("watch");
        command.args(watches).args(["--output", "json", "--quiet"]).stdout(Stdio::piped());
        let mut running = Beside::start(&mut command);
        let stdout = running.child.stdout.take().expect("the output is piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("a line is JSON");
                kept.lock().expect("nobody panics with it").push(event);
            }
        });
        Self { lines, _running: running }
    }

    /// The revisions that one of the watches was told.
    fn told(&self, watch: u64) -> Vec<u64> {
        let lines = self.lines.lock().expect("nobody panics with it");
        let mine = lines.iter().filter(|event| event["watch"] == watch);
        mine.filter_map(|event| event["revision"].as_u64()).collect()
    }
}

/// Commits until it is told to stop, through whatever happens to the server.
fn keep_committing(api: Asker, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let path = ["a/x", "b/y", "a/z"][number % 3];
            let changes = write(path, &number.to_string());
            let body = json!({"base_revision": -1, "changes": changes, "message": "m"});
            if api.try_post("/repos/p/r/commits", &body).is_err() {
                // Nobody listens for a moment.
                std::thread::park_timeout(std::time::Duration::from_millis(5));
            }
        }
    })
}

#[test]
fn a_watch_outlives_servers_that_are_killed() {
    let (kills, events) = match std::env::var_os("CONVOY_LONG") {
        Some(_) => (20, 1000),
        None => (3, 120),
    };
    let mut convoy = Convoy::with().start();
    let api = Asker::of(&convoy);
    api.make("p", "r");
    let watcher = Watcher::start(&convoy, &["p/r@1", "p/r@1:/b/**"]);
    let stop = Arc::new(AtomicBool::new(false));
    let committing = keep_committing(api.clone(), stop.clone());
    let reach = |count: usize| {
        wait_for(&format!("{count} revisions to be told"), || match watcher.told(0).len() {
            seen if seen >= count => Ok(()),
            seen => Err(format!("{seen} were")),
        });
    };
    for kill in 0..kills {
        reach((kill + 1) * events / (kills + 1));
        convoy.kill();
        convoy.start_again();
    }
    reach(events);
    stop.store(true, Ordering::Relaxed);
    committing.join().expect("the writer ends");
    let head = api.get("/repos/p/r").ok()["head"]["revision"].as_u64().expect("a head");
    wait_for("the head to be told", || match watcher.told(0).last() {
        Some(last) if *last == head => Ok(()),
        last => Err(format!("{last:?} of {head}")),
    });
    let history = |pattern: &str| -> Vec<u64> {
        let mut numbers = Vec::new();
        let mut from = json!(-1);
        while !from.is_null() {
            let query = format!("/repos/p/r/revisions?limit=1000&pattern={pattern}&from={from}");
            let page = api.get(&query).ok();
            let page_numbers = page["revisions"].as_array().cloned().unwrap_or_default();
            numbers.extend(page_numbers.iter().filter_map(|one| one["revision"].as_u64()));
            from = page["next"].clone();
        }
        numbers.reverse();
        numbers.retain(|revision| *revision > 1);
        numbers
    };
    assert_eq!(watcher.told(0), (2..=head).collect::<Vec<_>>());
    let of_b = history("/b/**");
    wait_for("the second watch to be told the rest", || match watcher.told(1).last() {
        last if last == of_b.last() => Ok(()),
        last => Err(format!("{last:?} of {:?}", of_b.last())),
    });
    assert_eq!(watcher.told(1), of_b);
}
