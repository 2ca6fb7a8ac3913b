//! Random messages, well-formed or not in the least, meet random snapshots.
//! Whatever a client says, the session keeps its own rules: it does not panic,
//! answers a refusal with silence, has one response under way, and its timers
//! move on.
//!
//! The seed is printed; `CONVOY_TEST_SEED=… cargo test any_messages` repeats a
//! walk. `CONVOY_LONG=1` makes it millions of steps.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::script::{Kind, cla, eds_cluster, host, snapshot, thing, wrapped};
use super::*;

const KINDS: [Kind; 6] = [
    Kind::Clusters,
    Kind::Endpoints,
    Kind::Listeners,
    Kind::Routes,
    Kind::VirtualHosts,
    Kind::Runtime,
];
const NAMES: [&str; 11] = [
    "a",
    "b",
    "*",
    "",
    "alias",
    "r/x",
    "r/one.example",
    "xdstp://a/T/c/*",
    "xdstp://a/T/c/x?p=1&q=2",
    "xdstp://a/T/c/x?q=2&p=1",
    "xdstp://a/T/c/y",
];

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.roll(of.len() as u64)).unwrap()]
    }

    fn names(&mut self) -> Vec<String> {
        (0..self.roll(4)).map(|_| (*self.one(&NAMES)).to_owned()).collect()
    }
}

fn world(dice: &mut Dice) -> Arc<Snapshot> {
    let mut all = Vec::new();
    for kind in KINDS {
        for name in ["a", "b", "xdstp://a/T/c/x?p=1&q=2", "xdstp://a/T/c/y"] {
            let version = i64::try_from(dice.roll(4)).unwrap();
            let one = match kind {
                Kind::Clusters => eds_cluster(name, version),
                Kind::Endpoints => cla(name, version),
                Kind::VirtualHosts => host(&format!("r/{name}"), &["*.example"], version),
                kind => thing(kind, name, version),
            };
            let ttl = (dice.roll(6) == 0).then(|| 1 + dice.roll(20));
            let aliases: &[&str] = if dice.roll(6) == 0 { &["alias"] } else { &[] };
            if version > 0 {
                all.push(wrapped(&one, ttl, aliases));
            }
        }
    }
    snapshot(all)
}

/// A session and what a careful reader of its messages knows.
struct Reader {
    session: Session,
    now: Duration,
    nonces: BTreeSet<String>,
    /// The nonces of each type that were not answered, and since when.
    open: BTreeMap<Kind, (Vec<String>, Duration)>,
}

impl Reader {
    fn new(dice: &mut Dice) -> Self {
        let mut session = Session::new(*dice.one(&[Protocol::Sotw, Protocol::Delta]));
        session.introduce(Features { ttl: dice.roll(2) == 0, wrapped: dice.roll(2) == 0 });
        let (nonces, open) = (BTreeSet::new(), BTreeMap::new());
        Self { session, now: Duration::ZERO, nonces, open }
    }

