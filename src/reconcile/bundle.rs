//! A bundle: what one revision rendered to, for every stage and group, made
//! once and kept under its name for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Assessment;
use crate::model::{
    BundleId, CommitInfo, ContentHash, FilePath, Finding, Manifest, NodeGroup, Person, Place,
    Problem, RepoName, Resource, ResourceName, SnapshotKey, Stage, TypeUrl,
};
use crate::promote::{BundleRecord, BundleStatus, DiffStat};
use crate::smoke::Suite;
use crate::snapshot::{self, Served, Snapshot, TypeSnapshot};

/// How many mistakes of one sort a record lists, and in how many bytes. A rule
/// that ten thousand resources break is one mistake to mend, not a document of
/// megabytes that nothing can hold.
const LISTED_MAX: usize = 1_000;
const LISTED_BYTES_MAX: usize = 1 << 20;

/// A bundle's rendered content.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its name.
    pub id: BundleId,
    /// What each stage × group would be served.
    pub snapshots: BTreeMap<(Stage, NodeGroup), Arc<Snapshot>>,
    /// Where each resource was written.
    pub places: BTreeMap<(TypeUrl, ResourceName), Place>,
}

/// One line of `places.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PlaceRecord {
    pub(super) type_url: TypeUrl,
    pub(super) name: ResourceName,
    pub(super) place: Place,
}

impl PlaceRecord {
    pub(super) fn of(((type_url, name), place): (&(TypeUrl, ResourceName), &Place)) -> Self {
        Self { type_url: type_url.clone(), name: name.clone(), place: place.clone() }
    }
}

impl Bundle {
    /// The snapshots of one stage.
    pub fn stage<'a>(&'a self, stage: &'a Stage) -> impl Iterator<Item = &'a Arc<Snapshot>> {
        self.snapshots.iter().filter(move |((of, _), _)| of == stage).map(|(_, snapshot)| snapshot)
    }
}

/// A bundle that was made and is not recorded yet.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) record: BundleRecord,
    pub(super) bundle: Arc<Bundle>,
    pub(super) suite: Arc<Suite>,
}

/// What a bundle is made from.
pub(super) struct Source<'a> {
    pub(super) repo: &'a RepoName,
    pub(super) commit: CommitInfo,
    /// The commits since the bundle before it.
    pub(super) since: Vec<CommitInfo>,
    /// The files that differ from the bundle before it; `None`: too many.
    pub(super) paths: Option<BTreeSet<FilePath>>,
    /// The person behind a mail address.
    pub(super) person_of: &'a dyn Fn(&str) -> Option<Person>,
    pub(super) now: Timestamp,
    /// The bundle before it, if it is at hand: what did not change is shared.
    pub(super) before: Option<Arc<Bundle>>,
}

/// Makes the bundle of an assessed revision.
pub(super) fn make(source: Source<'_>, assessment: Assessment) -> Made {
    let valid = assessment.is_valid();
    let manifest = assessment.manifest.clone().unwrap_or_default();
    let render: BTreeMap<Stage, ContentHash> =
        assessment.outputs.iter().map(|(stage, output)| (stage.clone(), output.hash)).collect();
    let id = name(source.repo, &source.commit, &manifest, &render);
    let wants_cells = manifest.stages.iter().any(|spec| !spec.envoy_versions.is_empty());
    let status = match (valid, wants_cells) {
        (false, _) => BundleStatus::Rejected,
        (true, true) => BundleStatus::Checking,
        (true, false) => BundleStatus::Eligible,
    };
    let bundle = content(id.clone(), &source, &assessment);
    let record = BundleRecord {
        id,
        repo: source.repo.clone(),
        authors: authors(&source),
        mails: commits(&source).flat_map(mails).map(|mail| mail.to_lowercase()).collect(),
        commit: source.commit,
        at: source.now,
        status,
        manifest,
        problems: listed(assessment.problems, |problem| problem, |problem, _| problem),
        findings: listed(
            assessment.findings,
            |finding| &finding.problem,
            |problem, last| Finding { problem, severity: last.severity },
        ),
        render,
        matrix: Vec::new(),
        verified: BTreeMap::new(),
        held_seconds: BTreeMap::new(),
        paths: source.paths,
        vetoes: Vec::new(),
    };
    Made { record, bundle: Arc::new(bundle), suite: Arc::new(assessment.suite) }
}

