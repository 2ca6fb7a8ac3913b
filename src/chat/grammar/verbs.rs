//! The table of verbs: the one place from which the grammar, `help`, shell and
//! palette completions, the documentation page and the usages are made.
//!
//! A row says which words follow a verb, in what kinds. Its usage is printed
//! from these parts, so it can't say anything that is not parsed.

use super::invalid;
use crate::model::{Role, did_you_mean};
use crate::promote::Refusal;

/// What a line begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the word that is typed; the table says what it does")]
pub enum Verb {
    Help,
    Whoami,
    Status,
    Why,
    List,
    Show,
    Diff,
    Checks,
    History,
    Audit,
    Promote,
    Rollback,
    Approve,
    Reject,
    Retract,
    Cancel,
    Abort,
    Pause,
    Resume,
    Advance,
    Retest,
    Pin,
    Unpin,
    Veto,
    Unveto,
    Lock,
    Unlock,
    Freeze,
    Thaw,
    Breakglass,
    Review,
    Link,
    Subscribe,
    Unsubscribe,
    Adopt,
}

/// Which part of the grammar a verb belongs to, as help groups them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Reads only.
    Look,
    /// Asks for a stage to be moved.
    Request,
    /// Says yes or no.
    Decide,
    /// Moves on what is under way.
    Steer,
    /// Keeps a stage or a bundle as it is.
    Guard,
    /// In need.
    Urgent,
    /// About the caller and the channel.
    Account,
}

impl Family {
    /// All of them, in the order that help shows them.
    pub const ALL: [Self; 7] = [
        Self::Look,
        Self::Request,
        Self::Decide,
        Self::Steer,
        Self::Guard,
        Self::Urgent,
        Self::Account,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Look => "Look",
            Self::Request => "Request",
            Self::Decide => "Decide",
            Self::Steer => "Steer",
            Self::Guard => "Guard",
            Self::Urgent => "In need",
            Self::Account => "You and this channel",
        }
    }
}

/// How a line that was understood is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// It changes nothing.
    Read,
    /// At once: the safe direction, or a decision that names its plan.
    AtOnce,
    /// Shown first; the same person confirms.
    Preview,
    /// In a form, with the stage's name typed; never from the text alone.
    Form,
}

/// What a word must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A stage's name.
    Stage,
    /// A stage's name, or `all`.
    StageOrAll,
    /// A bundle.
    Bundle,
    /// A bundle, a stage (whose bundle is meant), a commit or `#PR`.
    Source,
    /// A stage or a bundle.
    StageOrBundle,
    /// A stage or a promotion.
    StageOrPromotion,
    /// A bundle or a promotion.
    BundleOrPromotion,
    /// A promotion.
    Promotion,
    /// The beginning of a plan's digest.
    Digest,
    /// A moment, or a span from now.
    Time,
    /// A span.
    Duration,
    /// A share of the nodes.
    Percent,
    /// An Envoy version.
    Version,
    /// A verb.
    Verb,
    /// `bundles` or `promotions`.
    Things,
    /// What a channel hears of.
    Events,
    /// A repository.
    Repository,
    /// A pattern of resource names.
    Glob,
    /// Words.
    Text,
    /// Nothing: the name alone says it.
    Switch,
}

/// Where a part stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// By its position among those without a name.
    Next,
    /// Behind this word, anywhere (`to canary`); `--to canary` is the same.
    Word(&'static str),
    /// Behind `--name`, anywhere.
    Flag(&'static str),
    /// The rest of the line.
    Rest,
}

/// One part of a verb's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arg {
    /// Where it stands.
    pub seat: Seat,
    /// What it must be.
    pub kind: Kind,
    /// How the usage calls it.
    pub label: &'static str,
    /// Whether the line is refused without it.
    pub needed: bool,
}

impl Arg {
    const fn or_not(self) -> Self {
        Self { needed: false, ..self }
    }

    /// As the usage shows it.
    pub fn shown(&self) -> String {
        let label = self.label;
        let plain = match self.seat {
            Seat::Next => label.to_owned(),
            Seat::Word(word) => format!("{word} {label}"),
            Seat::Flag(name) if self.kind == Kind::Switch => format!("--{name}"),
            Seat::Flag(name) if self.kind == Kind::Text => format!("--{name} \"…\""),
            Seat::Flag(name) => format!("--{name} {label}"),
            Seat::Rest => format!("{label}…"),
        };
        if self.needed { plain } else { format!("[{plain}]") }
    }
}

