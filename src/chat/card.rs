//! The card of a promotion: one message, edited in place until it ends.
//!
//! Pure. What it shows is what the record says; the buttons carry no authority
//! (that is the record's and the clicker's), only which plan was looked at.

pub(super) mod button;
pub(super) mod matrix;
mod thread;

use std::fmt::Write as _;

use super::links::{Links, link};
use super::message::{self, Message};
use super::text::{clean, joined};
use crate::model::BundleId;
use crate::promote::{
    BundleRecord, DiffStat, Ending, Gate, GateKind, Kind, Promotion, State, Status,
};
use crate::snapshot::Summary;

pub(super) use button::prefix;
pub use button::{ButtonValue, Decide, Offer, is_last};
pub use thread::{Note, Reminders, notes};

/// Foreign text longer than this is cut: a subject, a reason, a note.
pub(super) const WORDS_MAX: usize = 300;
/// Changes that a card tells; the page has all of them.
const CHANGES_MAX: usize = 8;

/// The card of `promotion` as things stand in `state`, with the buttons that
/// are offered; while it waits, with what it `changes`.
pub fn card(
    promotion: &Promotion,
    state: &State,
    offer: &Offer,
    links: &Links,
    changes: Option<&Summary>,
) -> Message {
    let bundle = state.bundles.get(&promotion.bundle);
    let mut blocks = vec![
        message::header(&title(promotion)),
        message::section(&summary(promotion, state, links)),
    ];
    blocks.extend(changed(promotion, links, changes).map(|text| message::section(&text)));
    if let Some(bundle) = bundle {
        blocks.extend(matrix::section(bundle, &promotion.stage));
    }
    if !promotion.gates.is_empty() {
        blocks.push(message::section(&checklist(promotion)));
    }
    blocks.extend(under_way(promotion).map(|text| message::section(&text)));
    blocks.push(message::context(&[standing(promotion), small_print(promotion)]));
    blocks.extend(button::row(promotion, offer));
    Message::new(&fallback(promotion), blocks)
}

fn title(promotion: &Promotion) -> String {
    let Promotion { id, stage, bundle, .. } = promotion;
    match promotion.kind {
        Kind::Promote => format!("{id} · {stage} ← {bundle}"),
        Kind::Rollback => format!("{id} · {stage} rolls back to {bundle}"),
    }
}

/// The card in one sentence.
fn fallback(promotion: &Promotion) -> String {
    let repo = &promotion.repo;
    format!("{} in {repo}: {}", title(promotion), standing(promotion).replace('*', ""))
}

fn summary(promotion: &Promotion, state: &State, links: &Links) -> String {
    let Promotion { repo, plan, .. } = promotion;
    let describe = |id: &BundleId| named(id, state.bundles.get(id));
    let from = plan.from.as_ref().map_or("nothing".into(), describe);
    let mut text = format!("*{repo}* · {from} → {}\n", describe(&plan.to));
    if let Some(bundle) = state.bundles.get(&plan.to) {
        let _ = writeln!(text, "{}", authored(bundle));
    }
    let diff = diff_page(promotion, links);
    let page = links.promotion(&promotion.id);
    let (diff, page) = (link(&diff, "View diff"), link(&page, "Details"));
    let _ = writeln!(text, "{} · {diff} · {page}", counted(plan.diff));
    let _ = write!(text, "Asked for by *{}*", clean(&promotion.requested_by.to_string(), 64));
    if !promotion.reason.is_empty() {
        let _ = write!(text, ": {}", clean(&promotion.reason, WORDS_MAX));
    }
    text
}

/// What it changes, for whoever is asked for a yes: there is nothing to decide
/// about it later.
pub(super) fn changed(
    promotion: &Promotion,
    links: &Links,
    changes: Option<&Summary>,
) -> Option<String> {
    let changes = changes.filter(|_| promotion.status.is_waiting())?;
    let lines = super::changes::changes(changes, CHANGES_MAX, &diff_page(promotion, links));
    (!lines.is_empty()).then(|| joined(&lines, "\n", message::SECTION_MAX))
}

fn diff_page(promotion: &Promotion, links: &Links) -> String {
    let Promotion { repo, stage, plan, .. } = promotion;
    let from = plan.from.as_ref().map(BundleId::as_str);
    links.diff(repo, Some(stage), from, plan.to.as_str())
}

/// A bundle and the revision it comes from.
pub(super) fn named(id: &BundleId, bundle: Option<&BundleRecord>) -> String {
    match bundle {
        Some(bundle) => format!("`{id}` (r{})", bundle.commit.revision),
        None => format!("`{id}`"),
    }
}