/// As many as a record lists, and then how many more there are.
fn listed<T: Serialize>(
    mut all: Vec<T>,
    problem: impl Fn(&T) -> &Problem,
    wrap: impl Fn(Problem, &T) -> T,
) -> Vec<T> {
    let mut bytes = 0;
    let fits = all.iter().take(LISTED_MAX).take_while(|one| {
        bytes += serde_json::to_vec(one).map_or(0, |json| json.len());
        bytes <= LISTED_BYTES_MAX
    });
    let fits = fits.count();
    let Some(first) = all.get(fits) else { return all };
    let message = format!("{} more, from here on, are not listed", all.len() - fits);
    let more = Problem::new(problem(first).place.clone(), "more", message)
        .with_hint("mend those above first; `convoy validate` lists all of them");
    let more = wrap(more, first);
    all.truncate(fits);
    all.push(more);
    all
}

fn name(
    repo: &RepoName,
    commit: &CommitInfo,
    manifest: &Manifest,
    render: &BTreeMap<Stage, ContentHash>,
) -> BundleId {
    let pipeline = serde_json::to_vec(manifest).unwrap_or_default();
    let mut parts: Vec<Vec<u8>> =
        vec![repo.to_string().into(), commit.revision.to_string().into(), pipeline];
    parts.push(commit.commit.0.to_vec());
    for (stage, hash) in render {
        parts.push(stage.to_string().into());
        parts.push(hash.0.to_vec());
    }
    BundleId::of(&ContentHash::of_parts(parts.iter().map(Vec::as_slice)))
}

/// Everybody who wrote a part of it: a push of several commits is one bundle.
/// Whoever made a commit here is known without an address.
fn authors(source: &Source<'_>) -> BTreeSet<Person> {
    let known = commits(source).flat_map(mails).filter_map(|mail| (source.person_of)(mail));
    let here = commits(source).filter_map(|commit| commit.origin.as_ref()?.actor.person.clone());
    known.chain(here).collect()
}

fn commits<'a>(source: &'a Source<'_>) -> impl Iterator<Item = &'a CommitInfo> {
    std::iter::once(&source.commit).chain(&source.since)
}

/// The addresses of all who made a commit.
fn mails(commit: &CommitInfo) -> impl Iterator<Item = &String> {
    std::iter::once(&commit.author_email).chain(&commit.co_authors)
}

fn content(id: BundleId, source: &Source<'_>, assessment: &Assessment) -> Bundle {
    let mut snapshots = BTreeMap::new();
    let mut places = Vec::new();
    for (stage, output) in &assessment.outputs {
        for (group, resources) in &output.resources.groups {
            let repo = source.repo.clone();
            let key = SnapshotKey { repo, stage: stage.clone(), group: group.clone() };
            let name = (stage.clone(), group.clone());
            let before = source.before.as_ref().and_then(|before| before.snapshots.get(&name));
            let before = before.map(|before| &**before);
            let snapshot = Arc::new(snapshot::build_on(before, key, resources));
            snapshots.insert(name, snapshot);
            let place =
                |one: &Arc<Resource>| ((one.type_url.clone(), one.name.clone()), one.place.clone());
            places.extend(resources.iter().map(place));
        }
    }
    // The first one counts; a map is made of a sorted list without a search.
    places.sort_by(|(a, _), (b, _)| a.cmp(b));
    places.dedup_by(|(second, _), (first, _)| first == second);
    Bundle { id, snapshots, places: places.into_iter().collect() }
}

