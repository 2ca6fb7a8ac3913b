//! What people type, as a value.
//!
//! Pure. One table of verbs ([`VERBS`]) gives the grammar its words, and
//! `help` its text. Nothing is guessed where a guess could move a stage: what
//! is not understood is refused with the usage and the nearest verb.
//!
//! ```text
//! help [VERB] · status [STAGE] · why STAGE|P · diff STAGE [BUNDLE] · diff A B
//! promote BUNDLE to STAGE [--reason …] · rollback STAGE [to BUNDLE] --reason …
//! approve P [DIGEST] [NOTE] · reject P REASON · cancel P [REASON] · adopt
//! everywhere: --repo PROJECT/REPOSITORY, --here
//! ```

mod verbs;
mod words;

use crate::model::{PromotionId, RepoName, Stage};
use crate::promote::{Refusal, RefusalKind};

pub use verbs::{VERBS, Verb, VerbSpec};
use words::{Parts, Word};

/// One line as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What is asked for.
    pub ask: Ask,
    /// `--repo`.
    pub repo: Option<RepoName>,
    /// `--here`: answer so that the channel sees it.
    pub here: bool,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Every verb, or one of them.
    Help(Option<Verb>),
    /// The stages, or one of them.
    Status(Option<Stage>),
    /// What differs.
    Diff {
        /// A stage or a bundle.
        left: String,
        /// The other side; `None` for the newest bundle.
        right: Option<String>,
    },
    /// Move a stage forward.
    Promote {
        /// The bundle, as the reconciler resolves it.
        bundle: String,
        /// The stage.
        stage: Stage,
        /// Why; may be empty.
        reason: String,
    },
    /// Yes.
    Approve {
        /// To which promotion.
        id: PromotionId,
        /// To the plan whose digest begins so.
        plan: Option<String>,
        /// What else there is to say.
        note: String,
    },
    /// No.
    Reject {
        /// To which promotion.
        id: PromotionId,
        /// Why.
        reason: String,
    },
    /// Never mind.
    Cancel {
        /// Which promotion.
        id: PromotionId,
        /// Why; may be empty.
        reason: String,
    },
    /// Back to what was good.
    Rollback {
        /// The stage.
        stage: Stage,
        /// The bundle; `None` for the one before.
        to: Option<String>,
        /// Why.
        reason: String,
    },
    /// Why a stage or a promotion stands where it does.
    Why(String),
    /// Take the upstream as it is now.
    Adopt,
}

/// Longer lines are no commands.
const LINE_MAX: usize = 4_000;

/// Reads one line.
///
/// # Errors
/// The line is not a command, or lacks something; the hint says what.
pub fn parse(text: &str) -> Result<Line, Refusal> {
    if text.len() > LINE_MAX {
        return Err(invalid("the command is longer than 4000 bytes", "shorten it"));
    }
    let words = words::split(text);
    let Some((first, rest)) = words.split_first() else {
        return Ok(Line { ask: Ask::Help(None), repo: None, here: false });
    };
    let spec = verbs::find(&first.text)?;
    let parts = words::parts(spec, rest)?;
    let repo = parts.repo.as_deref().map(RepoName::new).transpose();
    let mut repo = repo.map_err(|error| invalid(&error.to_string(), usage(spec).as_str()))?;
    let here = parts.here;
    let ask = ask(spec, parts, &mut repo)?;
    Ok(Line { ask, repo, here })
}

fn ask(spec: &VerbSpec, mut parts: Parts, repo: &mut Option<RepoName>) -> Result<Ask, Refusal> {
    let ask = match spec.verb {
        Verb::Help => {
            let verb = parts.next().map(|word| verbs::find(&word.text)).transpose()?;
            Ask::Help(verb.map(|spec| spec.verb))
        }
        Verb::Status => Ask::Status(parts.next().map(|word| stage(&word.text)).transpose()?),
        Verb::Diff => Ask::Diff {
            left: need(spec, &mut parts, "a stage or a bundle")?,
            right: parts.next().map(|word| word.text),
        },
        Verb::Why => Ask::Why(need(spec, &mut parts, "a stage or a promotion")?),
        Verb::Promote => promote(spec, &mut parts)?,
        Verb::Rollback => rollback(spec, &mut parts)?,
        Verb::Approve => approve(spec, &mut parts)?,
        Verb::Reject => reject(spec, &mut parts)?,
        Verb::Cancel => Ask::Cancel { id: promotion(spec, &mut parts)?, reason: parts.prose() },
        Verb::Adopt => {
            if let Some(word) = parts.next() {
                let named = RepoName::new(&word.text);
                *repo = Some(named.map_err(|error| invalid(&error.to_string(), &usage(spec)))?);
            }
            Ask::Adopt
        }
    };
    match parts.next() {
        None => Ok(ask),
        Some(word) => {
            let message = format!("`{}` is one word too many for `{}`", word.text, spec.name);
            Err(invalid(&message, &usage(spec)))
        }
    }
}

