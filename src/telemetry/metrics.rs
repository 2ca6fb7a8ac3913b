//! The metrics page: built anew at each scrape from what the rooms say of
//! themselves, so that nothing has to be counted twice and no registry is
//! shared. No node, person or revision is ever a label.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels = Vec<(String, String)>;

/// A page under construction.
#[derive(Debug, Default)]
pub struct Page {
    gauges: BTreeMap<(String, String), Family<Labels, Gauge<f64, AtomicU64>>>,
    counters: BTreeMap<(String, String), Family<Labels, Counter>>,
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

    /// The page in OpenMetrics text.
    pub fn text(self) -> String {
        let mut registry = Registry::with_prefix("convoy");
        for ((name, help), family) in self.gauges {
            registry.register(name, help, family);
        }
        for ((name, help), family) in self.counters {
            registry.register(name, help, family);
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
