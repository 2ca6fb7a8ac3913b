//! A store with one repository, its documents, and the mirrors at work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use convoy::govern::{
    CredentialDocument, CredentialKind, Govern, GovernSettings, MirrorDirection, MirrorDocument,
    Stamp,
};
use convoy::mirror::{Allow, Limits};
use convoy::mirroring::{Mirroring, Outcome, Remotes, Run, Settings};
use convoy::model::{Change, CommitId, FilePath, Origin, RepoName, Revision, Secret};
use convoy::store::{NewCommit, Store, StoreOptions};
use convoy::tasks::Tasks;
use jiff::Timestamp;
use tempfile::TempDir;

pub(super) const IN: MirrorDirection = MirrorDirection::RemoteToLocal;
pub(super) const OUT: MirrorDirection = MirrorDirection::LocalToRemote;

/// What tests want of the settings.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) allow: Vec<String>,
    /// Not on a developer's machine: loopback and folders are refused.
    pub(super) strict: bool,
    pub(super) limits: Limits,
    pub(super) ca_file: Option<std::path::PathBuf>,
    pub(super) followed: Vec<RepoName>,
}

/// Everything, ended with the test.
pub(super) struct Bed {
    pub(super) store: Store,
    pub(super) govern: Govern,
    pub(super) mirroring: Mirroring,
    /// How often a repository was told of.
    pub(super) brought: Arc<AtomicUsize>,
    wanted: Wanted,
    tasks: Tasks,
    home: TempDir,
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

pub(super) fn repo() -> RepoName {
    RepoName::new("mesh/config").unwrap()
}

impl Bed {
    pub(super) async fn start() -> Self {
        Self::with(Wanted::default()).await
    }

