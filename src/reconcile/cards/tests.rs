//! The outbox against a channel that fails as it is told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use super::*;
use crate::chat::samples;
use crate::model::ContentHash;
use crate::promote::Promotion;

/// What happens to the next call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// It is done.
    Done,
    /// It is not done, and said so.
    Down,
    /// It is done, and the answer is lost.
    Lost,
    /// The message is gone.
    Gone,
    /// It is not done; Slack wants to be left alone for a while.
    Limited(u64),
}

/// What stands in the channel: key, text, thread.
type Shown = (String, String, Option<String>);

#[derive(Debug, Default)]
struct Room {
    fates: Mutex<VecDeque<Fate>>,
    shown: Mutex<Vec<Shown>>,
    calls: Mutex<Vec<(&'static str, Instant)>>,
    blind: bool,
}

impl Room {
    fn call(&self, what: &'static str) -> Fate {
        self.calls.lock().unwrap().push((what, Instant::now()));
        self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Done)
    }

    fn texts(&self) -> Vec<String> {
        self.shown.lock().unwrap().iter().map(|(_, text, _)| text.clone()).collect()
    }

    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().iter().map(|(what, _)| *what).collect()
    }

    fn post_it(&self, key: &str, text: String, thread: Option<&str>) -> Result<String, Trouble> {
        let fate = self.call("post");
        let mut shown = self.shown.lock().unwrap();
        let ts = format!("{}", shown.len());
        if matches!(fate, Fate::Done | Fate::Lost) {
            shown.push((key.to_owned(), text, thread.map(str::to_owned)));
        }
        match fate {
            Fate::Done => Ok(ts),
            Fate::Lost => Err(Trouble::Unsure("the answer was lost".into())),
            Fate::Limited(seconds) => {
                Err(Trouble::NotNow(Some(Duration::from_secs(seconds)), "limited".into()))
            }
            _ => Err(Trouble::NotNow(None, "it is down".into())),
        }
    }
}

fn text(showing: Showing<'_>) -> String {
    let promotion = &showing.view.state.promotions[showing.id];
    format!("{} {}", promotion.id, promotion.reason)
}

impl Announcer for Room {
    fn rooms(&self, _: &View, _: &PromotionId) -> BTreeSet<String> {
        BTreeSet::from(["C1".to_owned()])
    }

    fn home(&self) -> &str {
        "C1"
    }

    fn content(&self, showing: Showing<'_>) -> ContentHash {
        ContentHash::of(text(showing).as_bytes())
    }

    fn notes(&self, showing: Showing<'_>) -> Vec<String> {
        let promotion = &showing.view.state.promotions[showing.id];
        promotion.approvals.iter().map(|approval| format!("vote {}", approval.by)).collect()
    }

    fn post<'a>(
        &'a self,
        showing: Showing<'a>,
        thread: Option<&'a str>,
        key: &'a str,
    ) -> Told<'a, CardRef> {
        Box::pin(async move {
            let ts = self.post_it(key, text(showing), thread)?;
            Ok(CardRef { channel: "C1".into(), ts, thread: thread.map(str::to_owned) })
        })
    }

    fn edit<'a>(&'a self, showing: Showing<'a>, at: &'a CardRef) -> Told<'a, ()> {
        Box::pin(async move {
            match self.call("edit") {
                Fate::Done => {
                    let at: usize = at.ts.parse().unwrap();
                    self.shown.lock().unwrap()[at].1 = text(showing);
                    Ok(())
                }
                Fate::Gone => Err(Trouble::Gone),
                _ => Err(Trouble::NotNow(None, "it is down".into())),
            }
        })
    }

    fn tell<'a>(
        &'a self,
        _: Showing<'a>,
        note: &'a str,
        at: &'a CardRef,
        key: &'a str,
    ) -> Told<'a, ()> {
        Box::pin(async move { self.post_it(key, note.to_owned(), Some(at.root())).map(|_| ()) })
    }

    fn find<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        key: &'a str,
        _: Timestamp,
    ) -> Told<'a, Option<CardRef>> {
        Box::pin(async move {
            if self.blind {
                return Err(Trouble::Blind);
            }
            self.call("find");
            let shown = self.shown.lock().unwrap();
            let at = shown.iter().position(|(known, _, _)| known == key);
            Ok(at.map(|at| CardRef { channel: "C1".into(), ts: at.to_string(), thread: None }))
        })
    }
}