const fn next(kind: Kind, label: &'static str) -> Arg {
    Arg { seat: Seat::Next, kind, label, needed: true }
}

const fn word(word: &'static str, kind: Kind, label: &'static str) -> Arg {
    Arg { seat: Seat::Word(word), kind, label, needed: true }
}

const fn flag(name: &'static str, kind: Kind, label: &'static str) -> Arg {
    Arg { seat: Seat::Flag(name), kind, label, needed: true }
}

const fn rest(label: &'static str) -> Arg {
    Arg { seat: Seat::Rest, kind: Kind::Text, label, needed: true }
}

const STAGE: Arg = next(Kind::Stage, "STAGE");
const BUNDLE: Arg = next(Kind::Bundle, "BUNDLE");
const P: Arg = next(Kind::Promotion, "P");
const ENVOY: Arg = flag("envoy", Kind::Version, "VERSION").or_not();
const REASON: Arg = rest("REASON");
const REASON_FLAG: Arg = flag("reason", Kind::Text, "REASON");

/// What every verb takes besides its own parts.
pub const COMMON: [Arg; 3] = [
    flag("repo", Kind::Repository, "PROJECT/REPOSITORY").or_not(),
    flag("here", Kind::Switch, "").or_not(),
    flag("json", Kind::Switch, "").or_not(),
];

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct VerbSpec {
    /// The verb.
    pub verb: Verb,
    /// As it is typed.
    pub name: &'static str,
    /// What follows, in the order of the usage.
    pub args: &'static [Arg],
    /// What it does, one sentence.
    pub about: &'static str,
    /// A line that works.
    pub example: &'static str,
    /// Where help lists it.
    pub family: Family,
    /// How it is carried out.
    pub runs: Runs,
    /// The least role of those who may, where they have one.
    pub needs: Role,
}

impl VerbSpec {
    /// The whole form: `promote SRC to STAGE [--reason "…"]`.
    pub fn usage(&self) -> String {
        let parts = self.args.iter().map(Arg::shown);
        std::iter::once(self.name.to_owned()).chain(parts).collect::<Vec<_>>().join(" ")
    }

    /// Whether it changes something.
    pub fn changes(&self) -> bool {
        self.runs != Runs::Read
    }

    /// The part in the rest of the line, if there is one.
    pub(super) fn prose(&self) -> Option<&'static Arg> {
        self.args.iter().find(|arg| arg.seat == Seat::Rest)
    }

    /// The part that is named so, by a word or by `--name`.
    pub(super) fn named(&self, name: &str, dashed: bool) -> Option<&'static Arg> {
        let is = |arg: &&Arg| match arg.seat {
            Seat::Word(word) => word.eq_ignore_ascii_case(name),
            Seat::Flag(flag) => dashed && flag == name,
            Seat::Next | Seat::Rest => false,
        };
        let common = COMMON.iter().filter(|_| dashed);
        self.args.iter().chain(common).find(is)
    }

    /// The names of everything that may stand behind `--`.
    pub fn options(&self) -> Vec<&'static str> {
        let name = |arg: &'static Arg| match arg.seat {
            Seat::Word(name) | Seat::Flag(name) => Some(name),
            Seat::Next | Seat::Rest => None,
        };
        let mut names: Vec<_> = self.args.iter().chain(&COMMON).filter_map(name).collect();
        if self.prose().is_some() && !names.contains(&"reason") {
            names.push("reason");
        }
        names
    }
}

const LOOK: VerbSpec = VerbSpec {
    verb: Verb::Help,
    name: "help",
    args: &[next(Kind::Verb, "VERB").or_not()],
    about: "What can be asked for, and how.",
    example: "help promote",
    family: Family::Look,
    runs: Runs::Read,
    needs: Role::Guest,
};
const CHANGE: VerbSpec = VerbSpec { runs: Runs::Preview, needs: Role::Operator, ..LOOK };
const REQUEST: VerbSpec = VerbSpec { family: Family::Request, ..CHANGE };
const DECIDE: VerbSpec = VerbSpec { family: Family::Decide, ..CHANGE };
const STEER: VerbSpec = VerbSpec { family: Family::Steer, ..CHANGE };
const GUARD: VerbSpec = VerbSpec { family: Family::Guard, ..CHANGE };
const ACCOUNT: VerbSpec =
    VerbSpec { family: Family::Account, runs: Runs::AtOnce, needs: Role::Guest, ..LOOK };