    fn step(&mut self, dice: &mut Dice) {
        match dice.roll(10) {
            0 => {
                let sent = self.session.on_snapshot(Some(world(dice)), self.now);
                self.check(&sent);
            }
            1 if dice.roll(8) == 0 => {
                let sent = self.session.on_snapshot(None, self.now);
                assert_eq!(sent, [], "something was sent of nothing");
            }
            1 | 2 => self.wait(Duration::from_millis(dice.roll(12_000))),
            _ => self.say(dice),
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        if self.session.next_timeout().is_some_and(|at| at <= self.now) {
            let sent = self.session.on_timeout(self.now);
            self.check(&sent);
            let next = self.session.next_timeout();
            assert!(next.is_none_or(|at| at > self.now), "a timer does not move on");
        }
    }

    fn say(&mut self, dice: &mut Dice) {
        let kind = *dice.one(&KINDS);
        let open = self.open.get(&kind).map(|(nonces, _)| nonces.clone()).unwrap_or_default();
        let nonce = match (dice.roll(4), open.first()) {
            (0, _) => String::new(),
            (1, _) => "stale".to_owned(),
            (_, Some(first)) => first.clone(),
            (_, None) => String::new(),
        };
        let refuses = dice.roll(4) == 0;
        let begun = self.session.channels.contains_key(&place(&kind.type_url()));
        let ask = self.ask(dice, refuses);
        let asks_nothing = matches!(&ask, Ask::Delta { subscribe, unsubscribe, .. }
            if subscribe.is_empty() && unsubscribe.is_empty());
        let request = Request {
            type_url: kind.type_url(),
            nonce: nonce.clone(),
            error: refuses.then(|| "no".into()),
            ask,
            at: Timestamp::UNIX_EPOCH,
        };
        let snapshot = self.session.snapshot.clone();
        let before = self.session.channels.get(&place(&kind.type_url()));
        let in_step = before.is_some_and(|channel| {
            channel.lack(&self.session.current(&kind.type_url())).is_none() && !channel.is_urgent()
        });
        if let Some((nonces, _)) = self.open.get_mut(&kind) {
            nonces.retain(|one| *one != nonce);
        }
        let (answer, sent) = self.session.on_request(request, self.now).unwrap();
        if refuses && asks_nothing && begun && in_step && snapshot.is_some() {
            let again = sent.iter().any(|one| one.type_url == kind.type_url());
            let lasting = |one: &Arc<Served>| one.wrapping.ttl.is_some();
            let beats = sent.iter().any(|one| one.resources.iter().any(lasting));
            assert!(!again || beats, "a refusal was answered");
        }
        assert!(answer.is_none() || self.nonces.contains(&nonce), "a stranger's answer counts");
        self.check(&sent);
    }

    fn ask(&self, dice: &mut Dice, plain: bool) -> Ask {
        let mut names = |dice: &mut Dice| if plain { vec![] } else { dice.names() };
        match self.session.protocol {
            Protocol::Sotw => Ask::Sotw { names: dice.names(), version: "v".into() },
            Protocol::Delta => {
                let initial = names(dice).into_iter().map(|name| (name, "v".into())).collect();
                let (subscribe, unsubscribe) = (names(dice), names(dice));
                Ask::Delta { subscribe, unsubscribe, initial }
            }
        }
    }

    fn check(&mut self, sent: &[Outgoing]) {
        for outgoing in sent {
            let kind = outgoing.type_url.kind().unwrap();
            assert!(self.nonces.insert(outgoing.nonce.clone()), "a nonce came twice");
            let names = outgoing.resources.iter().map(|one| &one.name);
            let names: BTreeSet<_> = names.chain(&outgoing.removed).collect();
            let count = outgoing.resources.len() + outgoing.removed.len();
            assert_eq!(names.len(), count, "a name came twice");
            if outgoing.protocol == Protocol::Sotw {
                assert_eq!(outgoing.removed, []);
            }
            let beats = |one: &Arc<Served>| one.wrapping.ttl.is_some();
            let is_beat = !outgoing.resources.is_empty() && outgoing.resources.iter().all(beats);
            let (nonces, since) = self.open.entry(kind).or_default();
            let overdue = self.now >= *since + Duration::from_secs(30);
            let idle = nonces.is_empty() || overdue || is_beat;
            assert!(idle, "two responses of {kind:?} under way");
            if !is_beat || nonces.is_empty() {
                (*nonces, *since) = (vec![outgoing.nonce.clone()], self.now);
            }
        }
    }
}

#[test]
fn any_messages_in_any_order_keep_the_rules() {
    let given = std::env::var("CONVOY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("seed {seed}");
    let walks = if std::env::var_os("CONVOY_LONG").is_some() { 20_000 } else { 100 };
    let mut dice = Dice(seed);
    for _ in 0..walks {
        let mut reader = Reader::new(&mut dice);
        (0..150).for_each(|_| reader.step(&mut dice));
    }
}
