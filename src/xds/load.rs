//! What nodes report of the load on clusters, summed up: per repository, stage,
//! cluster and locality, never per node. Bounded, whatever is reported.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::endpoint::v3::{ClusterStats, UpstreamLocalityStats};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::identity::locality;
use crate::model::{RepoName, SnapshotKey, Stage};

/// How many sums are kept; what is reported beyond is counted, not kept.
const SUMS_MAX: usize = 10_000;
/// The longest name of a cluster or locality that is kept, in bytes.
const NAME_BYTES_MAX: usize = 512;

/// What one cluster carries in one locality.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLoad {
    /// The repository of the nodes that report; `None`: no stage matches them.
    pub repo: Option<RepoName>,
    /// Their stage.
    pub stage: Option<Stage>,
    /// The cluster.
    pub cluster: String,
    /// Where its endpoints are, `region/zone/sub_zone`.
    pub locality: String,
    /// The sums.
    #[serde(flatten)]
    pub load: Load,
    /// When somebody reported last.
    pub reported_at: Timestamp,
}

/// Sums since the server started, but for what is in progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Requests that ended well.
    pub successful: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Requests that were begun.
    pub issued: u64,
    /// Requests that were under way at each node's last report.
    pub in_progress: u64,
    /// Requests that were dropped before an endpoint was chosen.
    pub dropped: u64,
}

impl Load {
    fn of(stats: &UpstreamLocalityStats) -> Self {
        Self {
            successful: stats.total_successful_requests,
            errors: stats.total_error_requests,
            issued: stats.total_issued_requests,
            in_progress: stats.total_requests_in_progress,
            dropped: 0,
        }
    }

    fn add(&mut self, more: Self) {
        self.successful = self.successful.saturating_add(more.successful);
        self.errors = self.errors.saturating_add(more.errors);
        self.issued = self.issued.saturating_add(more.issued);
        self.in_progress = self.in_progress.saturating_add(more.in_progress);
        self.dropped = self.dropped.saturating_add(more.dropped);
    }
}

/// A cluster in a locality, as nodes of one stage see it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    of: Option<(RepoName, Stage)>,
    cluster: String,
    locality: String,
}

/// What one node last reported to be under way, to be taken back later.
pub(super) type UnderWay = BTreeMap<Subject, u64>;

/// Every sum.
#[derive(Debug, Default)]
pub(super) struct Loads {
    sums: BTreeMap<Subject, (Load, Timestamp)>,
    refused: u64,
}

impl Loads {
    /// Takes in a report of a node that is served from `key`. `before` is what
    /// it said to be under way, and is replaced.
    pub(super) fn report(
        &mut self,
        key: Option<&SnapshotKey>,
        clusters: &[ClusterStats],
        before: &mut UnderWay,
        now: Timestamp,
    ) {
        let of = key.map(|key| (key.repo.clone(), key.stage.clone()));
        self.take_back(before);
        for cluster in clusters {
            let subject = |locality: String| Subject {
                of: of.clone(),
                cluster: cluster.cluster_name.clone(),
                locality,
            };
            for stats in &cluster.upstream_locality_stats {
                let at = stats.locality.clone().map(locality).unwrap_or_default();
                let (subject, load) = (subject(at), Load::of(stats));
                if self.add(&subject, load, now) && load.in_progress > 0 {
                    let under_way = before.entry(subject).or_default();
                    *under_way = under_way.saturating_add(load.in_progress);
                }
            }
            if cluster.total_dropped_requests > 0 {
                let dropped = Load { dropped: cluster.total_dropped_requests, ..Load::default() };
                self.add(&subject(String::new()), dropped, now);
            }
        }
    }

    /// Takes back what a node that left said to be under way.
    pub(super) fn take_back(&mut self, before: &mut UnderWay) {
        for (subject, count) in std::mem::take(before) {
            if let Some((load, _)) = self.sums.get_mut(&subject) {
                load.in_progress = load.in_progress.saturating_sub(count);
            }
        }
    }