/// Every verb, in the order that help shows them.
pub const VERBS: [VerbSpec; 35] = [
    LOOK,
    VerbSpec {
        verb: Verb::Whoami,
        name: "whoami",
        args: &[],
        about: "Who you are to Convoy, and what you may do.",
        example: "whoami",
        ..LOOK
    },
    VerbSpec {
        verb: Verb::Status,
        name: "status",
        args: &[next(Kind::StageOrBundle, "STAGE|BUNDLE").or_not()],
        about: "What each stage serves, since when, and what waits; or where a bundle stands.",
        example: "status canary",
        ..LOOK
    },
    VerbSpec {
        verb: Verb::Why,
        name: "why",
        args: &[next(Kind::StageOrPromotion, "STAGE|P")],
        about: "Why a stage or a promotion stands where it does, and who can help.",
        example: "why P-142",
        ..LOOK
    },
    VerbSpec {
        verb: Verb::List,
        name: "list",
        args: &[next(Kind::Things, "bundles|promotions"), next(Kind::Stage, "STAGE").or_not()],
        about: "The newest bundles, or the newest promotions.",
        example: "list promotions canary",
        ..LOOK
    },
    VerbSpec {
        verb: Verb::Show,
        name: "show",
        args: &[next(Kind::BundleOrPromotion, "BUNDLE|P")],
        about: "A bundle or a promotion, whole.",
        example: "show P-142",
        ..LOOK
    },
    VerbSpec {
        verb: Verb::Diff,
        name: "diff",
        args: &[
            next(Kind::StageOrBundle, "A"),
            next(Kind::StageOrBundle, "B").or_not(),
            flag("stage", Kind::Stage, "STAGE").or_not(),
            flag("resource", Kind::Glob, "GLOB").or_not(),
        ],
        about: "Which rendered resources differ between two stages or bundles; without B, \
                between A and the newest bundle.",
        example: "diff canary b-7f3a90c1d2e4 --resource \"pay*\"",
        ..LOOK
    },
    VerbSpec {
        verb: Verb::Checks,
        name: "checks",
        args: &[BUNDLE, ENVOY],
        about: "The smoke matrix of a bundle: each stage on each Envoy version.",
        example: "checks b-7f3a90c1d2e4 --envoy 1.38.3",
        ..LOOK
    },
    VerbSpec {
        verb: Verb::History,
        name: "history",
        args: &[STAGE],
        about: "What a stage served, from when to when, and by whom.",
        example: "history release",
        ..LOOK
    },
    VerbSpec {
        verb: Verb::Audit,
        name: "audit",
        args: &[P],
        about: "Who did what to a promotion, and when.",
        example: "audit P-142",
        ..LOOK
    },
    VerbSpec {
        verb: Verb::Promote,
        name: "promote",
        args: &[
            next(Kind::Source, "SRC"),
            word("to", Kind::Stage, "STAGE"),
            REASON_FLAG.or_not(),
            flag("after", Kind::Time, "TIME").or_not(),
            flag("dry-run", Kind::Switch, "").or_not(),
        ],
        about: "Asks to move a stage to SRC: a bundle's id or its beginning, a stage whose \
                bundle is meant, a commit, `#PR`, `r12` or `latest`.",
        example: "promote beta to staging --reason \"retries for /pay\"",
        ..REQUEST
    },
    VerbSpec {
        verb: Verb::Rollback,
        name: "rollback",
        args: &[STAGE, word("to", Kind::Bundle, "BUNDLE").or_not(), REASON_FLAG],
        about: "Moves a stage back to what was good before, and holds it there.",
        example: "rollback canary --reason \"5xx on /pay\"",
        ..REQUEST
    },
    VerbSpec {
        verb: Verb::Approve,
        name: "approve",
        args: &[P, next(Kind::Digest, "DIGEST"), rest("NOTE").or_not()],
        about: "Says yes to a promotion, to exactly the plan whose digest begins so.",
        example: "approve P-142 7f3a90c1d2e4 looks good",
        runs: Runs::AtOnce,
        ..DECIDE
    },
    VerbSpec {
        verb: Verb::Reject,
        name: "reject",
        args: &[P, REASON],
        about: "Says no to a promotion.",
        example: "reject P-142 the timeout is too short",
        runs: Runs::AtOnce,
        ..DECIDE
    },
    VerbSpec {
        verb: Verb::Retract,
        name: "retract",
        args: &[P],
        about: "Takes your own approval back.",
        example: "retract P-142",
        ..DECIDE
    },
    VerbSpec {
        verb: Verb::Cancel,
        name: "cancel",
        args: &[P, REASON.or_not()],
        about: "Takes a request back.",
        example: "cancel P-142",
        ..STEER
    },
    VerbSpec {
        verb: Verb::Abort,
        name: "abort",
        args: &[P, REASON.or_not()],
        about: "Stops a promotion that is being applied, and rolls it back.",
        example: "abort P-142 errors in checkout",
        runs: Runs::AtOnce,
        ..STEER
    },
    VerbSpec {
        verb: Verb::Pause,
        name: "pause",
        args: &[P, REASON.or_not()],
        about: "Holds a promotion at the step it has reached.",
        example: "pause P-142 looking at latency",
        runs: Runs::AtOnce,
        ..STEER
    },
    VerbSpec {
        verb: Verb::Resume,
        name: "resume",
        args: &[P],
        about: "Lets a paused promotion go on.",
        example: "resume P-142",
        ..STEER
    },
    VerbSpec {
        verb: Verb::Advance,
        name: "advance",
        args: &[P, word("to", Kind::Percent, "PERCENT").or_not()],
        about: "Goes on to the next step, or up to a share of the nodes, without waiting longer.",
        example: "advance P-142 to 25%",
        ..STEER
    },
    VerbSpec {
        verb: Verb::Retest,
        name: "retest",
        args: &[BUNDLE, next(Kind::Stage, "STAGE").or_not(), ENVOY],
        about: "Runs smoke cells of a bundle again.",
        example: "retest b-7f3a90c1d2e4 canary --envoy 1.38.3",
        ..STEER
    },
    VerbSpec {
        verb: Verb::Pin,
        name: "pin",
        args: &[
            STAGE,
            next(Kind::Bundle, "BUNDLE").or_not(),
            word("until", Kind::Time, "TIME").or_not(),
            REASON,
        ],
        about: "Keeps a stage at what it serves, or at BUNDLE.",
        example: "pin release until mon 09:00 the launch",
        ..GUARD
    },
    VerbSpec {
        verb: Verb::Unpin,
        name: "unpin",
        args: &[STAGE],
        about: "Takes a pin, or the hold that a rollback left, away.",
        example: "unpin release",
        ..GUARD
    },
    VerbSpec {
        verb: Verb::Veto,
        name: "veto",
        args: &[BUNDLE, word("in", Kind::Stage, "STAGE").or_not(), REASON],
        about: "Keeps a bundle out of a stage, or out of every stage.",
        example: "veto b-7f3a90c1d2e4 in release drops headers",
        ..GUARD
    },
    VerbSpec {
        verb: Verb::Unveto,
        name: "unveto",
        args: &[BUNDLE, word("in", Kind::Stage, "STAGE").or_not()],
        about: "Takes a veto away.",
        example: "unveto b-7f3a90c1d2e4",
        ..GUARD
    },
    VerbSpec {
        verb: Verb::Lock,
        name: "lock",
        args: &[STAGE, word("for", Kind::Duration, "DURATION").or_not(), REASON],
        about: "Keeps others from moving a stage while you work on it.",
        example: "lock canary for 2h load test",
        ..GUARD
    },
    VerbSpec {
        verb: Verb::Unlock,
        name: "unlock",
        args: &[STAGE, flag("steal", Kind::Text, "REASON").or_not()],
        about: "Opens your lock; with --steal somebody else's, who is told.",
        example: "unlock canary --steal \"kim is away\"",
        ..GUARD
    },
    VerbSpec {
        verb: Verb::Freeze,
        name: "freeze",
        args: &[next(Kind::StageOrAll, "STAGE|all"), word("until", Kind::Time, "TIME"), REASON],
        about: "Stops all promotions to a stage, or to every stage, until a time or `forever`.",
        example: "freeze all until mon 09:00 year-end",
        runs: Runs::AtOnce,
        ..GUARD
    },
    VerbSpec {
        verb: Verb::Thaw,
        name: "thaw",
        args: &[next(Kind::StageOrAll, "STAGE|all")],
        about: "Ends a freeze.",
        example: "thaw all",
        ..GUARD
    },
    VerbSpec {
        verb: Verb::Breakglass,
        name: "breakglass",
        args: &[
            BUNDLE,
            word("to", Kind::Stage, "STAGE"),
            flag("incident", Kind::Text, "ID"),
            REASON_FLAG,
        ],
        about: "Opens the form that brings a bundle to a stage past its gates in an incident. \
                Never past validity; loud; somebody else must review it.",
        example: "breakglass b-7f3a90c1d2e4 to release --incident INC-7 --reason \"outage\"",
        family: Family::Urgent,
        runs: Runs::Form,
        ..CHANGE
    },
    VerbSpec {
        verb: Verb::Review,
        name: "review",
        args: &[P, rest("NOTE").or_not()],
        about: "Signs, as a second person, what was done past the gates.",
        example: "review P-142 the fix was right",
        family: Family::Urgent,
        ..CHANGE
    },
    VerbSpec {
        verb: Verb::Link,
        name: "link",
        args: &[],
        about: "Links your Slack user to your name, by a link that is good once.",
        example: "link",
        ..ACCOUNT
    },
    VerbSpec {
        verb: Verb::Subscribe,
        name: "subscribe",
        args: &[STAGE, next(Kind::Events, "EVENTS").or_not()],
        about: "Shows this channel the promotions of a stage: `all`, or any of `asked`, \
                `applying`, `ended`, `failed`.",
        example: "subscribe release applying,failed",
        needs: Role::Operator,
        ..ACCOUNT
    },
    VerbSpec {
        verb: Verb::Unsubscribe,
        name: "unsubscribe",
        args: &[STAGE],
        about: "Shows this channel no more promotions of a stage.",
        example: "unsubscribe release",
        needs: Role::Operator,
        ..ACCOUNT
    },
    VerbSpec {
        verb: Verb::Adopt,
        name: "adopt",
        args: &[next(Kind::Repository, "PROJECT/REPOSITORY").or_not()],
        about: "Takes a rewritten upstream as it is now.",
        example: "adopt mesh/config",
        ..REQUEST
    },
];

