//! The documents of `@convoy/state`: where each lies, how it is written, and
//! how everything is read back.
//!
//! ```text
//! bundles/<id>/bundle.json               what is known about it
//! bundles/<id>/places.json               where each resource was written
//! bundles/<id>/snapshots/<stage>/<group>.pb    a DeltaDiscoveryResponse
//! bundles/<id>/places/<part>.json              the same two where they are
//! bundles/<id>/snapshots/<stage>/<group>/<part>.pb   large: see `snapshot::parts`
//! stages/<project>/<repository>/<stage>.json   what the stage serves
//! promotions/<id>.json                   one promotion
//! freezes/<project>/<repository>/stages/<stage>.json   who froze a stage
//! freezes/<project>/<repository>/all.json       who froze all of them
//! cards/<id>/<room>.json                 where its card stands in a channel
//! mirrors/<project>/<repository>.json    who took a rewritten upstream over
//! doubts/<project>/<repository>/<stage>/<group>.json    what its nodes refuse
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Bundle;
use super::bundle::PlaceRecord;
use super::cards::CardRecord;
use super::stored::StoredFiles;
use crate::model::{
    Actor, BundleId, Change, ContentHash, FilePath, NodeGroup, Origin, PathError, PromotionId,
    RepoName, Revision, SnapshotKey, Stage,
};
use crate::promote::{BundleRecord, Document, Freeze, Promotion, StageSlot, State};
use crate::snapshot::{Snapshot, WireError};
use crate::store::{NewCommit, Store, StoreError};

/// Why a decision could not be recorded or read back.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("`{path}` in @convoy/state is damaged")]
    Json {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("reading was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Bundles whose content is held in memory; what is served holds its own.
const BUNDLES_HELD: usize = 8;
/// Bundles remembered per repository, besides those that something points at.
const BUNDLES_KEPT: usize = 100;
/// As many at most, where they lie between what a stage serves and the newest.
const BUNDLES_KEPT_BETWEEN: usize = 1000;
/// Ended promotions remembered; older ones stay in the history.
const PROMOTIONS_KEPT: usize = 500;

/// A publication that its nodes rather refuse, so that a restart does not hand
/// it to nodes that start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DoubtRecord {
    pub(super) key: SnapshotKey,
    /// The snapshot's version.
    pub(super) version: ContentHash,
    pub(super) taken: u64,
    pub(super) refused: u64,
    pub(super) at: Timestamp,
}

/// Everything that is read back at the start.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) state: State,
    pub(super) cards: BTreeMap<(PromotionId, String), CardRecord>,
    pub(super) doubts: BTreeMap<SnapshotKey, DoubtRecord>,
}

/// Reads and writes the documents; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Records {
    store: Store,
    held: Arc<Mutex<Vec<Arc<Bundle>>>>,
    stored: StoredFiles,
}

impl Records {
    pub(super) fn new(store: Store) -> Self {
        Self { store, held: Arc::default(), stored: StoredFiles::default() }
    }

    /// Where they lie.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Reads everything but the content of bundles.
    pub(super) fn load(&self) -> Result<Loaded, RecordError> {
        let repo = RepoName::state();
        let revision = self.store.head(&repo)?.revision;
        let Loaded { mut state, mut cards, mut doubts } = Loaded::default();
        if revision.0 == 0 {
            return Ok(Loaded { state, cards, doubts });
        }
        for (path, _) in self.store.list(&repo, revision, "")? {
            let text = path.as_str();
            let kind = text.split('/').next().unwrap_or("");
            if !text.ends_with(".json") || is_places(text) {
                continue;
            }
            let bytes = self.store.read(&repo, revision, &path)?;
            match kind {
                "bundles" => state.put(Document::Bundle(Box::new(parse(text, &bytes)?))),
                "stages" => state.put(Document::Slot(parse::<StageSlot>(text, &bytes)?)),
                "promotions" => {
                    state.put(Document::Promotion(Box::new(parse::<Promotion>(text, &bytes)?)));
                }
                "freezes" => state.put(Document::Freeze(parse(text, &bytes)?)),
                "cards" => {
                    if let Some(key) = card_of(text) {
                        cards.insert(key, parse(text, &bytes)?);
                    }
                }
                "doubts" => {
                    let doubt: DoubtRecord = parse(text, &bytes)?;
                    doubts.insert(doubt.key.clone(), doubt);
                }
                _ => {}
            }
        }
        Ok(Loaded { state, cards, doubts })
    }

