//! The metrics page: built anew at each scrape from what the rooms say of
//! themselves, so that nothing has to be counted twice and no registry is
//! shared. No node, person or revision is ever a label.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The upper bounds of a [`Distribution`], in seconds; above the last is the
/// rest.
const BOUNDS: [f64; 16] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0, 600.0];

/// How long something takes, counted by any thread without a lock.
#[derive(Debug, Default)]
pub struct Distribution {
    counts: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Distribution {
    /// Counts one more that took `seconds`.
    pub fn observe(&self, seconds: f64) {
        let at = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.microseconds.fetch_add((seconds * 1e6) as u64, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn read(&self) -> Spread {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Spread { counts, sum: self.microseconds.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

/// A [`Distribution`] as of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    counts: Vec<u64>,
    sum: f64,
}

impl Spread {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl EncodeMetric for Spread {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let bounds = BOUNDS.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(self.counts.iter().copied()).collect();
        encoder.encode_histogram::<NoLabelSet>(self.sum, self.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

type Labels = Vec<(String, String)>;

/// A page under construction.
#[derive(Debug, Default)]
pub struct Page {
    gauges: BTreeMap<(String, String), Family<Labels, Gauge<f64, AtomicU64>>>,
    counters: BTreeMap<(String, String), Family<Labels, Counter>>,
    spreads: BTreeMap<(String, String), Spread>,
}

fn owned(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Page {
    /// Something that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        let family = self.gauges.entry((name.into(), help.into())).or_default();
        family.get_or_create(&owned(labels)).set(value);
    }

    /// Something that only grows; `name` without `_total`.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        let family = self.counters.entry((name.into(), help.into())).or_default();
        family.get_or_create(&owned(labels)).inc_by(value);
    }

    /// How long something takes; `name` ends in `_seconds`.
    pub fn spread(&mut self, name: &str, help: &str, spread: Spread) {
        self.spreads.insert((name.into(), help.into()), spread);
    }

    /// The page in OpenMetrics text.
    pub fn text(self) -> String {
        let mut registry = Registry::with_prefix("convoy");
        for ((name, help), family) in self.gauges {
            registry.register(name, help, family);
        }
        for ((name, help), family) in self.counters {
            registry.register(name, help, family);
        }
        for ((name, help), spread) in self.spreads {
            registry.register(name, help, spread);
        }
        let mut page = String::new();
        // Writing to a String can't fail.
        let _ = text::encode(&mut page, &registry);
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_shows_as_a_histogram() {
        let lag = Distribution::default();
        [0.0005, 0.3, 9999.0].into_iter().for_each(|seconds| lag.observe(seconds));
        let mut page = Page::default();
        page.spread("xds_lag_seconds", "Lag", lag.read());
        let text = page.text();
        for line in [
            "bucket{le=\"0.2\"} 1\n",
            "bucket{le=\"0.5\"} 2\n",
            "bucket{le=\"+Inf\"} 3\n",
            "count 3\n",
        ] {
            assert!(text.contains(&format!("convoy_xds_lag_seconds_{line}")), "{text}");
        }
    }

    #[test]
    fn a_page_names_its_units_and_ends() {
        let mut page = Page::default();
        page.gauge("xds_nodes", "Connected nodes", &[("stage", "beta")], 2.0);
        page.counter("xds_nacks", "Refused updates", &[], 3);
        let text = page.text();
        assert!(text.contains("convoy_xds_nodes{stage=\"beta\"} 2.0\n"), "{text}");
        assert!(text.contains("convoy_xds_nacks_total{} 3\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
