//! The table of verbs: the grammar's words, usages and examples in one place.

use crate::model::did_you_mean;
use crate::promote::{Refusal, RefusalKind};

/// What a line begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Explain.
    Help,
    /// Show the stages.
    Status,
    /// Show what differs.
    Diff,
    /// Explain why something waits.
    Why,
    /// Ask for a promotion.
    Promote,
    /// Say yes.
    Approve,
    /// Say no.
    Reject,
    /// Take a request back.
    Cancel,
    /// Go back.
    Rollback,
    /// Follow a rewritten upstream.
    Adopt,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct VerbSpec {
    /// The verb.
    pub verb: Verb,
    /// As it is typed.
    pub name: &'static str,
    /// The whole form.
    pub usage: &'static str,
    /// What it does, one sentence.
    pub about: &'static str,
    /// A line that works.
    pub example: &'static str,
    /// Whether it changes anything.
    pub changes: bool,
    /// Whether `to X` means something.
    pub takes_to: bool,
    /// Whether free text follows the first word.
    pub takes_prose: bool,
}

const READ: VerbSpec = VerbSpec {
    verb: Verb::Help,
    name: "help",
    usage: "help [VERB]",
    about: "What can be asked for.",
    example: "help promote",
    changes: false,
    takes_to: false,
    takes_prose: false,
};
const CHANGE: VerbSpec = VerbSpec { changes: true, ..READ };

/// Every verb, in the order that help shows them.
pub const VERBS: [VerbSpec; 10] = [
    READ,
    VerbSpec {
        verb: Verb::Status,
        name: "status",
        usage: "status [STAGE]",
        about: "What each stage serves, since when, and what waits.",
        example: "status canary",
        ..READ
    },
    VerbSpec {
        verb: Verb::Diff,
        name: "diff",
        usage: "diff STAGE [BUNDLE] or diff A B",
        about: "Which rendered resources differ: a stage and the newest (or a named) bundle, \
                two stages, or two bundles.",
        example: "diff canary b-7f3a90c1d2e4",
        ..READ
    },
    VerbSpec {
        verb: Verb::Why,
        name: "why",
        usage: "why STAGE or why P",
        about: "Why a stage or a promotion stands where it does.",
        example: "why P-142",
        ..READ
    },
    VerbSpec {
        verb: Verb::Promote,
        name: "promote",
        usage: "promote BUNDLE to STAGE [--reason \"…\"]",
        about: "Asks to move a stage to a bundle: an id or its beginning, a stage whose bundle \
                is meant, a commit or `r12`.",
        example: "promote beta to staging --reason \"retries for /pay\"",
        takes_to: true,
        ..CHANGE
    },
    VerbSpec {
        verb: Verb::Approve,
        name: "approve",
        usage: "approve P [DIGEST] [NOTE]",
        about: "Says yes to a promotion, with its digest to exactly that plan.",
        example: "approve P-142 7f3a90c1d2e4 looks good",
        takes_prose: true,
        ..CHANGE
    },
    VerbSpec {
        verb: Verb::Reject,
        name: "reject",
        usage: "reject P REASON",
        about: "Says no to a promotion.",
        example: "reject P-142 the timeout is too short",
        takes_prose: true,
        ..CHANGE
    },
    VerbSpec {
        verb: Verb::Cancel,
        name: "cancel",
        usage: "cancel P [REASON]",
        about: "Takes a request back.",
        example: "cancel P-142",
        takes_prose: true,
        ..CHANGE
    },
    VerbSpec {
        verb: Verb::Rollback,
        name: "rollback",
        usage: "rollback STAGE [to BUNDLE] --reason \"…\"",
        about: "Moves a stage back to what was good before, and holds it there.",
        example: "rollback canary --reason \"5xx on /pay\"",
        takes_to: true,
        ..CHANGE
    },
    VerbSpec {
        verb: Verb::Adopt,
        name: "adopt",
        usage: "adopt [PROJECT/REPOSITORY]",
        about: "Takes a rewritten upstream as it is now.",
        example: "adopt mesh/config",
        ..CHANGE
    },
];

/// The row of the verb that `text` names, in any case.
pub(super) fn find(text: &str) -> Result<&'static VerbSpec, Refusal> {
    let text = if text == "?" { "help" } else { text };
    let found = VERBS.iter().find(|spec| spec.name.eq_ignore_ascii_case(text));
    found.ok_or_else(|| unknown(text))
}

fn unknown(text: &str) -> Refusal {
    let names = VERBS.iter().map(|spec| spec.name);
    let hint = match did_you_mean(text, names) {
        Some(hint) => format!("{hint} `help` lists every command"),
        None => "`help` lists every command".into(),
    };
    let message = format!("`{text}` is not a command; nothing was done");
    Refusal { kind: RefusalKind::Invalid, message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_the_verb_that_was_meant() {
        let names = || VERBS.iter().map(|spec| spec.name);
        let table = [
            ("promte", Some("promote")),
            ("aprove", Some("approve")),
            ("stauts", Some("status")),
            ("Rollbak", Some("rollback")),
            ("xyzzy", None),
            ("a", None),
        ];
        for (typed, meant) in table {
            assert_eq!(crate::model::nearest(typed, names()), meant, "{typed}");
        }
    }
}
