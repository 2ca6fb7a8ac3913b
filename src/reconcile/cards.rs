//! The outbox of cards: one per promotion and channel, edited in place, with
//! what happened told in its thread; nothing twice.
//!
//! What was posted where is recorded before anything follows from it, and that
//! something is about to be posted is recorded before it is: after a crash or
//! a lost answer the message is looked for, by a key that it carries, before
//! it is posted again. What is shown is always the newest state, so that many
//! changes become one edit; a channel gets about one message a second. When
//! nobody can be told, promotions go on, and the cards catch up.
//!
//! ```text
//! announced, tick ─▶ due ─▶ record the try ─▶ post ─▶ record the place ─▶ thread
//!                     ▲                        │ lost
//!                     └──── look for it ◀──────┘
//! ```

mod announcer;
mod record;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub use self::announcer::{Announcer, CardRef, Showing, Told, Trouble};
pub(super) use self::record::CardRecord;
use self::record::Try;
use super::View;
use super::changes::Differ;
use super::event::Event;
use crate::model::PromotionId;
use crate::promote::Promotion;
use crate::retry::Backoff;
use crate::snapshot::Summary;
use crate::telemetry::clock;

/// Between two messages in one channel: Slack takes about one a second.
const PACE: Duration = Duration::from_millis(1000);
/// How often every open promotion is looked at without being announced: for
/// reminders, and for what could not be queued.
const LOOK: Duration = Duration::from_secs(5);
/// How long after its end a promotion is still looked at.
const AFTER_END: Duration = Duration::from_secs(24 * 3600);
/// How long a card waits for what its promotion changes; it is edited later
/// where that takes longer.
const CHANGES_WITHIN: Duration = Duration::from_millis(700);
/// What is looked for was posted by a clock that may differ by this much.
const SKEW: Duration = Duration::from_secs(120);
const BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

type Key = (PromotionId, String);

