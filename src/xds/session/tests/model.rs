//! Random walks: a model client of some sixty lines meets random snapshots,
//! subscriptions, answers and reconnects. Whatever happens, no message repeats
//! what the client has, and at rest the client holds what is served.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::*;
use super::script::{Kind, cla, eds_cluster, number, snapshot, thing};
use crate::snapshot::Served;

const KINDS: [Kind; 4] = [Kind::Clusters, Kind::Endpoints, Kind::Listeners, Kind::Routes];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Versions by kind and name; 0 is not there.
type World = [[i64; 4]; 4];

fn served(world: &World) -> Arc<Snapshot> {
    let at = |kind: usize, name: usize| (KINDS[kind], NAMES[name], world[kind][name]);
    let all = (0..4).flat_map(|kind| (0..4).map(move |name| at(kind, name)));
    let there = all.filter(|(.., version)| *version > 0);
    snapshot(there.map(|(kind, name, version)| match kind {
        Kind::Clusters => eds_cluster(name, version),
        Kind::Endpoints => cla(name, version),
        kind => thing(kind, name, version),
    }))
}

#[derive(Debug, Clone)]
enum Step {
    Publish(World),
    Withdraw,
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Ack(usize),
    Nack(usize),
    Wait(u64),
    Reconnect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let world = || prop::array::uniform4(prop::array::uniform4(0_i64..4));
    let step = prop_oneof![
        4 => world().prop_map(Step::Publish),
        1 => Just(Step::Withdraw),
        4 => (0..4_usize, 0..4_usize).prop_map(|(kind, name)| Step::Subscribe(kind, name)),
        2 => (0..4_usize, 0..4_usize).prop_map(|(kind, name)| Step::Unsubscribe(kind, name)),
        8 => (0..4_usize).prop_map(Step::Ack),
        2 => (0..4_usize).prop_map(Step::Nack),
        1 => (1..40_u64).prop_map(Step::Wait),
        1 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 1..60)
}

/// One type at the client.
#[derive(Default)]
struct Side {
    names: BTreeSet<String>,
    begun: bool,
    has: BTreeMap<String, Arc<Served>>,
    nonce: String,
    version: String,
    open: Option<Outgoing>,
    /// When `open` came.
    since: Duration,
    /// Names that may be sent whatever their version.
    asked: BTreeSet<String>,
}

struct Model {
    session: Session,
    now: Duration,
    sides: BTreeMap<Kind, Side>,
    nonces: BTreeSet<String>,
}

/// Listeners and clusters are asked for as a whole.
fn wildcard(kind: Kind) -> bool {
    matches!(kind, Kind::Clusters | Kind::Listeners)
}

