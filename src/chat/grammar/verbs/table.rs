//! The table of verbs: the one place from which the grammar, `help`, shell and
//! palette completions, the documentation page and the usages are made.

use super::{Arg, Family, Kind, Runs, Verb, VerbSpec, flag, next, rest, word};
use crate::model::Role;

const STAGE: Arg = next(Kind::Stage, "STAGE");
const BUNDLE: Arg = next(Kind::Bundle, "BUNDLE");
const P: Arg = next(Kind::Promotion, "P");
const ENVOY: Arg = flag("envoy", Kind::Version, "VERSION").or_not();
const REASON: Arg = rest("REASON");
const REASON_FLAG: Arg = flag("reason", Kind::Text, "REASON");

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