fn authored(bundle: &BundleRecord) -> String {
    let commit = &bundle.commit;
    let others = match commit.co_authors.len() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    let (subject, author) = (clean(commit.subject(), WORDS_MAX), clean(&commit.author_name, 80));
    format!("“{subject}” by {author}{others}, commit `{}`", commit.commit.short())
}

/// `+1 ~2 −3 resources`.
pub(super) fn counted(diff: DiffStat) -> String {
    format!("+{} ~{} −{} resources", diff.added, diff.changed, diff.removed)
}

fn checklist(promotion: &Promotion) -> String {
    let mut lines: Vec<String> = promotion.gates.iter().map(gate_line).collect();
    for approval in promotion.valid_approvals() {
        let note = match approval.note.is_empty() {
            true => String::new(),
            false => format!(": {}", clean(&approval.note, WORDS_MAX)),
        };
        lines.push(format!("      {} approved {}{note}", approval.by, when(approval.at)));
    }
    let outdated = promotion.approvals.len() - promotion.valid_approvals().count();
    if outdated > 0 {
        lines.push(format!("      {outdated} earlier approvals were for another plan"));
    }
    joined(&lines, "\n", message::SECTION_MAX)
}

pub(super) fn gate_line(gate: &Gate) -> String {
    let mark = if gate.open { ":white_check_mark:" } else { ":hourglass_flowing_sand:" };
    format!("{mark} *{}* {}", gate_word(gate.kind), clean(&gate.detail, WORDS_MAX))
}

fn gate_word(kind: GateKind) -> &'static str {
    match kind {
        GateKind::Valid => "Valid",
        GateKind::Matrix => "Smoke",
        GateKind::Verified => "Verified before",
        GateKind::Soak => "Soaked",
        GateKind::Approvals => "Approvals",
        GateKind::Free => "Stage free",
        GateKind::Schedule => "Scheduled",
        GateKind::Window => "Window",
        GateKind::Freeze => "Not frozen",
        GateKind::Pin => "Not pinned",
        GateKind::Veto => "Not vetoed",
        GateKind::Lock => "Not locked",
        GateKind::Fleet => "Fleet healthy",
        GateKind::Metrics => "Metrics",
    }
}

/// Where it stands, one sentence.
pub(super) fn standing(promotion: &Promotion) -> String {
    match (&promotion.ending, promotion.status) {
        (Some(ending), status) => ended(status, ending),
        (None, Status::Gated | Status::Ready) => match closed_gates(promotion).as_str() {
            "" => "*Waiting* to be applied".into(),
            gates => format!("*Waiting* for: {gates}"),
        },
        (None, Status::Applying) => match promotion.applied_at {
            Some(at) => format!("*Applying* since {}", when(at)),
            None => "*Applying*".into(),
        },
        (None, status) => format!("*{}*", capital(status.word())),
    }
}

