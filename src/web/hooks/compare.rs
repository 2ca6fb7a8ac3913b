//! The answer to `diff`: what differs, in sentences, and where to read the
//! rest.
//!
//! What is told, and that secrets are not, is `snapshot`'s; the console's page
//! shows the text.

use crate::chat::{Message, changes, escape};
use crate::snapshot::Summary;

/// Changes that are told; the page has all of them.
const CHANGES_MAX: usize = 20;

/// What changes from one side to the other.
pub(super) fn summary(title: &str, summary: &Summary, page: &str) -> Message {
    if summary.is_empty() {
        return Message::plain(&format!("*{}*: no difference", escape(title)));
    }
    let mut lines = vec![format!(
        "*{}*: +{} ~{} −{} resources · <{}|View diff>",
        escape(title),
        summary.added,
        summary.changed,
        summary.removed,
        page.replace('&', "&amp;")
    )];
    lines.extend(changes(summary, CHANGES_MAX, page));
    Message::plain(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;

    #[test]
    fn every_change_is_counted_and_told_as_far_as_there_is_room() {
        let told = summary("canary", &samples::summary(500), "https://convoy/diff?a=1&b=2").text;
        let head = "*canary*: +0 ~500 −0 resources · <https://convoy/diff?a=1&amp;b=2|View diff>\n\
                    3 connected nodes take it: 500 made anew\n:warning: cluster &lt;!channel&gt;: \
                    connect_timeout: 1s → 3s";
        assert!(told.starts_with(head), "{told}");
        assert!(told.ends_with("more: <https://convoy/diff?a=1&amp;b=2|View diff>"), "{told}");
        crate::chat::assert_within_limits(&summary("x", &samples::summary(500), "https://c"));
    }

    #[test]
    fn equal_sides_say_so() {
        let told = summary("x", &Summary::default(), "https://c").text;
        assert_eq!(told, "*x*: no difference");
    }
}