    pub(super) async fn with(wanted: Wanted) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("data"), StoreOptions::default()).unwrap();
        store.create(&RepoName::state()).await.unwrap();
        let secrets = home.path().join("secrets");
        let settings = GovernSettings { secrets, ..GovernSettings::default() };
        let govern = Govern::start(store.clone(), settings).await.unwrap();
        let by = Origin::system();
        govern.create_project(&by, "mesh", &[], &[]).await.unwrap();
        govern.create_repository(&by, &repo()).await.unwrap();
        let (tasks, brought) = (Tasks::default(), Arc::new(AtomicUsize::new(0)));
        let mirroring = Self::mirroring(&home, &store, &govern, &wanted, &brought, &tasks);
        Self { store, govern, mirroring, brought, wanted, tasks, home }
    }

    fn mirroring(
        home: &TempDir,
        store: &Store,
        govern: &Govern,
        wanted: &Wanted,
        brought: &Arc<AtomicUsize>,
        tasks: &Tasks,
    ) -> Mirroring {
        let settings = Settings {
            work: home.path().join("mirroring"),
            remotes: Remotes {
                allow: Allow::parse(&wanted.allow, !wanted.strict).unwrap(),
                ca_file: wanted.ca_file.clone(),
                limits: wanted.limits.clone(),
            },
            followed: wanted.followed.iter().cloned().collect(),
        };
        let count = brought.clone();
        let told = Arc::new(move |_: &RepoName| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        Mirroring::start(store.clone(), govern.clone(), settings, told, tasks)
    }

    /// As after a restart: nothing that was only in memory is known.
    pub(super) fn restart_mirrors(&mut self) {
        self.tasks.stop();
        self.tasks = Tasks::default();
        let (store, govern) = (self.store.clone(), self.govern.clone());
        self.mirroring =
            Self::mirroring(&self.home, &store, &govern, &self.wanted, &self.brought, &self.tasks);
    }

    /// Writes a mirror that runs when it is told to.
    pub(super) async fn put(&self, mirror: MirrorDocument) {
        self.govern.put_mirror(&Origin::system(), mirror, false).await.unwrap();
    }

    pub(super) async fn credential(&self, id: &str, kind: CredentialKind, secret: &str) {
        let created = Stamp { by: "ann".into(), at: Timestamp::UNIX_EPOCH };
        let credential =
            CredentialDocument { project: "mesh".into(), id: id.into(), kind, created };
        let secret = Some(Secret::new(secret));
        self.govern.put_credential(&Origin::system(), credential, secret, true).await.unwrap();
    }

    pub(super) async fn run(&self, id: &str) -> Run {
        self.mirroring.run("mesh", id).await.expect("there is such a mirror")
    }

    /// Runs a mirror that must bring something; gives revision, commit, files.
    pub(super) async fn brings(&self, id: &str) -> (Revision, CommitId, usize) {
        match self.run(id).await.outcome {
            Outcome::Brought { revision, commit, files } => (revision, commit, files),
            other => panic!("{id}: {other:?}"),
        }
    }

    pub(super) async fn is_up_to_date(&self, id: &str) {
        let run = self.run(id).await;
        assert_eq!(run.outcome, Outcome::UpToDate, "{id}");
    }

    /// Runs a mirror that must fail; gives its words.
    pub(super) async fn fails(&self, id: &str) -> String {
        match self.run(id).await.outcome {
            Outcome::Failed { error } => error,
            other => panic!("{id} did not fail: {other:?}"),
        }
    }

    /// A person's edit; no content removes.
    pub(super) async fn edit(&self, files: &[(&str, Option<&str>)]) -> Revision {
        let changes = files.iter().map(|(path, content)| {
            let path = FilePath::new(path).unwrap();
            match content {
                Some(content) => Change::Upsert(path, Bytes::from((*content).to_owned())),
                None => Change::Remove(path),
            }
        });
        let author = ("Ann".to_owned(), "ann@example.com".to_owned());
        let time = "2026-11-21T10:00:00Z".parse().unwrap();
        let new = NewCommit::new(Origin::system(), author, time, "Edit", changes.collect());
        self.store.commit(&repo(), new).await.unwrap().revision
    }

    pub(super) fn head(&self) -> Revision {
        self.store.head(&repo()).unwrap().revision
    }

    /// Every file of the head.
    pub(super) fn files(&self) -> BTreeMap<String, String> {
        let tree = self.store.tree(&repo(), self.head()).unwrap();
        let file = |(path, content): (&FilePath, &Bytes)| {
            (path.to_string(), String::from_utf8_lossy(content).into_owned())
        };
        tree.source.files.iter().map(file).collect()
    }

    /// The packs that the only mirror keeps, largest first.
    fn cached(&self) -> Vec<(u64, std::path::PathBuf)> {
        let folder = self.home.path().join("mirroring/cache");
        let one = std::fs::read_dir(folder).unwrap().next().expect("a cache").unwrap().path();
        let mut packs: Vec<_> = std::fs::read_dir(one.join("objects/pack"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".pack"))
            .map(|entry| (entry.metadata().unwrap().len(), entry.path()))
            .collect();
        packs.sort_unstable();
        packs.reverse();
        packs
    }

    pub(super) fn cached_bytes(&self) -> u64 {
        self.cached().iter().map(|(bytes, _)| bytes).sum()
    }

    /// Spoils what the only mirror keeps.
    pub(super) fn damage_cache(&self, how: &str) {
        let (bytes, pack) = self.cached().swap_remove(0);
        match how {
            "cut" => {
                std::fs::set_permissions(
                    &pack,
                    std::os::unix::fs::PermissionsExt::from_mode(0o600),
                )
                .unwrap();
                let file = std::fs::File::options().write(true).open(&pack).unwrap();
                file.set_len(bytes / 2).unwrap();
            }
            "gone" => std::fs::remove_file(pack).unwrap(),
            _ => {
                let cache = pack.parent().and_then(|p| p.parent()?.parent()).unwrap();
                std::fs::write(cache.join("tip"), "1".repeat(40)).unwrap();
            }
        }
    }

    /// Folders of runs that are still there.
    pub(super) fn leftovers(&self) -> usize {
        let count = |name| {
            let folder = self.home.path().join("mirroring").join(name);
            std::fs::read_dir(folder).map_or(0, Iterator::count)
        };
        count("quarantine") + count("keys")
    }
}

pub(super) fn mirror(id: &str, direction: MirrorDirection, url: &str) -> MirrorDocument {
    MirrorDocument {
        id: id.into(),
        local: repo(),
        local_folder: String::new(),
        direction,
        url: url.into(),
        branch: "main".into(),
        remote_folder: String::new(),
        ignore: String::new(),
        credential: None,
        every_s: None,
        schedule: None,
        enabled: true,
        created: Stamp { by: "ann".into(), at: Timestamp::UNIX_EPOCH },
    }
}

/// Files as [`Bed::files`] gives them.
pub(super) fn files(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}