/// Where it is among its steps, why it stands still or goes back, and what was
/// done past the gates.
fn under_way(promotion: &Promotion) -> Option<String> {
    let mut lines = Vec::new();
    if let Some(glass) = &promotion.breakglass {
        lines.push(thread::broken(glass));
    }
    if let Some(step) = promotion.step.as_ref().filter(|_| !promotion.status.is_terminal()) {
        lines.push(thread::stepped(step));
        if let Some(pause) = &step.paused {
            lines.push(thread::paused(pause));
        }
    }
    if let Some(cause) = &promotion.cause {
        lines.push(format!(":x: {}", clean(cause, WORDS_MAX)));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn closed_gates(promotion: &Promotion) -> String {
    let closed = promotion.gates.iter().filter(|gate| !gate.open);
    closed.map(|gate| gate_word(gate.kind).to_lowercase()).collect::<Vec<_>>().join(", ")
}

fn ended(status: Status, ending: &Ending) -> String {
    let by = clean(&ending.by.to_string(), 64);
    let mut text = format!("*{}* {} by {by}", capital(status.word()), when(ending.at));
    if !ending.reason.is_empty() {
        let _ = write!(text, ": {}", clean(&ending.reason, WORDS_MAX));
    }
    text
}

fn small_print(promotion: &Promotion) -> String {
    let digest = prefix(promotion);
    format!("plan `{digest}` · asked for {}", when(promotion.requested_at))
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// A time that each reader's client shows in the reader's own zone.
pub(super) fn when(at: jiff::Timestamp) -> String {
    let (second, plain) = (at.as_second(), at.strftime("%Y-%m-%d %H:%M UTC"));
    format!("<!date^{second}^{{date_short_pretty}} {{time}}|{plain}>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::message::assert_within_limits;
    use crate::chat::samples;
    use crate::model::{ContentHash, Person, Via};
    use crate::promote::Approval;

    fn show(promotion: &Promotion) -> serde_json::Value {
        show_with(
            promotion,
            &Offer::of(|decide| !matches!(decide, Decide::Resume | Decide::Review)),
        )
    }

    fn show_with(promotion: &Promotion, offer: &Offer) -> serde_json::Value {
        let state = samples::state(vec![promotion.clone()]);
        let message =
            card(promotion, &state, offer, &Links::new("https://convoy.example.com"), None);
        assert_within_limits(&message);
        message.answer(crate::chat::Audience::Channel)
    }

    fn approval(by: &str, plan: ContentHash) -> Approval {
        let by = Person::new(by).unwrap();
        Approval { by, via: Via::Slack, plan, at: samples::at(30), note: "ok & go".into() }
    }

    #[test]
    fn a_waiting_promotion_shows_its_gates_and_buttons() {
        insta::assert_json_snapshot!("card_waiting", show(&samples::promotion(142, "canary")));
    }

    #[test]
    fn what_it_changes_is_told_while_somebody_is_asked() {
        let links = Links::new("https://convoy.example.com");
        let told = |status| {
            let promotion = Promotion { status, ..samples::promotion(142, "canary") };
            let state = samples::state(vec![promotion.clone()]);
            let (offer, summary) = (Offer::default(), samples::summary(10));
            let message = card(&promotion, &state, &offer, &links, Some(&summary));
            assert_within_limits(&message);
            message.answer(crate::chat::Audience::Channel).to_string()
        };
        let waiting = told(Status::Ready);
        assert!(waiting.contains("connect_timeout: 1s → 3s"), "{waiting}");
        assert!(waiting.contains("makes the cluster anew"), "{waiting}");
        assert!(waiting.contains("… and 2 more: <https://convoy.example.com/r/"), "{waiting}");
        assert!(!waiting.contains("<!channel>") && !waiting.contains("<https://evil"), "{waiting}");
        assert!(!told(Status::Applying).contains("connect_timeout"));
    }

    #[test]
    fn votes_are_listed_below_the_gates() {
        let mut promotion = samples::promotion(143, "release");
        promotion.approvals =
            vec![approval("kim", promotion.plan.digest), approval("lee", ContentHash([1; 32]))];
        let shown = show(&promotion);
        insta::assert_json_snapshot!("card_last_stage", shown);
    }

    #[test]
    fn a_card_without_an_offer_has_no_buttons() {
        let mut promotion = samples::promotion(144, "canary");
        promotion.status = Status::Rejected;
        promotion.ending = Some(Ending {
            by: samples::person("kim"),
            at: samples::at(60),
            reason: "not <now>".into(),
        });
        let shown = show_with(&promotion, &Offer::default());
        assert!(!shown.to_string().contains("\"button\""));
        insta::assert_json_snapshot!("card_rejected", shown);
    }

    #[test]
    fn foreign_text_cannot_ping_the_channel() {
        let shown = show(&samples::promotion(142, "canary")).to_string();
        assert!(!shown.contains("<!channel>") && !shown.contains("<!here>"), "{shown}");
        assert!(!shown.contains("<https://evil"), "{shown}");
    }

    #[test]
    fn a_card_of_monstrous_size_is_cut_to_the_limits() {
        let mut promotion = samples::promotion(146, "canary");
        promotion.reason = "<&> ".repeat(5_000);
        promotion.approvals = vec![approval("kim", promotion.plan.digest); 200];
        promotion.gates = promotion.gates.iter().cycle().take(300).cloned().collect();
        let mut state = samples::state(Vec::new());
        let mut bundle = samples::bundle("b-new", 12);
        bundle.commit.message = "& ".repeat(10_000);
        for spec in &mut bundle.manifest.stages {
            spec.envoy_versions = (0..200).map(|n| format!("1.{n}.0")).collect();
        }
        state.put(crate::promote::Document::Bundle(Box::new(bundle)));
        let offer = Offer::of(|_| true);
        let links = Links::new("https://convoy.example.com");
        let message = card(&promotion, &state, &offer, &links, Some(&samples::summary(500)));
        assert_within_limits(&message);
    }
}