/// An outbox at work, and what it wrote down.
struct Bench {
    room: Arc<Room>,
    view: watch::Sender<Arc<View>>,
    wanted: mpsc::Sender<PromotionId>,
    written: Arc<Mutex<BTreeMap<Key, CardRecord>>>,
    tasks: crate::tasks::Tasks,
}

impl Bench {
    fn start(room: Room, known: BTreeMap<Key, CardRecord>) -> Self {
        let (room, tasks) = (Arc::new(room), crate::tasks::Tasks::default());
        let (view, watching) = watch::channel(Arc::new(View::default()));
        let (wanted, queue) = mpsc::channel(16);
        let (events, mut inbox) = mpsc::channel(16);
        let written = Arc::new(Mutex::new(known.clone()));
        let kept = written.clone();
        tasks.spawn("writer", async move {
            while let Some(event) = inbox.recv().await {
                let Event::Shown { promotion, room, record, done } = event else { continue };
                // What comes back after a restart is what was written.
                let json = serde_json::to_string(&record).unwrap();
                let record = serde_json::from_str(&json).unwrap();
                kept.lock().unwrap().insert((promotion, room), record);
                let _ = done.send(());
            }
        });
        tasks.spawn("outbox", run((room.clone(), None), queue, watching, known, events));
        Self { room, view, wanted, written, tasks }
    }

    fn set(&self, promotions: Vec<Promotion>) {
        let state = Arc::new(samples::state(promotions));
        self.view.send_replace(Arc::new(View { state, ..View::default() }));
    }

    async fn announce(&self, reason: &str) {
        self.set(vec![Promotion { reason: reason.into(), ..samples::promotion(1, "canary") }]);
        self.wanted.send(PromotionId::numbered(1)).await.unwrap();
    }

    /// Lets virtual time pass; the tasks do what falls into it.
    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn end(self) -> BTreeMap<Key, CardRecord> {
        self.tasks.stop();
        self.written.lock().unwrap().clone()
    }
}

fn failing(fates: &[Fate]) -> Room {
    Room { fates: Mutex::new(fates.iter().copied().collect()), ..Room::default() }
}

