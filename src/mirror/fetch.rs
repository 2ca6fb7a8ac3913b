//! One fetch: list, decide, receive into quarantine, inspect.
//!
//! gix's network API blocks, so the work runs on a blocking thread while the
//! caller's task only watches the clock. Should the thread not notice in time
//! (a folder's `git-upload-pack` that hangs), it is left behind with its stop
//! flag set, and what it still makes goes with it.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gix::objs::FindExt as _;
use gix::progress::Discard;
use gix::protocol::{self, Handshake};
use gix::{ObjectId, odb};

use super::bounds::{Bounds, Counts, Guard};
use super::inspect::Fault;
use super::quarantine::{self, Quarantine};
use super::tip::Tip;
use super::transport::{self, Link};
use super::{MirrorError, Upstream, detail, inspect};
use crate::model::{CommitId, Fetched};

/// What the thread gets on top to notice that its time is over and say why.
const GRACE: Duration = Duration::from_secs(1);

/// No single object may inflate to more than this, whatever the limits are:
/// more than GitHub takes for a file, less than would hurt.
const OBJECT_BYTES_MAX: usize = 128 << 20;

/// How far back along the first parents the remote is told what is here. A
/// rewind or a force-push further back than that fetches more, not wrongly.
const HAVE_STEPS_MAX: usize = 256;

/// Fetches the branch into a new quarantine folder under `quarantine_dir`,
/// borrowing the objects of `known_git_dir`. Returns `None`, without having
/// made anything, where the branch's head is `have`.
///
/// # Errors
/// See [`MirrorError`]; a fetch that failed leaves no folder behind.
pub async fn fetch(
    upstream: &Upstream,
    known_git_dir: &Path,
    have: Option<CommitId>,
    quarantine_dir: &Path,
) -> Result<Option<Quarantine>, MirrorError> {
    let job = Job {
        have: have.map(|CommitId(bytes)| ObjectId::from(bytes)),
        ..Job::new(upstream, &[known_git_dir], quarantine_dir)
    };
    in_time(job, Job::run).await
}

/// As [`fetch`], of any reference that the remote shows, as in
/// `refs/pull/7/head`, whatever the upstream's branch is.
///
/// # Errors
/// See [`MirrorError`]; a fetch that failed leaves no folder behind.
pub async fn fetch_reference(
    upstream: &Upstream,
    reference: &str,
    known_git_dir: &Path,
    have: Option<CommitId>,
    quarantine_dir: &Path,
) -> Result<Option<Quarantine>, MirrorError> {
    super::url::check_branch(&upstream.url, reference)?;
    let job = Job {
        have: have.map(|CommitId(bytes)| ObjectId::from(bytes)),
        reference: reference.to_owned(),
        ..Job::new(upstream, &[known_git_dir], quarantine_dir)
    };
    in_time(job, Job::run).await
}