fn promote(spec: &VerbSpec, parts: &mut Parts) -> Result<Ask, Refusal> {
    let bundle = need(spec, parts, "a bundle")?;
    let to = parts.to.take().ok_or_else(|| lacks(spec, "`to` and a stage"))?;
    let reason = parts.reason.take().unwrap_or_default();
    Ok(Ask::Promote { bundle, stage: stage(&to)?, reason })
}

fn rollback(spec: &VerbSpec, parts: &mut Parts) -> Result<Ask, Refusal> {
    let stage = stage(&need(spec, parts, "a stage")?)?;
    let reason = parts.reason.take().filter(|reason| !reason.is_empty());
    let reason = reason.ok_or_else(|| lacks(spec, "`--reason \"…\"`"))?;
    Ok(Ask::Rollback { stage, to: parts.to.take(), reason })
}

/// A word of hex digits behind the promotion is a digest, never the beginning
/// of a note: a note mistaken for a digest is refused, but a digest mistaken
/// for a note would approve whatever the plan is now.
fn approve(spec: &VerbSpec, parts: &mut Parts) -> Result<Ask, Refusal> {
    let id = promotion(spec, parts)?;
    let plan = parts.next_if(is_digest).map(|word| word.text.to_ascii_lowercase());
    Ok(Ask::Approve { id, plan, note: parts.prose() })
}

fn is_digest(word: &Word) -> bool {
    let hex = word.text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex && !word.quoted && (4..=64).contains(&word.text.len())
}

fn reject(spec: &VerbSpec, parts: &mut Parts) -> Result<Ask, Refusal> {
    let id = promotion(spec, parts)?;
    let reason = parts.prose();
    if reason.is_empty() {
        return Err(lacks(spec, "a reason"));
    }
    Ok(Ask::Reject { id, reason })
}

fn need(spec: &VerbSpec, parts: &mut Parts, what: &str) -> Result<String, Refusal> {
    parts.next().map(|word| word.text).ok_or_else(|| lacks(spec, what))
}

fn stage(text: &str) -> Result<Stage, Refusal> {
    Stage::new(text).map_err(|error| invalid(&error.to_string(), "`status` lists the stages"))
}

/// `P-12`, also as `p-12`, `#12` and `12`.
fn promotion(spec: &VerbSpec, parts: &mut Parts) -> Result<PromotionId, Refusal> {
    let text = need(spec, parts, "a promotion")?;
    let number = text.trim_start_matches('#');
    let number = number.strip_prefix("P-").or(number.strip_prefix("p-")).unwrap_or(number);
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match number.parse() {
        Ok(number) if plain => Ok(PromotionId::numbered(number)),
        _ => Err(invalid(&format!("`{text}` is not a promotion id"), "write it as `P-12`")),
    }
}

fn lacks(spec: &VerbSpec, what: &str) -> Refusal {
    invalid(&format!("`{}` needs {what}", spec.name), &usage(spec))
}

fn usage(spec: &VerbSpec) -> String {
    format!("write `{}`, for example `{}`", spec.usage, spec.example)
}

