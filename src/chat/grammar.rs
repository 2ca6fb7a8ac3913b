//! What people type, as a value.
//!
//! Pure. One table of verbs ([`VERBS`]) gives the grammar its words, and help,
//! completions and documentation their text. Nothing is guessed where a guess
//! could move a stage: what is not understood is refused with the usage and
//! the nearest verb.

mod ask;
mod docs;
mod times;
mod verbs;
mod words;

use crate::model::{PromotionId, RepoName, Stage};
use crate::promote::{Refusal, RefusalKind};

pub use ask::{Ask, Events, Freezing, Things, promotion as promotion_id};
pub use docs::{Entry as PaletteEntry, completions, document, palette};
pub use times::{Clock, Until, moment, told};
pub use verbs::{Arg, COMMON, Family, Kind, Runs, Seat, VERBS, Verb, VerbSpec};
pub use words::looks_like;

/// One line as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What is asked for.
    pub ask: Ask,
    /// `--repo`.
    pub repo: Option<RepoName>,
    /// `--here`: answer so that the channel sees it.
    pub here: bool,
    /// `--json`: answer with the record itself.
    pub json: bool,
}

impl Line {
    /// The verb that it begins with.
    pub fn verb(&self) -> Verb {
        self.ask.verb()
    }
}

/// Longer lines are no commands.
const LINE_MAX: usize = 4_000;

/// Reads one line.
///
/// # Errors
/// The line is not a command, or lacks something; the hint says what.
pub fn parse(text: &str, clock: &Clock) -> Result<Line, Refusal> {
    if text.len() > LINE_MAX {
        return Err(invalid("the command is longer than 4000 bytes", "shorten it"));
    }
    let words = words::split(text);
    let Some((first, rest)) = words.split_first() else {
        return Ok(Line { ask: Ask::Help(None), repo: None, here: false, json: false });
    };
    let spec = verbs::find(&first.text)?;
    let mut parts = words::parts(spec, rest, clock)?;
    let named = parts.take("repo").map(|text| repo(spec, &text)).transpose()?;
    let (here, json) = (parts.has("here"), parts.has("json"));
    let (ask, of_ask) = ask::read(spec, parts, clock)?;
    Ok(Line { ask, repo: named.or(of_ask), here, json })
}

fn repo(spec: &VerbSpec, text: &str) -> Result<RepoName, Refusal> {
    RepoName::new(text).map_err(|error| invalid(&error.to_string(), &usage(spec)))
}

fn lacks(spec: &VerbSpec, what: &str) -> Refusal {
    invalid(&format!("`{}` needs {what}", spec.name), &usage(spec))
}

fn usage(spec: &VerbSpec) -> String {
    format!("write `{}`, for example `{}`", spec.usage(), spec.example)
}

fn invalid(message: &str, hint: &str) -> Refusal {
    Refusal { kind: RefusalKind::Invalid, message: message.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    /// Saturday, 04:45 UTC.
    fn clock() -> Clock {
        Clock { now: "2026-11-21T04:45:00Z".parse().unwrap(), zone: TimeZone::UTC }
    }

    fn parse(text: &str) -> Result<Line, Refusal> {
        super::parse(text, &clock())
    }

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
            after: None,
            dry_run: false,
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
    fn words_with_a_value_stand_in_any_order() {
        let at = |text: &str| Some(text.parse().unwrap());
        let monday = at("2026-11-23T09:00:00Z");
        let freeze = Ask::Freeze {
            what: Freezing::Stage(name("release")),
            until: monday,
            reason: "year-end".into(),
        };
        for text in [
            "freeze release until mon 09:00 year-end",
            "freeze until mon 09:00 release year-end",
            "freeze release --until \"mon 09:00\" --reason year-end",
            "freeze release until 2026-11-23T09:00Z year-end",
            "freeze until Monday 18:00 Asia/Tokyo release “year-end”",
        ] {
            assert_eq!(ask(text), freeze, "{text}");
        }
        let veto = |stage: Option<&str>, reason: &str| Ask::Veto {
            bundle: "b-1".into(),
            stage: stage.map(name),
            reason: reason.into(),
        };
        assert_eq!(
            ask("veto b-1 in release drops headers"),
            veto(Some("release"), "drops headers")
        );
        assert_eq!(
            ask("veto in release b-1 drops headers"),
            veto(Some("release"), "drops headers")
        );
        assert_eq!(ask("veto b-1 \"hangs in canary\""), veto(None, "hangs in canary"));
        assert!(refused("veto b-1 hangs in canary").contains("`in` could be part of the reason"));
        assert_eq!(
            ask("lock canary for 2h waiting for kim"),
            Ask::Lock {
                stage: name("canary"),
                lasts: Some(std::time::Duration::from_secs(7200)),
                reason: "waiting for kim".into()
            }
        );
        assert!(refused("lock canary waiting for 2h").contains("`for` could be part"));
        let pin = |bundle: Option<&str>, until, reason: &str| Ask::Pin {
            stage: name("release"),
            bundle: bundle.map(str::to_owned),
            until,
            reason: reason.into(),
        };
        assert_eq!(ask("pin release the launch"), pin(None, None, "the launch"));
        assert_eq!(
            ask("pin release b-7 until 2h x"),
            pin(Some("b-7"), at("2026-11-21T06:45:00Z"), "x")
        );
        assert_eq!(
            ask("advance p142 to 25%"),
            Ask::Advance { id: PromotionId::numbered(142), to: Some(25) }
        );
    }

    #[test]
    fn a_channel_hears_of_what_it_names() {
        let events = |words: &[&str]| Events(words.iter().map(|word| (*word).to_owned()).collect());
        let subscribe = |events| Ask::Subscribe { stage: name("release"), events };
        assert_eq!(ask("subscribe release"), subscribe(Events::all()));
        assert_eq!(ask("subscribe release all"), subscribe(Events::all()));
        assert_eq!(ask("subscribe release Failed,ended"), subscribe(events(&["ended", "failed"])));
    }

    #[test]
    fn options_may_stand_anywhere() {
        let line = parse("status --here canary --repo mesh/config").unwrap();
        assert_eq!(line.ask, Ask::Status(Some("canary".into())));
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
            ("promote b-1 to canary --yes", "nothing skips"),
            ("freeze all year-end", "needs `until`"),
            ("freeze all until someday why", "is not a time"),
            ("freeze all until mon 09:00", "needs a reason"),
            ("advance P-1 to 0%", "no share"),
            ("advance P-1 to lots", "no share"),
            ("lock canary for ever why", "is not a duration"),
            ("list cells", "can't be listed"),
            ("subscribe release endd", "did you mean `ended`"),
            ("breakglass b-1 to release --reason \"x\"", "--incident"),
            ("breakglass b-1 --incident 7 --reason \"x\"", "`to` and a stage"),
            ("rollback canary --reason", "needs a value"),
            ("rollback canary", "--reason"),
            ("rollback canary --reason \"\"", "--reason"),
            ("reject P-1", "needs a reason"),
            ("approve canary", "not a promotion id"),
            ("approve P-99999999999999999999999", "not a promotion id"),
            ("history no/such", "stage name"),
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
            verb in "(promote|approve|reject|rollback|diff|status|why|adopt|help|pin|veto|lock|freeze|advance|subscribe|)",
            rest in "([ a-z0-9<>@|\"'=“”—&;`]|--reason|--repo| to | until | in | for |mon 09:00|\\PC){0,40}",
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