/// Shows cards until the program stops.
pub(super) async fn run(
    (announcer, differ): (Arc<dyn Announcer>, Option<Differ>),
    mut wanted: mpsc::Receiver<PromotionId>,
    view: watch::Receiver<Arc<View>>,
    shown: BTreeMap<Key, CardRecord>,
    events: mpsc::Sender<Event>,
) {
    let mut outbox = Outbox { differ, ..Outbox::new(announcer, shown, events) };
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            id = wanted.recv() => match id {
                Some(id) => { let now = view.borrow().clone(); outbox.want(&now, &id); }
                None => return,
            },
            () = sleep_until(outbox.next()) => {
                let Some(key) = outbox.ready() else { continue };
                let now = view.borrow().clone();
                outbox.attend(&now, key).await;
            }
            _ = look.tick() => {
                let now = view.borrow().clone();
                outbox.look(&now);
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

struct Outbox {
    announcer: Arc<dyn Announcer>,
    /// Tells what promotions change; `None`: nobody does.
    differ: Option<Differ>,
    shown: BTreeMap<Key, CardRecord>,
    events: mpsc::Sender<Event>,
    /// What is to be looked at, by when it was asked for.
    due: BTreeMap<Key, u64>,
    asked: u64,
    /// When a channel may get its next message, and how often the last failed.
    rooms: BTreeMap<String, (Instant, u32)>,
}

/// What came of looking at one card.
enum Came {
    /// It shows and tells everything.
    Standing,
    /// Something was sent; there may be more.
    Sent,
    /// Nothing could be recorded: the process ends.
    Over,
}

impl Outbox {
    fn new(
        announcer: Arc<dyn Announcer>,
        shown: BTreeMap<Key, CardRecord>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let home = announcer.home().to_owned();
        let of_room = |((id, folder), mut record): (Key, CardRecord)| {
            if record.room.is_empty() {
                record.room = if folder.is_empty() { home.clone() } else { folder };
            }
            ((id, record.room.clone()), record)
        };
        let shown = shown.into_iter().map(of_room).collect();
        let differ = None;
        Self {
            announcer,
            differ,
            shown,
            events,
            due: BTreeMap::new(),
            asked: 0,
            rooms: BTreeMap::new(),
        }
    }

    /// Puts a promotion's cards on the list, in every channel it belongs into
    /// or stands in.
    fn want(&mut self, view: &View, id: &PromotionId) {
        let mut rooms = self.announcer.rooms(view, id);
        let standing = self.shown.range((id.clone(), String::new())..);
        rooms.extend(
            standing.take_while(|((of, _), _)| of == id).map(|((_, room), _)| room.clone()),
        );
        for room in rooms {
            self.asked += 1;
            self.due.entry((id.clone(), room)).or_insert(self.asked);
        }
    }

    /// Looks at everything that may still change.
    fn look(&mut self, view: &View) {
        let now = clock::now();
        let recent = |at: Timestamp| now.duration_since(at).unsigned_abs() < AFTER_END;
        let alive =
            view.state.promotions.values().filter(|promotion| {
                promotion.ending.as_ref().is_none_or(|ending| recent(ending.at))
            });
        for promotion in alive {
            self.want(view, &promotion.id);
        }
        // Before anything was read back, nothing is known to be gone.
        if !view.state.promotions.is_empty() {
            self.shown.retain(|(id, _), _| view.state.promotions.contains_key(id));
        }
    }

    /// When a channel may get a message, where it has to wait.
    fn free(&self, room: &str) -> Option<Instant> {
        self.rooms.get(room).map(|(at, _)| *at)
    }

    /// When something can be done.
    fn next(&self) -> Option<Instant> {
        let now = Instant::now();
        self.due.keys().map(|(_, room)| self.free(room).unwrap_or(now)).min()
    }

    /// What has waited longest in a channel that may get a message.
    fn ready(&mut self) -> Option<Key> {
        let now = Instant::now();
        let ready =
            self.due.iter().filter(|((_, room), _)| self.free(room).is_none_or(|at| at <= now));
        let (key, _) = ready.min_by_key(|(_, asked)| **asked)?;
        let key = key.clone();
        self.due.remove(&key);
        Some(key)
    }

    async fn attend(&mut self, view: &View, key: Key) {
        let room = key.1.clone();
        match self.show(view, &key).await {
            Ok(Came::Standing | Came::Over) => {}
            Ok(Came::Sent) => {
                self.rooms.insert(room, (Instant::now() + PACE, 0));
                self.asked += 1;
                self.due.entry(key).or_insert(self.asked);
            }
            Err(trouble) => self.put_off(key, trouble),
        }
    }

    fn put_off(&mut self, key: Key, trouble: Trouble) {
        let (id, room) = &key;
        let failures = self.rooms.get(room).map_or(0, |(_, failures)| *failures) + 1;
        let backoff = BACKOFF.wait(failures, 0.0);
        let (asked, error) = match trouble {
            Trouble::NotNow(asked, error) => (asked, error),
            Trouble::Unsure(error) => (None, error),
            Trouble::Gone => (None, "the message is gone".into()),
            Trouble::Blind => (None, "it can't be looked up".into()),
        };
        let wait = asked.unwrap_or(backoff).max(PACE);
        tracing::warn!(promotion = %id, room, error, wait_s = wait.as_secs(),
            "a card could not be shown");
        let until = Instant::now() + wait;
        if asked.is_some() {
            // Slack counts for the app as a whole.
            for (at, _) in self.rooms.values_mut() {
                *at = (*at).max(until);
            }
        }
        self.rooms.insert(room.clone(), (until, failures));
        self.asked += 1;
        self.due.insert(key, self.asked);
    }

    /// Sends the one message that is missing most.
    async fn show(&mut self, view: &View, key: &Key) -> Result<Came, Trouble> {
        let (id, room) = key;
        let Some(promotion) = view.state.promotions.get(id) else {
            // Forgotten meanwhile: its card stays as it is.
            self.shown.remove(key);
            return Ok(Came::Standing);
        };
        let announcer = self.announcer.clone();
        let changes = self.changes(view, promotion).await;
        let showing = Showing { view, id, room, now: clock::now(), changes: changes.as_deref() };
        let fresh = || CardRecord { room: room.clone(), ..CardRecord::default() };
        let mut record = self.shown.get(key).cloned().unwrap_or_else(fresh);
        if record.trying.as_ref().is_some_and(|trying| !trying.untouched) {
            return self.settle(key, record).await;
        }
        let Some(card) = record.card.clone() else {
            return self.post(showing, key, record, None).await;
        };
        let content = announcer.content(showing);
        if record.content != Some(content) {
            match announcer.edit(showing, &card).await {
                Ok(()) => record.content = Some(content),
                Err(Trouble::Gone) => return self.replace(showing, key, record, &card).await,
                Err(trouble) => return Err(trouble),
            }
            return Ok(self.record(key, record).await);
        }
        let notes = announcer.notes(showing);
        match notes.into_iter().find(|note| !record.told.contains(note)) {
            Some(note) => self.tell(showing, key, record, note).await,
            None => Ok(Came::Standing),
        }
    }

    /// What a promotion changes, for whoever is asked for a yes to it.
    async fn changes(&self, view: &View, promotion: &Promotion) -> Option<Arc<Summary>> {
        let differ = self.differ.as_ref().filter(|_| promotion.status.is_waiting())?;
        let told = differ.kept(view, promotion);
        tokio::time::timeout(CHANGES_WITHIN, told).await.ok().flatten()
    }

    /// Somebody deleted the card: a new one stands in its thread.
    async fn replace(
        &mut self,
        showing: Showing<'_>,
        key: &Key,
        mut record: CardRecord,
        card: &CardRef,
    ) -> Result<Came, Trouble> {
        record.content = None;
        let root = card.root().to_owned();
        self.post(showing, key, record, Some(root)).await
    }

    async fn post(
        &mut self,
        showing: Showing<'_>,
        key: &Key,
        mut record: CardRecord,
        thread: Option<String>,
    ) -> Result<Came, Trouble> {
        let content = self.announcer.content(showing);
        let trying = Try {
            key: format!("{} {} card {}", showing.id, showing.room, content),
            note: None,
            content: Some(content),
            since: showing.now,
            untouched: true,
        };
        let Some(trying) = self.begin(key, &mut record, trying).await else {
            return Ok(Came::Over);
        };
        let announcer = self.announcer.clone();
        match announcer.post(showing, thread.as_deref(), &trying.key).await {
            Ok(card) => Ok(self.posted(key, record, &trying, card).await),
            Err(trouble) => Err(self.failed(key, record, trouble)),
        }
    }

    async fn tell(
        &mut self,
        showing: Showing<'_>,
        key: &Key,
        mut record: CardRecord,
        note: String,
    ) -> Result<Came, Trouble> {
        let Some(card) = record.card.clone() else { return Ok(Came::Standing) };
        let trying = Try {
            key: format!("{} {} {note}", showing.id, showing.room),
            note: Some(note.clone()),
            content: None,
            since: showing.now,
            untouched: true,
        };
        let Some(trying) = self.begin(key, &mut record, trying).await else {
            return Ok(Came::Over);
        };
        let announcer = self.announcer.clone();
        match announcer.tell(showing, &note, &card, &trying.key).await {
            Ok(()) => Ok(self.posted(key, record, &trying, card).await),
            Err(trouble) => Err(self.failed(key, record, trouble)),
        }
    }

    /// Records that a message is about to be posted. One that was certainly
    /// not posted before is simply tried again.
    async fn begin(&mut self, key: &Key, record: &mut CardRecord, new: Try) -> Option<Try> {
        let again = record.trying.as_ref().is_some_and(|old| old.key == new.key);
        let since = record.trying.as_ref().filter(|_| again).map_or(new.since, |old| old.since);
        let trying = Try { since, ..new };
        record.trying = Some(trying.clone());
        if !again && matches!(self.record(key, record.clone()).await, Came::Over) {
            return None;
        }
        Some(trying)
    }

    async fn posted(
        &mut self,
        key: &Key,
        mut record: CardRecord,
        trying: &Try,
        card: CardRef,
    ) -> Came {
        record.trying = None;
        match &trying.note {
            Some(note) => {
                record.told.insert(note.clone());
            }
            None => {
                record.card = Some(card);
                record.content = trying.content;
            }
        }
        self.record(key, record).await
    }

    /// Remembers whether the message may stand somewhere nevertheless.
    fn failed(&mut self, key: &Key, mut record: CardRecord, trouble: Trouble) -> Trouble {
        if let Some(trying) = &mut record.trying {
            trying.untouched = !matches!(trouble, Trouble::Unsure(_));
        }
        self.shown.insert(key.clone(), record);
        trouble
    }

    /// Finds out what became of a message whose answer was lost.
    async fn settle(&mut self, key: &Key, mut record: CardRecord) -> Result<Came, Trouble> {
        let Some(trying) = record.trying.clone() else { return Ok(Came::Standing) };
        let since = trying.since.checked_sub(SKEW).unwrap_or(trying.since);
        let announcer = self.announcer.clone();
        let (_, room) = key;
        let card = record.card.as_ref();
        let channel = card.map_or(room.as_str(), |card| card.channel.as_str());
        let thread = card.map(CardRef::root);
        match announcer.find(channel, thread, &trying.key, since).await {
            Ok(Some(found)) => {
                let (channel, thread) = (found.channel, thread.map(str::to_owned));
                let card = CardRef { channel, ts: found.ts, thread };
                Ok(self.posted(key, record, &trying, card).await)
            }
            // It is not there, or nobody can tell: then it may stand twice,
            // which is better than not at all.
            Ok(None) | Err(Trouble::Blind) => {
                record.trying = Some(Try { untouched: true, ..trying });
                self.shown.insert(key.clone(), record);
                Ok(Came::Sent)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Writes down what is known of a card, and waits until it is durable.
    async fn record(&mut self, key: &Key, record: CardRecord) -> Came {
        self.shown.insert(key.clone(), record.clone());
        let ((promotion, room), (done, written)) = (key.clone(), oneshot::channel());
        let event = Event::Shown { promotion, room, record, done };
        if self.events.send(event).await.is_err() {
            return Came::Over;
        }
        // Whoever does not answer could not write it, or ends.
        match written.await {
            Ok(()) => Came::Sent,
            Err(_) => Came::Over,
        }
    }
}

#[cfg(test)]
mod tests;