impl Verb {
    /// Its row.
    pub fn spec(self) -> &'static VerbSpec {
        VERBS.iter().find(|spec| spec.verb == self).unwrap_or(&VERBS[0])
    }
}

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
    invalid(&format!("`{text}` is not a command; nothing was done"), &hint)
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
            ("freze", Some("freeze")),
            ("breakglas", Some("breakglass")),
            ("xyzzy", None),
            ("a", None),
        ];
        for (typed, meant) in table {
            assert_eq!(crate::model::nearest(typed, names()), meant, "{typed}");
        }
    }

    #[test]
    fn each_verb_has_one_row_and_its_usage_is_printed_from_it() {
        for spec in &VERBS {
            assert_eq!(spec.verb.spec().name, spec.name);
            assert!(spec.example.starts_with(spec.name), "{}", spec.example);
        }
        let usage = |verb: Verb| verb.spec().usage();
        assert_eq!(
            usage(Verb::Promote),
            "promote SRC to STAGE [--reason \"…\"] [--after TIME] [--dry-run]"
        );
        assert_eq!(usage(Verb::Pin), "pin STAGE [BUNDLE] [until TIME] REASON…");
        assert_eq!(usage(Verb::Freeze), "freeze STAGE|all until TIME REASON…");
    }

    #[test]
    fn the_safe_direction_needs_no_second_look() {
        let at_once = [Verb::Approve, Verb::Reject, Verb::Abort, Verb::Pause, Verb::Freeze];
        for spec in VERBS.iter().filter(|spec| spec.family != Family::Account) {
            assert_eq!(spec.runs == Runs::AtOnce, at_once.contains(&spec.verb), "{}", spec.name);
        }
    }
}
