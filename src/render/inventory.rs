//! `discovery/*.yaml`: lists of hosts, made into endpoints.
//!
//! The first form of discovery: hosts that people or scripts list. A host in
//! maintenance is never sent: Envoy's panic mode picks from everything that
//! is in a cluster, so leaving it out is the only protection that holds.
//!
//! ```yaml
//! cluster: payments
//! hosts:
//!   - {address: 10.0.0.1, port: 8080, zone: a, weight: 10, tags: {version: v2}}
//!   - {address: 10.0.0.2, port: 8080, zone: b, state: maintenance}
//! ```

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use super::document::{self, Node, Value};
use super::mistakes::{Fields, Mistakes};
use super::rendered::{Origin, RenderedFile, Run, SourceMap};
use crate::model::{Place, Problem, ResourceKind};

const LIST_FIELDS: [&str; 2] = ["cluster", "hosts"];
const HOST_FIELDS: [&str; 7] = ["address", "port", "state", "weight", "region", "zone", "tags"];
/// Far above any real weight; the sum over a locality must fit 32 bits.
const WEIGHT_MAX: u32 = 1_000_000;

/// The hosts of one cluster that take traffic, by region and zone.
type Localities<'n> = BTreeMap<(&'n str, &'n str), Vec<Host<'n>>>;

struct Host<'n> {
    at: (u32, u32),
    address: IpAddr,
    port: u32,
    weight: Option<u32>,
    tags: Vec<(&'n str, String)>,
}

/// Makes an inventory into the text of endpoint resources. The text leads
/// back to the host that each line came from.
pub(crate) fn endpoints(file: &RenderedFile) -> (RenderedFile, Vec<Problem>) {
    let mut writer = Writer { file, text: String::new(), map: SourceMap::default(), line: 1 };
    let problems = match document::parse(&file.source, file.text.as_bytes()) {
        Ok(documents) => {
            let mut mistakes = Mistakes::new(&file.source);
            for node in documents.iter().flat_map(Mistakes::one_or_many) {
                if let Some((name, localities)) = cluster(&mut mistakes, node) {
                    writer.assignment(node.at, name, &localities);
                }
            }
            mistakes.problems
        }
        Err(problem) => vec![problem],
    };
    let lead_back = |problem: Problem| match problem.place.line {
        0 => problem,
        line => Problem { place: file.place(line, problem.place.column), ..problem },
    };
    let made = RenderedFile {
        kind: Some(ResourceKind::Endpoints),
        text: writer.text,
        origin: Origin::Mapped(writer.map),
        ..file.clone()
    };
    (made, problems.into_iter().map(lead_back).collect())
}

fn cluster<'n>(mistakes: &mut Mistakes<'_>, node: &'n Node) -> Option<(&'n str, Localities<'n>)> {
    let fields = mistakes.fields(node, "an inventory", &LIST_FIELDS)?;
    let name = required(mistakes, &fields, "an inventory", "cluster");
    let name = name.and_then(|node| mistakes.text(node, "`cluster`"));
    let hosts = required(mistakes, &fields, "an inventory", "hosts");
    let items = hosts.map_or(&[][..], |node| mistakes.list(node, "`hosts`"));
    let mut localities = Localities::new();
    let mut seen = HashSet::new();
    for item in items {
        let Some((host, locality, active)) = host(mistakes, item) else { continue };
        if !seen.insert((host.address, host.port)) {
            let message = format!("the host {} port {} is there twice", host.address, host.port);
            mistakes.note(item.at, "duplicate-host", message);
            continue;
        }
        if active {
            localities.entry(locality).or_default().push(host);
        }
    }
    Some((name?, localities))
}

fn required<'n>(
    mistakes: &mut Mistakes<'_>,
    fields: &Fields<'n>,
    what: &str,
    name: &str,
) -> Option<&'n Node> {
    let node = fields.get(name);
    if node.is_none() {
        mistakes.note(fields.at, "missing-field", format!("{what} must have `{name}`"));
    }
    node
}

type Found<'n> = (Host<'n>, (&'n str, &'n str), bool);

fn host<'n>(mistakes: &mut Mistakes<'_>, node: &'n Node) -> Option<Found<'n>> {
    let fields = mistakes.fields(node, "a host", &HOST_FIELDS)?;
    let address = required(mistakes, &fields, "a host", "address");
    let address = address.and_then(|node| address_of(mistakes, node));
    let port = required(mistakes, &fields, "a host", "port");
    let port = port.and_then(|node| mistakes.whole(node, "`port`", (1, 65_535)));
    let weight =
        fields.get("weight").and_then(|node| mistakes.whole(node, "`weight`", (1, WEIGHT_MAX)));
    let active = fields.get("state").is_none_or(|node| is_active(mistakes, node));
    let tags = fields.get("tags").map(|node| tags(mistakes, node)).unwrap_or_default();
    let mut text = |name: &str| {
        fields
            .get(name)
            .and_then(|node| mistakes.text(node, &format!("`{name}`")))
            .unwrap_or_default()
    };
    let locality = (text("region"), text("zone"));
    Some((Host { at: node.at, address: address?, port: port?, weight, tags }, locality, active))
}

fn address_of(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<IpAddr> {
    let text = mistakes.text(node, "`address`")?;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("`{text}` is not an IP address");
        let hint = "endpoints must be IP addresses; for names use a cluster of type STRICT_DNS";
        mistakes.hint(node.at, "bad-address", message, hint);
    }
    address
}

/// Errs towards not sending: an unknown state is a mistake, and not active.
fn is_active(mistakes: &mut Mistakes<'_>, node: &Node) -> bool {
    match mistakes.text(node, "`state`") {
        Some("active") => return true,
        Some("maintenance") | None => {}
        Some(other) => {
            let message = format!("`state` must be `active` or `maintenance`, not `{other}`");
            mistakes.note(node.at, "bad-state", message);
        }
    }
    false
}