#[tokio::test(start_paused = true)]
async fn many_changes_become_one_edit_a_second() {
    let bench = Bench::start(Room::default(), BTreeMap::new());
    bench.announce("first").await;
    bench.pass(2).await;
    for n in 0..50 {
        bench.announce(&format!("change {n}")).await;
    }
    bench.pass(3).await;
    assert_eq!(bench.room.texts(), ["P-1 change 49"]);
    assert!(bench.room.calls().len() <= 4, "{:?}", bench.room.calls());
    let calls = bench.room.calls.lock().unwrap().clone();
    for pair in calls.windows(2) {
        assert!(pair[1].1 - pair[0].1 >= PACE, "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_slack_ends_in_one_card_of_the_newest_state() {
    let bench = Bench::start(failing(&[Fate::Down; 70]), BTreeMap::new());
    for n in 0..60 {
        bench.announce(&format!("change {n}")).await;
        bench.pass(60).await;
    }
    bench.room.fates.lock().unwrap().clear();
    bench.pass(70).await;
    assert_eq!(bench.room.texts(), ["P-1 change 59"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_for_and_nothing_is_posted_twice() {
    let bench = Bench::start(failing(&[Fate::Lost]), BTreeMap::new());
    bench.announce("first").await;
    bench.pass(30).await;
    assert_eq!(bench.room.texts(), ["P-1 first"]);
    assert_eq!(bench.room.calls(), ["post", "find"]);
    bench.announce("second").await;
    bench.pass(5).await;
    assert_eq!(bench.room.texts(), ["P-1 second"]);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_looked_up_it_is_posted_again_rather_than_not_at_all() {
    let bench = Bench::start(Room { blind: true, ..failing(&[Fate::Lost]) }, BTreeMap::new());
    bench.announce("first").await;
    bench.pass(30).await;
    assert_eq!(bench.room.texts(), ["P-1 first", "P-1 first"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_post_and_record_is_made_good_at_the_next_start() {
    let first = Bench::start(failing(&[Fate::Lost]), BTreeMap::new());
    first.announce("first").await;
    tokio::time::sleep(PACE / 2).await;
    let shown = first.room.shown.lock().unwrap().clone();
    assert_eq!(shown.len(), 1);
    let written = first.end();
    let trying = written.values().next().unwrap().trying.clone();
    assert!(trying.is_some_and(|trying| !trying.untouched), "{written:?}");
    let again = Bench::start(Room { shown: Mutex::new(shown), ..Room::default() }, written);
    again.announce("first").await;
    again.pass(5).await;
    assert_eq!(again.room.texts(), ["P-1 first"]);
    assert_eq!(again.room.calls(), ["find"]);
    let record = again.end().into_values().next().unwrap();
    assert_eq!(record.card.unwrap().ts, "0");
}

#[tokio::test(start_paused = true)]
async fn a_restart_leaves_a_card_alone_that_shows_everything() {
    let first = Bench::start(Room::default(), BTreeMap::new());
    first.announce("first").await;
    first.pass(5).await;
    let shown = first.room.shown.lock().unwrap().clone();
    let again = Bench::start(Room { shown: Mutex::new(shown), ..Room::default() }, first.end());
    again.announce("first").await;
    again.pass(5).await;
    assert!(again.room.calls().is_empty(), "{:?}", again.room.calls());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_card_is_followed_by_one_in_its_thread() {
    let bench = Bench::start(failing(&[Fate::Done, Fate::Gone]), BTreeMap::new());
    bench.announce("first").await;
    bench.pass(2).await;
    bench.announce("second").await;
    bench.pass(5).await;
    let shown = bench.room.shown.lock().unwrap().clone();
    let threads: Vec<_> =
        shown.iter().map(|(_, text, thread)| (text.as_str(), thread.as_deref())).collect();
    assert_eq!(threads, [("P-1 first", None), ("P-1 second", Some("0"))]);
    bench.announce("third").await;
    bench.pass(5).await;
    assert_eq!(bench.room.texts(), ["P-1 first", "P-1 third"]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_waited_out_as_long_as_slack_asks() {
    let bench = Bench::start(failing(&[Fate::Limited(90)]), BTreeMap::new());
    let began = Instant::now();
    bench.announce("first").await;
    bench.pass(89).await;
    assert!(bench.room.texts().is_empty());
    bench.pass(3).await;
    assert_eq!(bench.room.texts(), ["P-1 first"]);
    assert!(began.elapsed() >= Duration::from_secs(90));
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_told_in_the_thread_once() {
    use crate::model::{Person, Via};
    let bench = Bench::start(failing(&[Fate::Done, Fate::Lost]), BTreeMap::new());
    let mut promotion = samples::promotion(1, "canary");
    let vote = |name: &str| crate::promote::Approval {
        by: Person::new(name).unwrap(),
        via: Via::Slack,
        plan: promotion.plan.digest,
        at: samples::at(1),
        note: String::new(),
    };
    promotion.approvals = vec![vote("kim"), vote("lee")];
    promotion.reason = "first".into();
    bench.set(vec![promotion]);
    bench.wanted.send(PromotionId::numbered(1)).await.unwrap();
    bench.pass(30).await;
    assert_eq!(bench.room.texts(), ["P-1 first", "vote kim", "vote lee"]);
    let record = bench.end().into_values().next().unwrap();
    assert_eq!(record.told.len(), 2);
    assert_eq!(record.trying, None);
}

#[test]
fn records_of_before_are_still_read() {
    let hash = ContentHash::of(b"x");
    let old = format!(r#"{{"card": {{"channel": "C1", "ts": "1.2"}}, "content": "{hash}"}}"#);
    let record: CardRecord = serde_json::from_str(&old).unwrap();
    assert_eq!(record.card.unwrap().root(), "1.2");
    assert_eq!(record.content, Some(hash));
}