    /// Records documents, and the content of a bundle that is new with them.
    pub(super) async fn write(
        &self,
        documents: &[Document],
        made: Option<(&RepoName, &Arc<Bundle>)>,
        forgotten: &[Change],
        by: (&Actor, Timestamp),
        message: &str,
    ) -> Result<(), RecordError> {
        let mut changes = Vec::new();
        for document in documents {
            changes.push(Change::Upsert(path_of(document)?, json(document)));
        }
        if let Some((repo, bundle)) = made {
            for (path, bytes) in self.stored.of(repo, bundle) {
                let path = FilePath::new(&format!("bundles/{}/{path}", bundle.id))?;
                changes.push(Change::Upsert(path, bytes));
            }
        }
        changes.extend_from_slice(forgotten);
        self.commit(changes, by, message).await
    }

    /// Records what is known of a card.
    pub(super) async fn write_card(
        &self,
        id: &PromotionId,
        room: &str,
        card: &CardRecord,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let path = FilePath::new(&format!("cards/{id}/{}.json", plain(room)))?;
        let message = format!("{id}: {}", card.words());
        let change = Change::Upsert(path, pretty(card));
        self.commit(vec![change], (&Actor::system(), now), &message).await
    }

    /// Records what the nodes of `key` refuse, or that they do no more.
    pub(super) async fn write_doubt(
        &self,
        key: &SnapshotKey,
        doubt: Option<&DoubtRecord>,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let SnapshotKey { repo, stage, group } = key;
        let path = FilePath::new(&format!("doubts/{repo}/{stage}/{group}.json"))?;
        let (change, word) = match doubt {
            Some(doubt) => (Change::Upsert(path, pretty(doubt)), "refuse"),
            None => (Change::Remove(path), "no longer refuse"),
        };
        let message = format!("{key}: its nodes {word} what is served");
        self.commit(vec![change], (&Actor::system(), now), &message).await
    }

    /// Records that a rewritten upstream was taken over.
    pub(super) async fn write_adoption(
        &self,
        repo: &RepoName,
        (by, now): (&Actor, Timestamp),
        adopted: Revision,
    ) -> Result<(), RecordError> {
        let path = FilePath::new(&format!("mirrors/{repo}.json"))?;
        let body = pretty(&serde_json::json!({ "adopted": adopted, "by": by, "at": now }));
        let message = format!("{repo}: {by} adopts the rewritten upstream as revision {adopted}");
        self.commit(vec![Change::Upsert(path, body)], (by, now), &message).await
    }