/// The branch's head as the remote has it now; `None` where there is no such
/// branch. Nothing is fetched.
///
/// # Errors
/// See [`MirrorError`].
pub async fn head(upstream: &Upstream) -> Result<Option<CommitId>, MirrorError> {
    let job = Job::new(upstream, &[], Path::new(""));
    match in_time(job, |job| job.look()).await {
        Ok(head) => Ok(Some(head)),
        Err(MirrorError::NoBranch { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fetches the branch's head without what came before it into a new folder
/// under `quarantine_dir`: what a mirror of trees needs. It borrows the
/// objects of `known_git_dirs` and of `cache`, a folder of the caller's for
/// this one branch, which is made, kept and cleaned here.
///
/// # Errors
/// See [`MirrorError`]; a fetch that failed leaves no folder behind.
pub async fn fetch_tip(
    upstream: &Upstream,
    cache: &Path,
    known_git_dirs: &[&Path],
    quarantine_dir: &Path,
) -> Result<Quarantine, MirrorError> {
    let known = [known_git_dirs, &[cache]].concat();
    let job = Job { depth: NonZeroU32::new(1), ..Job::new(upstream, &known, quarantine_dir) };
    let cache = cache.to_path_buf();
    in_time(job, move |job| job.run_with(&Tip::open(&cache))).await
}

/// Runs a job on a thread of its own and watches the clock.
async fn in_time<T: Send + 'static>(
    job: Job,
    work: impl FnOnce(Job) -> Result<T, MirrorError> + Send + 'static,
) -> Result<T, MirrorError> {
    let asked = job.upstream.clone();
    asked.check()?;
    let job = Job { upstream: asked.logged_in().await?, ..job };
    asked.note(watched(job, work).await)
}

async fn watched<T: Send + 'static>(
    job: Job,
    work: impl FnOnce(Job) -> Result<T, MirrorError> + Send + 'static,
) -> Result<T, MirrorError> {
    let (bounds, url) = (Arc::clone(&job.bounds), job.upstream.url.clone());
    let time_max = job.upstream.limits.time_max;
    let _stop = StopOnDrop(Arc::clone(&bounds));
    let work = tokio::task::spawn_blocking(move || work(job));
    match tokio::time::timeout(time_max + GRACE, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(MirrorError::failed("the fetch ended unexpectedly", error)),
        Err(_) => Err(bounds.late(&url)),
    }
}

/// Stops the thread when nobody waits for it any more.
struct StopOnDrop(Arc<Bounds>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

struct Job {
    upstream: Upstream,
    /// What is fetched: the upstream's branch, if nothing else was said.
    reference: String,
    known_git_dirs: Vec<PathBuf>,
    have: Option<ObjectId>,
    /// How many commits of the branch are wanted; `None`: all.
    depth: Option<NonZeroU32>,
    /// Where the last fetch of the head is kept; only with a depth.
    tip: Option<Tip>,
    quarantine_dir: PathBuf,
    bounds: Arc<Bounds>,
}

/// A quarantine folder to be made.
struct Folder {
    known: Vec<PathBuf>,
    parent: PathBuf,
}

impl Folder {
    fn make(&self) -> Result<tempfile::TempDir, MirrorError> {
        let known: Vec<&Path> = self.known.iter().map(PathBuf::as_path).collect();
        quarantine::make_with(&self.parent, quarantine::FETCH, &known)
    }
}

impl Job {
    fn new(upstream: &Upstream, known_git_dirs: &[&Path], quarantine_dir: &Path) -> Self {
        Self {
            upstream: upstream.clone(),
            reference: format!("refs/heads/{}", upstream.branch),
            known_git_dirs: known_git_dirs.iter().map(|known| known.to_path_buf()).collect(),
            have: None,
            depth: None,
            tip: None,
            quarantine_dir: quarantine_dir.into(),
            bounds: Arc::new(Bounds::new(&upstream.limits)),
        }
    }

    fn look(self) -> Result<CommitId, MirrorError> {
        let link = transport::connect(&self.upstream, &self.bounds)?;
        let mut link = protocol::SendFlushOnDrop::new(link, false);
        self.list(&mut link.inner).map(|(_, head)| commit_id(&head))
    }

    /// Fetches what is not in the cache, and puts it there.
    fn run_with(mut self, tip: &Tip) -> Result<Quarantine, MirrorError> {
        let had = tip.commit();
        self.have = had.map(|CommitId(bytes)| ObjectId::from(bytes));
        self.tip = Some(tip.clone());
        let bounds = Arc::clone(&self.bounds);
        let folder = self.folder();
        let got = self.run();
        if got.is_err() && bounds.is_receiving() {
            // What is borrowed may be why it failed.
            tip.forget();
        }
        let noted = |error| MirrorError::failed("the fetched branch could not be kept", error);
        match (got?, had) {
            (Some(got), _) => {
                tip.adopt(&got.fetched.git_dir, got.fetched.head).map_err(noted)?;
                Ok(got)
            }
            (None, Some(head)) => {
                let folder = folder.make()?;
                tip.lend(folder.path()).map_err(noted)?;
                let fetched = Fetched { git_dir: folder.path().into(), head };
                Ok(Quarantine { fetched, _dir: folder })
            }
            (None, None) => Err(MirrorError::failed("nothing was fetched", "there is no commit")),
        }
    }

    fn folder(&self) -> Folder {
        let (known, parent) = (self.known_git_dirs.clone(), self.quarantine_dir.clone());
        Folder { known, parent }
    }

    fn run(self) -> Result<Option<Quarantine>, MirrorError> {
        let link = transport::connect(&self.upstream, &self.bounds)?;
        let mut link = protocol::SendFlushOnDrop::new(link, false);
        let (handshake, head) = self.list(&mut link.inner)?;
        if self.have == Some(head) {
            return Ok(None);
        }
        if let Some(tip) = &self.tip {
            // Before it is borrowed from, it must be there.
            let made = std::fs::create_dir_all(quarantine::objects(tip.git_dir()).join("pack"));
            made.map_err(|error| MirrorError::failed("a cache can't be made", error))?;
        }
        let folder = self.folder().make()?;
        if let Some(tip) = &self.tip {
            let lent = tip.lend(folder.path());
            lent.map_err(|error| MirrorError::failed("a cache can't be read", error))?;
        }
        let objects = self.open(folder.path())?;
        self.receive(&mut link.inner, handshake, head, &objects, folder.path())?;
        // Reopened, so that the new pack is seen for certain.
        let objects = self.open(folder.path())?;
        inspect::head(&objects, head, &self.upstream.limits, &self.bounds)
            .map_err(|fault| self.fault(fault))?;
        std::fs::write(folder.path().join("refs/convoy/fetched"), format!("{head}\n"))
            .map_err(|error| MirrorError::failed("the fetched branch could not be noted", error))?;
        let fetched = Fetched { git_dir: folder.path().into(), head: commit_id(&head) };
        Ok(Some(Quarantine { fetched, _dir: folder }))
    }

    /// Asks for the branch's head.
    fn list(&self, link: &mut Link) -> Result<(Handshake, ObjectId), MirrorError> {
        let world = |error| self.world(error);
        let mut handshake = protocol::handshake(
            &mut *link,
            protocol::transport::Service::UploadPack,
            // What there is was set on the link; nothing else is ever asked.
            |_| Ok(None),
            Vec::new(),
            &mut Discard,
        )
        .map_err(world)?;
        let spec = format!("+{}:refs/convoy/fetched", self.reference);
        let spec = gix::refspec::parse(spec.as_str().into(), gix::refspec::parse::Operation::Fetch)
            .map_err(|error| {
                MirrorError::failed("the branch can't be asked for", error.to_string())
            })?
            .to_owned();
        let wanted = protocol::fetch::refmap::init::Context {
            fetch_refspecs: vec![spec],
            extra_refspecs: Vec::new(),
        };
        let refs = handshake
            .prepare_lsrefs_or_extract_refmap(agent(), true, wanted)
            .and_then(|ask| ask.fetch_blocking(Discard, link, false))
            .map_err(world)?;
        if refs.object_hash != gix::hash::Kind::Sha1 {
            return Err(self.unreachable("it uses SHA-256 object names, which are not supported"));
        }
        match refs.mappings.first().and_then(|mapping| mapping.remote.as_id()) {
            Some(head) => Ok((handshake, head.to_owned())),
            None => Err(MirrorError::NoBranch {
                url: self.upstream.url.clone(),
                branch: self.reference.trim_start_matches("refs/heads/").to_owned(),
            }),
        }
    }

    fn receive(
        &self,
        link: &mut Link,
        mut handshake: Handshake,
        head: ObjectId,
        objects: &odb::Handle,
        git_dir: &Path,
    ) -> Result<(), MirrorError> {
        let mut negotiation = OneRound { want: head, haves: self.haves(objects) };
        let context = protocol::fetch::Context {
            handshake: &mut handshake,
            transport: link,
            user_agent: agent(),
            trace_packetlines: false,
        };
        let options = protocol::fetch::Options {
            shallow_file: git_dir.join("shallow"),
            shallow: &match self.depth {
                Some(depth) => protocol::fetch::Shallow::DepthAtRemote(depth),
                None => protocol::fetch::Shallow::NoChange,
            },
            tags: protocol::fetch::Tags::None,
            // A remote that is shallow itself can't give a whole branch; a
            // head it can.
            reject_shallow_remote: self.depth.is_none(),
        };
        protocol::fetch(
            &mut negotiation,
            |pack, progress, stop| {
                self.bounds.begin_pack();
                let mut pack = Guard::new(pack, &self.bounds, Counts::Pack);
                odb::pack::Bundle::write_to_directory(
                    &mut pack,
                    Some(&quarantine::objects(git_dir).join("pack")),
                    progress,
                    stop,
                    // Deltas may stand on objects that are only borrowed.
                    Some(Box::new(objects.clone())),
                    gix::hash::Kind::Sha1,
                    odb::pack::bundle::write::Options {
                        alloc_limit_bytes: Some(OBJECT_BYTES_MAX),
                        ..Default::default()
                    },
                )?;
                Ok(true)
            },
            Discard,
            &self.bounds.stop,
            context,
            options,
        )
        .map_err(|error| self.world(error))?;
        Ok(())
    }

    /// The commits that the remote need not send: the head of before and some
    /// on its first-parent line, further apart the further back.
    fn haves(&self, objects: &odb::Handle) -> Vec<ObjectId> {
        let mut haves = Vec::new();
        let (mut next, mut buffer) = (self.have, Vec::new());
        for step in 0..HAVE_STEPS_MAX {
            let Some(id) = next else { break };
            let Ok(commit) = objects.find_commit(&id, &mut buffer) else { break };
            if step < 16 || step.is_power_of_two() {
                haves.push(id);
            }
            next = commit.parents().next();
        }
        haves
    }

    fn open(&self, git_dir: &Path) -> Result<odb::Handle, MirrorError> {
        let options = odb::store::init::Options {
            alloc_limit_bytes: Some(OBJECT_BYTES_MAX),
            ..Default::default()
        };
        odb::at_opts(quarantine::objects(git_dir), gix::hash::Kind::Sha1, None, options)
            .map_err(|error| MirrorError::failed("the quarantine folder can't be opened", error))
    }

    /// What an error of gix means to the caller.
    fn world(&self, error: gix::Error) -> MirrorError {
        let url = self.upstream.url.clone();
        if let Some(passed) = self.bounds.passed(&url) {
            return passed;
        }
        let detail = detail::of(&error, self.upstream.credentials.as_ref());
        if transport::is_disk(&error) {
            return MirrorError::failed(format!("{url} could not be stored"), detail);
        }
        if error.is_resource_exhausted() {
            return MirrorError::Limit { url, detail };
        }
        if error.is_unauthenticated() || error.is_permission_denied() {
            return MirrorError::Unauthorized { url };
        }
        MirrorError::Unreachable { url, detail }
    }

    fn fault(&self, fault: Fault) -> MirrorError {
        match fault {
            Fault::Limit(detail) => MirrorError::Limit { url: self.upstream.url.clone(), detail },
            Fault::Late => self.bounds.late(&self.upstream.url),
            Fault::Broken(detail) => self.unreachable(&detail),
        }
    }

    fn unreachable(&self, detail: &str) -> MirrorError {
        let detail = detail::clean(detail, self.upstream.credentials.as_ref());
        MirrorError::Unreachable { url: self.upstream.url.clone(), detail }
    }
}

/// One want, what is here, and done: a mirror follows one branch of which it
/// has nearly everything, so more rounds would only cost time.
struct OneRound {
    want: ObjectId,
    haves: Vec<ObjectId>,
}

impl protocol::fetch::Negotiate for OneRound {
    fn mark_complete_and_common_ref(&mut self) -> gix::Result<protocol::fetch::negotiate::Action> {
        let remote_ref_target_known = vec![false];
        Ok(protocol::fetch::negotiate::Action::MustNegotiate { remote_ref_target_known })
    }

    fn add_wants(&mut self, arguments: &mut protocol::fetch::Arguments, _known: &[bool]) -> bool {
        arguments.want(self.want);
        true
    }

    fn one_round(
        &mut self,
        _state: &mut protocol::fetch::negotiate::one_round::State,
        arguments: &mut protocol::fetch::Arguments,
        _previous: Option<&protocol::fetch::Response>,
    ) -> gix::Result<(protocol::fetch::negotiate::Round, bool)> {
        for have in &self.haves {
            arguments.have(have);
        }
        let round = protocol::fetch::negotiate::Round {
            haves_sent: self.haves.len(),
            in_vain: 0,
            haves_to_send: self.haves.len(),
            previous_response_had_at_least_one_in_common: false,
        };
        Ok((round, true))
    }
}

fn agent() -> (&'static str, Option<String>) {
    ("agent", Some(concat!("convoy/", env!("CARGO_PKG_VERSION")).into()))
}

fn commit_id(id: &ObjectId) -> CommitId {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(id.as_bytes());
    CommitId(bytes)
}