impl Model {
    fn new(protocol: Protocol) -> Self {
        let sides = KINDS.into_iter().map(|kind| (kind, Side::default())).collect();
        let session = Session::new(protocol);
        let (now, nonces) = (Duration::ZERO, BTreeSet::new());
        let mut model = Self { session, now, sides, nonces };
        model.reconnect();
        model
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Publish(world) => self.publish(Some(served(&world))),
            Step::Withdraw => self.publish(None),
            Step::Subscribe(kind, name) => self.name(KINDS[kind], NAMES[name], true),
            Step::Unsubscribe(kind, name) => self.name(KINDS[kind], NAMES[name], false),
            Step::Ack(kind) => self.answer(KINDS[kind], false),
            Step::Nack(kind) => self.answer(KINDS[kind], true),
            Step::Wait(seconds) => self.wait(seconds),
            Step::Reconnect => self.reconnect(),
        }
    }

    fn publish(&mut self, snapshot: Option<Arc<Snapshot>>) {
        if let (Some(snapshot), Protocol::Sotw) = (&snapshot, self.session.protocol) {
            self.forget(snapshot);
        }
        let sent = self.session.on_snapshot(snapshot, self.now);
        self.take(sent);
    }

    /// State of the world can't say that endpoints or routes are gone, so
    /// they come again when they are back.
    fn forget(&mut self, snapshot: &Snapshot) {
        for (kind, side) in self.sides.iter_mut().filter(|(kind, _)| !wildcard(**kind)) {
            let there = |name: &str| {
                let of_kind = snapshot.types.get(&kind.type_url());
                of_kind.is_some_and(|one| one.resources.contains_key(&ResourceName(name.into())))
            };
            side.asked.extend(side.has.keys().filter(|name| !there(name)).cloned());
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        let sent = self.session.on_timeout(self.now);
        self.take(sent);
    }

    /// A new stream for all that was asked for on the old one.
    fn reconnect(&mut self) {
        let snapshot = self.session.offer.snapshot.clone();
        self.session = Session::new(self.session.protocol);
        self.nonces.clear();
        self.session.on_snapshot(snapshot, self.now);
        for kind in KINDS {
            let side = self.sides.get_mut(&kind).unwrap();
            side.open = None;
            side.nonce.clear();
            side.begun = false;
            side.asked = side.names.clone();
            if self.session.protocol == Protocol::Sotw {
                // Only a version says what a state-of-the-world client has.
                side.asked.extend(side.has.keys().cloned());
            }
        }
        for kind in KINDS {
            let side = &self.sides[&kind];
            if wildcard(kind) || !side.names.is_empty() {
                let names = side.names.iter().cloned().collect();
                self.say(kind, None, names, vec![]);
            }
        }
    }

    fn name(&mut self, kind: Kind, name: &str, add: bool) {
        if wildcard(kind) {
            return;
        }
        let side = self.sides.get_mut(&kind).unwrap();
        if add {
            side.names.insert(name.into());
            side.asked.insert(name.into());
        } else if side.names.remove(name) {
            side.has.remove(name);
            side.asked.remove(name);
        } else {
            return;
        }
        let all = side.names.iter().cloned().collect();
        match (self.session.protocol, add) {
            (Protocol::Sotw, _) if !side.begun && side.names.is_empty() => {}
            (Protocol::Sotw, _) => self.say(kind, None, all, vec![]),
            (Protocol::Delta, true) => self.say(kind, None, vec![name.into()], vec![]),
            (Protocol::Delta, false) if side.begun => {
                self.say(kind, None, vec![], vec![name.into()])
            }
            (Protocol::Delta, false) => {}
        }
    }

    fn answer(&mut self, kind: Kind, refuse: bool) {
        let side = self.sides.get_mut(&kind).unwrap();
        let Some(outgoing) = side.open.take() else { return };
        side.nonce = outgoing.nonce.clone();
        side.apply(kind, &outgoing, refuse);
        match refuse {
            false => side.version = outgoing.version.to_string(),
            // Who refuses may have taken half, so what it had may come again.
            true => side.asked.extend(outgoing.resources.iter().map(|one| one.name.to_string())),
        }
        if kind == Kind::Clusters {
            // A cluster that was sent anew needs its endpoints once more.
            let endpoints = self.sides.get_mut(&Kind::Endpoints).unwrap();
            endpoints.asked.extend(outgoing.resources.iter().map(|one| one.name.to_string()));
        }
        let names = match self.session.protocol {
            Protocol::Sotw => self.sides[&kind].names.iter().cloned().collect(),
            Protocol::Delta => vec![],
        };
        self.say(kind, Some(refuse), names, vec![]);
    }

    fn say(&mut self, kind: Kind, answer: Option<bool>, names: Vec<String>, less: Vec<String>) {
        let side = self.sides.get_mut(&kind).unwrap();
        let first = !std::mem::replace(&mut side.begun, true);
        let delta = self.session.protocol == Protocol::Delta;
        let version = |one: &Arc<Served>| one.version.to_string();
        let initial =
            side.has.iter().filter(|_| first).map(|(name, one)| (name.clone(), version(one)));
        let ask = match delta {
            true => {
                let initial = initial.collect();
                Ask::Delta { subscribe: names, unsubscribe: less, initial }
            }
            false => Ask::Sotw { names, version: side.version.clone() },
        };
        let request = Request {
            type_url: kind.type_url(),
            nonce: if delta && answer.is_none() { String::new() } else { side.nonce.clone() },
            error: answer.filter(|refused| *refused).map(|_| "no".into()),
            ask,
            at: Timestamp::UNIX_EPOCH,
        };
        let (_, sent) = self.session.on_request(request, self.now).unwrap();
        self.take(sent);
    }

    /// Checks what came and keeps it for answering.
    fn take(&mut self, sent: Vec<Outgoing>) {
        for outgoing in &sent {
            if outgoing.type_url.kind() == Some(Kind::Clusters) {
                let names = outgoing.resources.iter().map(|one| one.name.to_string());
                self.sides.get_mut(&Kind::Endpoints).unwrap().asked.extend(names);
            }
        }
        for outgoing in sent {
            let kind = outgoing.type_url.kind().unwrap();
            assert!(!outgoing.nonce.is_empty() && self.nonces.insert(outgoing.nonce.clone()));
            let side = self.sides.get_mut(&kind).unwrap();
            let names: BTreeSet<_> = outgoing.resources.iter().map(|one| &one.name).collect();
            assert_eq!(names.len(), outgoing.resources.len(), "a name came twice");
            let overdue = self.now >= side.since + Duration::from_secs(30);
            assert!(side.open.is_none() || overdue, "two responses of {kind:?} under way");
            side.since = self.now;
            if let Some(missed) = side.open.take() {
                // It was read, and never answered.
                side.apply(kind, &missed, false);
            }
            if outgoing.protocol == Protocol::Delta || !wildcard(kind) {
                side.check_news(&outgoing);
            }
            side.open = Some(outgoing);
        }
    }
}

impl Side {
    /// Nothing comes that the client has, unless it asked for it.
    fn check_news(&mut self, outgoing: &Outgoing) {
        for one in &outgoing.resources {
            let name = one.name.to_string();
            let known = self.has.get(&name).is_some_and(|has| has.version == one.version);
            assert!(!known || self.asked.remove(&name), "{name} came again unasked");
        }
    }