    async fn commit(
        &self,
        changes: Vec<Change>,
        (actor, time): (&Actor, Timestamp),
        message: &str,
    ) -> Result<(), RecordError> {
        let via = format!("{:?}", actor.via).to_lowercase();
        let name = actor.to_string();
        let author = (name.clone(), format!("{name}@convoy.invalid"));
        let message = format!("{message}\n\nVia: {via}\n");
        let new = NewCommit::new(Origin::of(actor), author, time, message, changes);
        match self.store.commit(&RepoName::state(), new).await {
            // Replayed after a crash: it says what is there already.
            Ok(_) | Err(StoreError::Empty(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A bundle's content, from memory or from the store.
    pub(super) async fn bundle(&self, record: &BundleRecord) -> Result<Arc<Bundle>, RecordError> {
        if let Some(bundle) = self.held(&record.id) {
            return Ok(bundle);
        }
        let (records, id, of) = (self.clone(), record.id.clone(), record.repo.clone());
        let reading = tokio::task::spawn_blocking(move || records.read_bundle(&id, &of));
        let bundle = Arc::new(reading.await??);
        self.hold(bundle.clone());
        Ok(bundle)
    }

    /// Keeps a bundle at hand that is about to be recorded.
    pub(super) fn keep(&self, bundle: Arc<Bundle>) {
        self.hold(bundle);
    }

    /// A bundle's content, if it is in memory.
    pub(super) fn held(&self, id: &BundleId) -> Option<Arc<Bundle>> {
        let held = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        held.iter().find(|bundle| &bundle.id == id).cloned()
    }

    fn hold(&self, bundle: Arc<Bundle>) {
        let mut held = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        held.retain(|other| other.id != bundle.id);
        held.insert(0, bundle);
        held.truncate(BUNDLES_HELD);
    }

    /// Blocking.
    fn read_bundle(&self, id: &BundleId, of: &RepoName) -> Result<Bundle, RecordError> {
        let repo = RepoName::state();
        let revision = self.store.head(&repo)?.revision;
        let folder = format!("bundles/{id}");
        let mut bundle =
            Bundle { id: id.clone(), snapshots: BTreeMap::new(), places: BTreeMap::new() };
        let mut stored: BTreeMap<(Stage, NodeGroup), BytesMut> = BTreeMap::new();
        for (path, _) in self.store.list(&repo, revision, &folder)? {
            let inner = path.as_str().strip_prefix(&folder).unwrap_or("").trim_start_matches('/');
            if is_places(path.as_str()) {
                let bytes = self.store.read(&repo, revision, &path)?;
                let places: Vec<PlaceRecord> = parse(path.as_str(), &bytes)?;
                let places = places.into_iter().map(|p| ((p.type_url, p.name), p.place));
                bundle.places.extend(places);
            } else if let Some(name) = snapshot_name(inner) {
                let bytes = self.store.read(&repo, revision, &path)?;
                stored.entry(name).or_default().extend_from_slice(&bytes);
            }
        }
        for ((stage, group), bytes) in stored {
            let key = SnapshotKey { repo: of.clone(), stage: stage.clone(), group: group.clone() };
            let snapshot = Snapshot::from_bytes(key, &bytes.freeze())?;
            bundle.snapshots.insert((stage, group), Arc::new(snapshot));
        }
        Ok(bundle)
    }

    /// What may be forgotten: removed from the newest state, kept in history.
    pub(super) fn forgettable(&self, state: &State) -> (Vec<BundleId>, Vec<PromotionId>) {
        let mut bundles = Vec::new();
        // What was said about the newest bundle keeps automation from asking
        // for it again.
        let newest: Vec<_> = state.repos().iter().filter_map(|r| state.newest(r)).collect();
        let is_news = |p: &Promotion| newest.iter().any(|bundle| bundle.id == p.bundle);
        for repo in state.repos() {
            let mut of_repo: Vec<_> =
                state.bundles.values().filter(|bundle| bundle.repo == repo).collect();
            of_repo.sort_by_key(|bundle| std::cmp::Reverse(bundle.commit.revision));
            // Who wrote what lies between what a stage serves and what it may
            // take next, and in which files, must be known until then.
            let served = state.slots.values().filter(|slot| slot.repo == repo);
            let served = served.filter_map(|slot| state.bundles.get(slot.current.as_ref()?));
            let oldest = served.map(|bundle| bundle.commit.revision).min();
            let between = |b: &BundleRecord| oldest.is_some_and(|from| b.commit.revision > from);
            let old = of_repo.into_iter().enumerate().skip(BUNDLES_KEPT);
            let old = old.filter(|(n, b)| *n >= BUNDLES_KEPT_BETWEEN || !between(b));
            let old = old.map(|(_, bundle)| bundle);
            bundles.extend(old.filter(|b| !is_pointed_at(state, &b.id)).map(|b| b.id.clone()));
        }
        let mut ended: Vec<_> = state
            .promotions
            .values()
            .filter(|p| p.status.is_terminal() && !is_news(p) && !p.owes_review())
            .collect();
        ended.sort_by_key(|promotion| std::cmp::Reverse(promotion.id.number()));
        let promotions = ended.into_iter().skip(PROMOTIONS_KEPT).map(|p| p.id.clone()).collect();
        (bundles, promotions)
    }

    /// The changes that forget them.
    pub(super) fn forget(
        &self,
        bundles: &[BundleId],
        promotions: &[PromotionId],
    ) -> Result<Vec<Change>, RecordError> {
        let repo = RepoName::state();
        let revision = self.store.head(&repo)?.revision;
        let mut changes = Vec::new();
        for id in bundles {
            let files = self.store.list(&repo, revision, &format!("bundles/{id}"))?;
            changes.extend(files.into_iter().map(|(path, _)| Change::Remove(path)));
        }
        for id in promotions {
            for folder in ["promotions", "cards"] {
                let path = FilePath::new(&format!("{folder}/{id}.json"))?;
                if self.store.read(&repo, revision, &path).is_ok() {
                    changes.push(Change::Remove(path));
                }
            }
            let cards = self.store.list(&repo, revision, &format!("cards/{id}"))?;
            changes.extend(cards.into_iter().map(|(path, _)| Change::Remove(path)));
        }
        Ok(changes)
    }
}

fn is_pointed_at(state: &State, id: &BundleId) -> bool {
    let slots = state.slots.values();
    let mut pointers = slots.flat_map(|slot| {
        let candidate = slot.candidate.iter().map(|candidate| &candidate.bundle);
        let own = [&slot.current, &slot.last_good, &slot.before_last_good];
        own.into_iter().flatten().chain(candidate)
    });
    let mut open = state.promotions.values().filter(|p| !p.status.is_terminal());
    pointers.any(|pointer| pointer == id) || open.any(|promotion| &promotion.bundle == id)
}

/// Whether a file says where resources were written: all of them, or a part.
fn is_places(path: &str) -> bool {
    let mut parts = path.split('/').skip(2);
    let inner = (parts.next(), parts.next());
    path.starts_with("bundles/") && matches!(inner, (Some("places.json" | "places"), _))
}

/// Whose snapshot a file is, or a part of.
fn snapshot_name(inner: &str) -> Option<(Stage, NodeGroup)> {
    let inner = inner.strip_prefix("snapshots/")?.strip_suffix(".pb")?;
    let mut parts = inner.split('/');
    let (stage, group) = (parts.next()?, parts.next()?);
    Some((Stage::new(stage).ok()?, NodeGroup::new(group).ok()?))
}

/// Whose card a document is about. An older one without a room in its path
/// is of the room that the configuration named.
fn card_of(path: &str) -> Option<(PromotionId, String)> {
    let name = path.strip_prefix("cards/")?.strip_suffix(".json")?;
    let (id, room) = name.split_once('/').unwrap_or((name, ""));
    Some((PromotionId::new(id).ok()?, room.to_owned()))
}

/// A room's name as a file's: rooms are ids, or `#names` in a configuration.
fn plain(room: &str) -> String {
    room.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect()
}

fn path_of(document: &Document) -> Result<FilePath, PathError> {
    FilePath::new(&match document {
        Document::Bundle(bundle) => format!("bundles/{}/bundle.json", bundle.id),
        Document::Slot(slot) => format!("stages/{}/{}.json", slot.repo, slot.stage),
        Document::Promotion(promotion) => format!("promotions/{}.json", promotion.id),
        Document::Freeze(Freeze { repo, stage: Some(stage), .. }) => {
            format!("freezes/{repo}/stages/{stage}.json")
        }
        Document::Freeze(freeze) => format!("freezes/{}/all.json", freeze.repo),
    })
}

fn json(document: &Document) -> Bytes {
    match document {
        Document::Bundle(bundle) => pretty(bundle),
        Document::Slot(slot) => pretty(slot),
        Document::Promotion(promotion) => pretty(promotion),
        Document::Freeze(freeze) => pretty(freeze),
    }
}

/// Our own documents have text keys and finite numbers only, so they can
/// always be written.
fn pretty(value: &impl Serialize) -> Bytes {
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

fn parse<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(bytes).map_err(|source| RecordError::Json { path: path.into(), source })
}
