//! Asks an Envoy for what is worth keeping of its run, while it still runs.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::envoy::{Admin, Envoy};
use super::evidence::Redactor;

/// How long one answer may take; a run waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is asked of the admin, and the file it becomes.
const ASKED: [(&str, &str); 4] = [
    ("config_dump.json", "/config_dump?include_eds"),
    ("clusters.json", "/clusters?format=json"),
    ("listeners.json", "/listeners?format=json"),
    ("stats.txt", "/stats?usedonly"),
];

/// The log, and what the admin tells; without secrets.
pub(super) async fn gather(
    envoy: &mut Envoy<'_>,
    bootstrap: &str,
    redactor: &Redactor,
) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    files.insert("bootstrap.json".to_owned(), redactor.json(bootstrap.as_bytes()));
    let admin = envoy.admin().filter(|_| envoy.ended().is_none());
    if let Some(address) = admin {
        let mut admin = Admin::new(envoy.room(), address);
        for (file, path) in ASKED {
            let Ok(Ok((_, body))) = timeout(PATIENCE, admin.get(path)).await else { break };
            let text = match file.ends_with(".json") {
                true => redactor.json(&body),
                false => redactor.text(&String::from_utf8_lossy(&body)),
            };
            files.insert(file.to_owned(), text);
        }
    }
    files.insert("envoy.log".to_owned(), redactor.text(&envoy.log().text()));
    files
}
