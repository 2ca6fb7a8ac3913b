//! Which mirrors there are: one task each, begun, ended and begun anew as the
//! documents say.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::board::{Board, Key};
use super::error::RunError;
use super::rules::Rules;
use super::run::Env;
use super::synced::Pair;
use super::worker::{Waiter, Worker, jitter};
use super::{MirrorState, remote};
use crate::govern::{CredentialDocument, MirrorDocument, Registry};
use crate::tasks::Tasks;
use crate::telemetry::clock;

/// Those who wait for runs of one mirror; more wait for a place.
const WAITERS_MAX: usize = 64;
/// When Convoy starts, the first looks are spread over this time.
const FIRST_LOOKS: Duration = Duration::from_secs(5);

/// Every mirror's task.
#[derive(Debug)]
pub(super) struct Keeper {
    env: Arc<Env>,
    board: Arc<Board>,
    tasks: Tasks,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    /// Whether the documents were read once.
    began: bool,
    by_key: BTreeMap<Key, Slot>,
    turns: HashMap<Pair, Arc<Semaphore>>,
}

/// A mirror's task, and what it was begun with.
#[derive(Debug)]
struct Slot {
    spec: Spec,
    inbox: mpsc::Sender<Waiter>,
    task: JoinHandle<()>,
}

/// What a task depends on; it is begun anew where any of it changes.
#[derive(Debug, PartialEq)]
struct Spec {
    mirror: MirrorDocument,
    credential: Option<CredentialDocument>,
    /// Whether the repository is there.
    is_there: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Spec {
    fn of(registry: &Registry, key: &Key, mirror: &MirrorDocument) -> Self {
        let credential = mirror.credential.as_ref();
        let credential = credential
            .and_then(|id| registry.credentials.get(&(key.0.clone(), id.clone())).cloned());
        let is_there = registry.repository(&mirror.local).is_some();
        Self { mirror: mirror.clone(), credential, is_there }
    }

    fn runs_by_itself(&self) -> bool {
        self.is_there && self.mirror.enabled && self.mirror.every_s.is_some()
    }
}

impl Keeper {
    pub(super) fn new(env: Arc<Env>, tasks: Tasks) -> Self {
        Self { env, tasks, board: Arc::default(), slots: Mutex::default() }
    }

    /// Deletes what mirrors kept that are not there any more.
    pub(super) fn sweep(&self, registry: &Registry) {
        let known: Vec<_> = registry.mirrors.values().map(|one| self.env.cache(one)).collect();
        let folder = self.env.settings.work.join("cache");
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if !known.contains(&entry.path()) {
                // What can't be deleted now is tried again at the next start.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Makes the tasks those of the documents.
    pub(super) fn follow(&self, registry: &Registry) {
        let mut slots = self.lock();
        slots.by_key.retain(|key, _| registry.mirrors.contains_key(key));
        for (key, mirror) in &registry.mirrors {
            let spec = Spec::of(registry, key, mirror);
            if slots.by_key.get(key).is_none_or(|slot| slot.spec != spec) {
                self.begin(&mut slots, key, spec);
            }
        }
        slots.began = true;
        let pairs: Vec<Pair> = registry.mirrors.values().map(Pair::of).collect();
        slots.turns.retain(|pair, _| pairs.contains(pair));
        self.board.keep(|key| registry.mirrors.contains_key(key));
    }

    /// Where a mirror's runs are asked for, by its newest document.
    pub(super) fn inbox(&self, project: &str, id: &str) -> Option<mpsc::Sender<Waiter>> {
        self.follow(&self.env.govern.registry());
        let key = (project.to_owned(), id.to_owned());
        self.lock().by_key.get(&key).map(|slot| slot.inbox.clone())
    }

    pub(super) fn states(&self) -> Vec<MirrorState> {
        self.board.all()
    }

    pub(super) fn check(
        &self,
        mirror: &MirrorDocument,
        credential: Option<&CredentialDocument>,
    ) -> Result<(), RunError> {
        Rules::new(&mirror.ignore)?;
        remote::check(&self.env, mirror, credential)
    }

    fn begin(&self, slots: &mut Slots, key: &Key, spec: Spec) {
        let pair = Pair::of(&spec.mirror);
        self.env.synced.forget(&pair);
        self.board.know(key, clock::now());
        let turn = slots.turns.entry(pair).or_insert_with(|| Arc::new(Semaphore::new(1)));
        let (sender, inbox) = mpsc::channel(WAITERS_MAX);
        let worker = Worker {
            env: self.env.clone(),
            board: self.board.clone(),
            mirror: spec.mirror.clone(),
            by_itself: spec.runs_by_itself(),
            turn: turn.clone(),
            inbox,
        };
        // A mirror that is made or mended later is wanted at once.
        let first = if slots.began { Duration::ZERO } else { FIRST_LOOKS.mul_f64(jitter(key)) };
        let task = self.tasks.spawn("mirror", worker.work(first));
        slots.by_key.insert(key.clone(), Slot { spec, inbox: sender, task });
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