/// How much `stage` changes from one bundle to another.
pub(super) fn diff_stat(stage: &Stage, from: Option<&Bundle>, to: &Bundle) -> DiffStat {
    let of = |bundle: Option<&Bundle>| -> BTreeMap<_, Arc<TypeSnapshot>> {
        let snapshots = bundle.into_iter().flat_map(|bundle| bundle.stage(stage));
        let types = snapshots.flat_map(|snapshot| {
            let group = &snapshot.key.group;
            snapshot.types.iter().map(move |(url, one)| ((group.clone(), url.clone()), one.clone()))
        });
        types.collect()
    };
    let (old, new) = (of(from), of(Some(to)));
    let mut stat = DiffStat::default();
    let nothing = Arc::new(TypeSnapshot::default());
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (old.get(name).unwrap_or(&nothing), new.get(name).unwrap_or(&nothing));
        let difference = new.since(old);
        let known = |one: &&Arc<Served>| old.resources.contains_key(&one.name);
        let changed = difference.changed.iter().filter(known).count();
        stat.changed += changed;
        stat.added += difference.changed.len() - changed;
        stat.removed += difference.gone.len();
    }
    stat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, CommitId, FilePath, Markup, Origin, Revision, Via};

    fn person(name: &str) -> Person {
        Person::new(name).unwrap()
    }

    fn commit(author: &str, others: &[&str], here: Option<&str>) -> CommitInfo {
        CommitInfo {
            revision: Revision(1),
            commit: CommitId([0; 20]),
            author_name: "Somebody".into(),
            author_email: author.into(),
            co_authors: others.iter().map(|mail| (*mail).to_owned()).collect(),
            time: Timestamp::UNIX_EPOCH,
            message: "Change it".into(),
            markup: Markup::Plaintext,
            origin: here.map(|name| Origin::of(&Actor::person(person(name), Via::Web))),
        }
    }

    #[test]
    fn a_record_lists_what_it_can_hold_and_counts_the_rest() {
        let problem = |n: usize, message: &str| {
            let file = FilePath::new(&format!("resources/clusters/c{n:05}.yaml")).unwrap();
            Problem::new(Place { file, line: 1, column: 1 }, "rule", message)
        };
        let list = |all: Vec<Problem>| listed(all, |problem| problem, |problem, _| problem);
        let few: Vec<_> = (0..LISTED_MAX).map(|n| problem(n, "wrong")).collect();
        assert_eq!(list(few.clone()), few);
        let many = list((0..10_000).map(|n| problem(n, "wrong")).collect());
        assert_eq!(many[..LISTED_MAX], few);
        let last = many.last().unwrap();
        assert_eq!((many.len(), last.rule.as_str()), (LISTED_MAX + 1, "more"));
        assert_eq!(last.message, "9000 more, from here on, are not listed");
        assert_eq!(last.place, problem(LISTED_MAX, "").place);
        let long = "x".repeat(100_000);
        let large = list((0..20).map(|n| problem(n, &long)).collect());
        assert_eq!(large.len(), LISTED_BYTES_MAX / 100_100 + 1);
        assert_eq!(large.last().unwrap().message, "10 more, from here on, are not listed");
    }

    #[test]
    fn everybody_who_wrote_a_part_is_an_author() {
        let person_of = |mail: &str| mail.strip_suffix("@example.com").map(person);
        let source = Source {
            repo: &RepoName::new("mesh/config").unwrap(),
            commit: commit("ann@example.com", &["bo@example.com", "x@elsewhere"], None),
            since: vec![
                commit("cy@example.com", &[], None),
                // Written in the console, by somebody without an address.
                commit("web@elsewhere", &[], Some("dora")),
            ],
            person_of: &person_of,
            now: Timestamp::UNIX_EPOCH,
            before: None,
            paths: None,
        };
        assert_eq!(authors(&source), ["ann", "bo", "cy", "dora"].map(person).into());
    }
}
