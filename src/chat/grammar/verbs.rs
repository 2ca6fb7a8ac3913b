//! What a verb is: its row says which words follow it, in what kinds. Its usage
//! is printed from these parts, so it can't say anything that is not parsed.
//! The rows are `verbs/table`.

mod table;

pub use self::table::VERBS;
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