fn tags<'n>(mistakes: &mut Mistakes<'_>, node: &'n Node) -> Vec<(&'n str, String)> {
    let Value::Map(entries) = &node.value else {
        let found = node.value.what();
        mistakes.note(node.at, "wrong-type", format!("`tags` must be a map, not {found}"));
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|entry| {
            let text = mistakes.text(&entry.node, &format!("`tags.{}`", entry.key))?;
            Some((entry.key.as_str(), text.to_owned()))
        })
        .collect()
}

/// Writes endpoint resources, one source position a line.
struct Writer<'f> {
    file: &'f RenderedFile,
    text: String,
    map: SourceMap,
    line: u32,
}

impl Writer<'_> {
    fn assignment(&mut self, at: (u32, u32), name: &str, localities: &Localities<'_>) {
        self.line(at, "---");
        self.line(at, &format!("cluster_name: {}", quoted(name)));
        if !localities.is_empty() {
            self.line(at, "endpoints:");
        }
        for ((region, zone), hosts) in localities {
            let locality = format!("{{region: {}, zone: {}}}", quoted(region), quoted(zone));
            self.line(at, &format!("- locality: {locality}"));
            self.line(at, "  lb_endpoints:");
            for host in hosts {
                self.line(host.at, &format!("  - {}", endpoint(host)));
            }
        }
    }

    fn line(&mut self, at: (u32, u32), text: &str) {
        let Place { file, line, column } = self.file.place(at.0, at.1);
        let known = self.map.files.iter().position(|known| *known == file);
        let number = known.unwrap_or_else(|| {
            self.map.files.push(file);
            self.map.files.len() - 1
        });
        self.map.runs.push(Run {
            start: (self.line, 1),
            file: u32::try_from(number).unwrap_or(0),
            from: (line, column),
            literal: false,
        });
        self.line += 1;
        self.text.push_str(text);
        self.text.push('\n');
    }
}

fn endpoint(host: &Host<'_>) -> String {
    let Host { address, port, .. } = host;
    let mut text = format!(
        "{{endpoint: {{address: {{socket_address: {{address: \"{address}\", port_value: {port}}}}}}}"
    );
    if let Some(weight) = host.weight {
        let _ = write!(text, ", load_balancing_weight: {weight}");
    }
    if !host.tags.is_empty() {
        let tags: Vec<String> = host
            .tags
            .iter()
            .map(|(key, value)| format!("{}: {}", quoted(key), quoted(value)))
            .collect();
        let tags = tags.join(", ");
        let _ = write!(text, ", metadata: {{filter_metadata: {{envoy.lb: {{{tags}}}}}}}");
    }
    text.push('}');
    text
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FilePath;

    fn make(text: &str) -> (RenderedFile, Vec<String>) {
        let (made, problems) = endpoints(&RenderedFile {
            source: FilePath::new("discovery/payments.yaml").unwrap(),
            group: None,
            kind: None,
            text: text.into(),
            origin: Origin::Same,
        });
        let problems =
            problems.iter().map(|p| format!("{}:{} {}", p.place.line, p.place.column, p.rule));
        (made, problems.collect())
    }

    #[test]
    fn active_hosts_become_endpoints_by_locality() {
        let (made, problems) = make(
            "cluster: payments
hosts:
  - {address: 10.0.0.2, port: 80, region: r, zone: b}
  - {address: 10.0.0.1, port: 80, region: r, zone: a, weight: 3, tags: {version: v2}}
  - {address: 10.0.0.3, port: 80, region: r, zone: a, state: maintenance}
  - {address: '::1', port: 80, region: r, zone: a, state: active}
",
        );
        assert_eq!(problems, [""; 0]);
        insta::assert_snapshot!(made.text);
        let line = made.text.lines().position(|line| line.contains("10.0.0.2")).unwrap();
        let place = made.place(u32::try_from(line).unwrap() + 1, 20);
        assert_eq!(place.to_string(), "discovery/payments.yaml:3:5");
    }

    #[test]
    fn several_clusters_may_share_a_file() {
        for text in [
            "cluster: a\nhosts: []\n---\ncluster: b\nhosts: []\n",
            "- {cluster: a, hosts: []}\n- {cluster: b, hosts: []}\n",
        ] {
            let (made, problems) = make(text);
            assert_eq!(problems, [""; 0]);
            assert_eq!(made.text, "---\ncluster_name: \"a\"\n---\ncluster_name: \"b\"\n");
        }
    }

    #[test]
    fn mistakes_name_the_host() {
        let (_, problems) = make(
            "cluster: payments
hosts:
  - {address: 10.0.0.1, port: 80}
  - {address: 10.0.0.1, port: 80, state: maintenance}
  - {address: payments.internal, port: 80}
  - {address: 10.0.0.4, port: 0}
  - {address: 10.0.0.5, port: 80, state: draining}
  - {address: 10.0.0.6, prot: 80}
  - {address: 10.0.0.7, port: 80, weight: 0, tags: [x]}
",
        );
        let expected = [
            "4:5 duplicate-host",
            "5:15 bad-address",
            "6:31 out-of-range",
            "7:42 bad-state",
            "8:25 unknown-field",
            "8:5 missing-field",
            "9:43 out-of-range",
            "9:52 wrong-type",
        ];
        assert_eq!(problems, expected);
        assert_eq!(make("hosts: []\n").1, ["1:1 missing-field"]);
        assert_eq!(make("cluster: [\n").1.len(), 1);
    }
}