fn invalid(message: &str, hint: &str) -> Refusal {
    Refusal { kind: RefusalKind::Invalid, message: message.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Ask {
        parse(text).unwrap_or_else(|refusal| panic!("{text}: {refusal}")).ask
    }

    fn refused(text: &str) -> String {
        match parse(text) {
            Ok(line) => panic!("{text} was understood: {line:?}"),
            Err(refusal) => format!("{} · {}", refusal.message, refusal.hint),
        }
    }

    fn name(text: &str) -> Stage {
        Stage::new(text).unwrap()
    }

    #[test]
    fn every_example_of_the_table_parses_as_its_own_verb() {
        for spec in &VERBS {
            let parsed = parse(spec.example).unwrap_or_else(|e| panic!("{}: {e}", spec.example));
            let debug = format!("{:?}", parsed.ask).to_lowercase();
            assert!(debug.starts_with(spec.name), "{debug}");
        }
    }

    #[test]
    fn promote_reads_the_same_however_it_is_typed() {
        let meant = Ask::Promote {
            bundle: "b-7f3a".into(),
            stage: name("canary"),
            reason: "new retries".into(),
        };
        for text in [
            "promote b-7f3a to canary --reason \"new retries\"",
            "promote to canary b-7f3a --reason \"new retries\"",
            "promote --reason \"new retries\" b-7f3a to canary",
            "PROMOTE `b-7f3a` TO canary —reason “new retries”",
            "promote\u{a0}b-7f3a\u{202f}to canary --reason=\"new retries\"",
            "promote b-7f3a to canary –reason new retries",
            "promote b-7f3a --to canary --reason 'new retries'",
            "  promote   b-7f3a to\tcanary\u{200b} --reason „new retries“ ",
        ] {
            assert_eq!(ask(text), meant, "{text}");
        }
    }

    #[test]
    fn a_reason_without_quotes_never_swallows_the_target() {
        for text in
            ["rollback canary --reason too slow to b-1", "promote b-1 --reason typo to canary"]
        {
            assert!(refused(text).contains("quote"), "{text}: {}", refused(text));
        }
        assert_eq!(
            ask("rollback canary to b-1 --reason back to what was good"),
            Ask::Rollback {
                stage: name("canary"),
                to: Some("b-1".into()),
                reason: "back to what was good".into()
            }
        );
    }

    #[test]
    fn approve_takes_a_digest_only_where_it_can_be_one() {
        let approve = |plan: Option<&str>, note: &str| Ask::Approve {
            id: PromotionId::numbered(142),
            plan: plan.map(str::to_owned),
            note: note.into(),
        };
        assert_eq!(ask("approve P-142"), approve(None, ""));
        assert_eq!(ask("approve p-142 7F3A"), approve(Some("7f3a"), ""));
        assert_eq!(ask("approve #142 7f3a looks good"), approve(Some("7f3a"), "looks good"));
        assert_eq!(ask("approve 142 looks good"), approve(None, "looks good"));
        assert_eq!(ask("approve 142 added by me"), approve(Some("added"), "by me"));
        assert_eq!(ask("approve 142 \"added by me\""), approve(None, "added by me"));
    }

    #[test]
    fn prose_keeps_what_people_write() {
        let reject =
            |reason: &str| Ask::Reject { id: PromotionId::numbered(1), reason: reason.into() };
        assert_eq!(ask("reject P-1 it's not <@U1|bob>'s -- yet"), reject("it's not @bob's -- yet"));
        assert_eq!(ask("reject P-1 the --foo flag &lt;3"), reject("the --foo flag <3"));
        assert_eq!(ask("reject P-1 --reason \"no\""), reject("no"));
        assert_eq!(
            ask("reject P-1 go to <https://x.example/a|x.example/a>"),
            reject("go to x.example/a")
        );
    }

    #[test]
    fn options_may_stand_anywhere() {
        let line = parse("status --here canary --repo mesh/config").unwrap();
        assert_eq!(line.ask, Ask::Status(Some(name("canary"))));
        assert!(line.here);
        assert_eq!(line.repo.unwrap().as_str(), "mesh/config");
        assert_eq!(parse("adopt mesh/config").unwrap().repo.unwrap().as_str(), "mesh/config");
    }

    #[test]
    fn nothing_and_help_are_help() {
        assert_eq!(ask(""), Ask::Help(None));
        assert_eq!(ask(" \u{a0} "), Ask::Help(None));
        assert_eq!(ask("help promote"), Ask::Help(Some(Verb::Promote)));
        assert_eq!(ask("?"), Ask::Help(None));
    }

    #[test]
    fn refusals_say_what_is_missing_and_how_to_write_it() {
        let table = [
            ("promot b-1 to canary", "did you mean `promote`"),
            ("xyzzy", "`help` lists"),
            ("promote b-1", "`to` and a stage"),
            ("promote to canary", "needs a bundle"),
            ("promote b-1 to canary now", "one word too many"),
            ("promote b-1 to canary --resaon x", "did you mean `--reason`"),
            ("promote b-1 to canary to beta", "`to` is there twice"),
            ("rollback canary", "--reason"),
            ("rollback canary --reason \"\"", "--reason"),
            ("reject P-1", "needs a reason"),
            ("approve canary", "not a promotion id"),
            ("approve P-99999999999999999999999", "not a promotion id"),
            ("status no/such", "stage name"),
            ("status --repo config", "repository name"),
            ("status --repo", "needs a value"),
            ("promote b-1 to", "needs a value"),
            ("help promot", "did you mean `promote`"),
        ];
        for (text, part) in table {
            assert!(refused(text).contains(part), "{text}: {}", refused(text));
        }
        assert!(refused(&"x".repeat(5_000)).contains("longer"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(
            verb in "(promote|approve|reject|rollback|diff|status|why|adopt|help|)",
            rest in "([ a-z0-9<>@|\"'=“”—&;`]|--reason|--repo| to |\\PC){0,40}",
        ) {
            let _ = parse(&format!("{verb} {rest}"));
        }

        #[test]
        fn a_target_is_never_taken_from_a_quoted_reason(reason in "[a-z to]{1,30}") {
            let line = format!("promote b-1 --reason \"{reason}\" to canary");
            let parsed = parse(&line).map(|line| line.ask);
            let Ok(Ask::Promote { bundle, stage, .. }) = parsed else { panic!("{line}: {parsed:?}") };
            proptest::prop_assert_eq!((bundle.as_str(), stage.as_str()), ("b-1", "canary"));
        }
    }
}