    /// Every sum, sorted by repository, stage, cluster and locality.
    pub(super) fn all(&self) -> Vec<ClusterLoad> {
        let one = |(subject, (load, at)): (&Subject, &(Load, Timestamp))| ClusterLoad {
            repo: subject.of.as_ref().map(|(repo, _)| repo.clone()),
            stage: subject.of.as_ref().map(|(_, stage)| stage.clone()),
            cluster: subject.cluster.clone(),
            locality: subject.locality.clone(),
            load: *load,
            reported_at: *at,
        };
        self.sums.iter().map(one).collect()
    }

    /// How many reported sums were too many, or had too long a name.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether there was room.
    fn add(&mut self, subject: &Subject, load: Load, now: Timestamp) -> bool {
        let fits = subject.cluster.len() <= NAME_BYTES_MAX
            && subject.locality.len() <= NAME_BYTES_MAX
            && (self.sums.len() < SUMS_MAX || self.sums.contains_key(subject));
        if !fits {
            self.refused = self.refused.saturating_add(1);
            return false;
        }
        let sum = self.sums.entry(subject.clone()).or_insert((Load::default(), now));
        sum.0.add(load);
        sum.1 = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::Locality;

    use super::*;

    fn stats(cluster: &str, zone: &str, successful: u64, in_progress: u64) -> ClusterStats {
        let locality = Locality { region: "eu".into(), zone: zone.into(), ..Locality::default() };
        ClusterStats {
            cluster_name: cluster.into(),
            upstream_locality_stats: vec![UpstreamLocalityStats {
                locality: Some(locality),
                total_successful_requests: successful,
                total_requests_in_progress: in_progress,
                total_issued_requests: successful + in_progress,
                ..UpstreamLocalityStats::default()
            }],
            ..ClusterStats::default()
        }
    }

    #[test]
    fn reports_add_up_and_what_is_under_way_is_what_was_said_last() {
        let (mut loads, now) = (Loads::default(), Timestamp::UNIX_EPOCH);
        let (mut one, mut other) = (UnderWay::default(), UnderWay::default());
        loads.report(None, &[stats("api", "a", 5, 2)], &mut one, now);
        loads.report(None, &[stats("api", "a", 7, 3)], &mut other, now);
        loads.report(None, &[stats("api", "a", 1, 1)], &mut one, now);
        let shown = loads.all();
        let expected = Load { successful: 13, issued: 19, in_progress: 4, ..Load::default() };
        assert_eq!((shown.len(), shown[0].load), (1, expected));
        assert_eq!(shown[0].locality, "eu/a");
        loads.take_back(&mut one);
        loads.take_back(&mut other);
        assert_eq!(loads.all()[0].load.in_progress, 0);
    }

    #[test]
    fn drops_are_the_clusters_not_a_localitys() {
        let mut loads = Loads::default();
        let dropped = ClusterStats { total_dropped_requests: 4, ..stats("api", "a", 1, 0) };
        loads.report(None, &[dropped], &mut UnderWay::default(), Timestamp::UNIX_EPOCH);
        let shown: Vec<_> =
            loads.all().into_iter().map(|one| (one.locality, one.load.dropped)).collect();
        assert_eq!(shown, [(String::new(), 4), ("eu/a".into(), 0)]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut loads, now) = (Loads::default(), Timestamp::UNIX_EPOCH);
        let many: Vec<_> = (0..SUMS_MAX + 5).map(|n| stats(&n.to_string(), "a", 1, 1)).collect();
        let mut under_way = UnderWay::default();
        loads.report(None, &many, &mut under_way, now);
        let long = stats(&"x".repeat(NAME_BYTES_MAX + 1), "a", 1, 0);
        loads.report(None, &[long], &mut UnderWay::default(), now);
        assert_eq!((loads.all().len(), loads.refused()), (SUMS_MAX, 6));
        assert_eq!(under_way.len(), SUMS_MAX);
    }
}