    fn apply(&mut self, kind: Kind, outgoing: &Outgoing, refused: bool) {
        let there: BTreeMap<_, _> =
            outgoing.resources.iter().map(|one| (one.name.to_string(), one.clone())).collect();
        if outgoing.protocol == Protocol::Sotw && wildcard(kind) {
            self.has.retain(|name, _| there.contains_key(name));
        }
        outgoing.removed.iter().for_each(|name| drop(self.has.remove(&*name.0)));
        if !refused {
            let wanted =
                there.into_iter().filter(|(name, _)| wildcard(kind) || self.names.contains(name));
            self.has.extend(wanted);
        }
    }

    fn versions(&self) -> BTreeMap<String, i64> {
        self.has.iter().map(|(name, one)| (name.clone(), number(one))).collect()
    }
}

/// Answers all there is until nothing more comes.
fn settle(model: &mut Model) {
    for _ in 0..20 {
        KINDS.into_iter().for_each(|kind| model.answer(kind, false));
        if model.sides.values().all(|side| side.open.is_none()) {
            return;
        }
    }
    panic!("the session does not come to rest");
}

fn check_at_rest(model: &Model, world: &World) {
    for (kind, versions) in KINDS.into_iter().zip(world) {
        let side = &model.sides[&kind];
        let wanted = |name: &str| wildcard(kind) || side.names.contains(name);
        let expected: BTreeMap<_, _> = NAMES
            .into_iter()
            .zip(*versions)
            .filter(|(name, version)| *version > 0 && wanted(name))
            .map(|(name, version)| (name.to_owned(), version))
            .collect();
        let mut held = side.versions();
        if model.session.protocol == Protocol::Sotw && !wildcard(kind) {
            // State of the world can't say that such a resource is gone.
            held.retain(|name, _| expected.contains_key(name));
        }
        assert_eq!(held, expected, "{kind:?}");
    }
}

fn walk(protocol: Protocol, steps: Vec<Step>, mut last: World) {
    let mut model = Model::new(protocol);
    steps.into_iter().for_each(|step| model.run(step));
    // What was refused is sent again when it changes, so everything changes.
    last.iter_mut().flatten().filter(|version| **version > 0).for_each(|version| *version += 10);
    model.publish(Some(served(&last)));
    settle(&mut model);
    // A client that came back is given a moment before removals follow, and
    // time to drain what it may still use.
    for seconds in [1, 900] {
        model.wait(seconds);
        settle(&mut model);
    }
    check_at_rest(&model, &last);
    let at_rest = model.session.next_timeout();
    assert_eq!(at_rest, None, "a client at rest is waited for");
    model.publish(Some(served(&last)));
    assert!(model.sides.values().all(|side| side.open.is_none()), "a repeat was sent");
}

/// A route that names one of four clusters by its version.
fn naming(cluster: usize, also: usize) -> Arc<Snapshot> {
    let clusters = BTreeSet::from([cluster, also]).into_iter();
    let route = thing(Kind::Routes, "r", cluster as i64);
    snapshot(clusters.map(|one| eds_cluster(NAMES[one], 1)).chain([route]))
}

/// Publishes each pair, answering at random; the client's route must always
/// name a cluster that the client has.
fn check_make_before_break(protocol: Protocol, pairs: &[(usize, usize)], answers: &[usize]) {
    let mut model = Model::new(protocol);
    model.publish(Some(naming(0, 0)));
    model.name(Kind::Routes, "r", true);
    settle(&mut model);
    let mut answers = answers.iter().cycle();
    for (cluster, also) in pairs {
        model.publish(Some(naming(*cluster, *also)));
        for _ in 0..3 {
            model.answer(KINDS[*answers.next().unwrap()], false);
            let has = |kind| model.sides[&kind].versions();
            if let Some(named) = has(Kind::Routes).get("r") {
                let named = NAMES[usize::try_from(*named).unwrap()];
                let clusters = has(Kind::Clusters);
                assert!(
                    clusters.contains_key(named),
                    "{named} is named and not there: {clusters:?}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn sotw_clients_converge(
        steps in steps(),
        last in prop::array::uniform4(prop::array::uniform4(0_i64..4)),
    ) {
        walk(Protocol::Sotw, steps, last);
    }

    #[test]
    fn delta_clients_converge(
        steps in steps(),
        last in prop::array::uniform4(prop::array::uniform4(0_i64..4)),
    ) {
        walk(Protocol::Delta, steps, last);
    }

    #[test]
    fn a_route_never_names_a_cluster_that_the_client_lacks(
        pairs in prop::collection::vec((0..4_usize, 0..4_usize), 1..12),
        answers in prop::collection::vec(0..4_usize, 1..40),
    ) {
        for protocol in [Protocol::Sotw, Protocol::Delta] {
            check_make_before_break(protocol, &pairs, &answers);
        }
    }
}
