//! From the parts of a line to what is asked for, each part of its type.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::times::{self, Clock, Until};
use super::verbs::{self, Verb, VerbSpec};
use super::words::Parts;
use super::{PromotionId, Refusal, RepoName, Stage, invalid, lacks, repo, usage};
use crate::model::did_you_mean;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the table of verbs says what each is, and its fields are its parts"
)]
pub enum Ask {
    Help(Option<Verb>),
    Whoami,
    Status(Option<String>),
    Why(String),
    List {
        things: Things,
        stage: Option<Stage>,
    },
    Show(String),
    Diff {
        left: String,
        right: Option<String>,
        stage: Option<Stage>,
        resource: Option<String>,
    },
    Checks {
        bundle: String,
        envoy: Option<String>,
    },
    History(Stage),
    Audit(PromotionId),
    Promote {
        bundle: String,
        stage: Stage,
        reason: String,
        after: Option<Timestamp>,
        dry_run: bool,
    },
    Rollback {
        stage: Stage,
        to: Option<String>,
        reason: String,
    },
    Approve {
        id: PromotionId,
        plan: Option<String>,
        note: String,
    },
    Reject {
        id: PromotionId,
        reason: String,
    },
    Retract(PromotionId),
    Cancel {
        id: PromotionId,
        reason: String,
    },
    Abort {
        id: PromotionId,
        reason: String,
    },
    Pause {
        id: PromotionId,
        reason: String,
    },
    Resume(PromotionId),
    Advance {
        id: PromotionId,
        to: Option<u8>,
    },
    Retest {
        bundle: String,
        stage: Option<Stage>,
        envoy: Option<String>,
    },
    Pin {
        stage: Stage,
        bundle: Option<String>,
        until: Option<Timestamp>,
        reason: String,
    },
    Unpin(Stage),
    Veto {
        bundle: String,
        stage: Option<Stage>,
        reason: String,
    },
    Unveto {
        bundle: String,
        stage: Option<Stage>,
    },
    Lock {
        stage: Stage,
        lasts: Option<Duration>,
        reason: String,
    },
    Unlock {
        stage: Stage,
        steal: Option<String>,
    },
    Freeze {
        what: Freezing,
        until: Option<Timestamp>,
        reason: String,
    },
    Thaw(Freezing),
    Breakglass {
        bundle: String,
        stage: Stage,
        incident: String,
        reason: String,
    },
    Review {
        id: PromotionId,
        note: String,
    },
    Link,
    Subscribe {
        stage: Stage,
        events: Events,
    },
    Unsubscribe(Stage),
    Adopt,
}

/// Which of two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Things {
    /// Bundles.
    Bundles,
    /// Promotions.
    Promotions,
}

/// What is frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freezing {
    /// Every stage.
    All,
    /// One.
    Stage(Stage),
}

impl Freezing {
    /// The one stage, where it is one.
    pub fn stage(&self) -> Option<&Stage> {
        match self {
            Self::All => None,
            Self::Stage(stage) => Some(stage),
        }
    }
}

/// What a channel hears of: words from [`Events::WORDS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events(pub BTreeSet<String>);

impl Events {
    /// Everything that can be heard of.
    pub const WORDS: [&'static str; 4] = ["asked", "applying", "ended", "failed"];

    /// All of it.
    pub fn all() -> Self {
        Self(Self::WORDS.map(str::to_owned).into())
    }
}

impl Ask {
    /// The verb.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Help(_) => Verb::Help,
            Self::Whoami => Verb::Whoami,
            Self::Status(_) => Verb::Status,
            Self::Why(_) => Verb::Why,
            Self::List { .. } => Verb::List,
            Self::Show(_) => Verb::Show,
            Self::Diff { .. } => Verb::Diff,
            Self::Checks { .. } => Verb::Checks,
            Self::History(_) => Verb::History,
            Self::Audit(_) => Verb::Audit,
            Self::Promote { .. } => Verb::Promote,
            Self::Rollback { .. } => Verb::Rollback,
            Self::Approve { .. } => Verb::Approve,
            Self::Reject { .. } => Verb::Reject,
            Self::Retract(_) => Verb::Retract,
            Self::Cancel { .. } => Verb::Cancel,
            Self::Abort { .. } => Verb::Abort,
            Self::Pause { .. } => Verb::Pause,
            Self::Resume(_) => Verb::Resume,
            Self::Advance { .. } => Verb::Advance,
            Self::Retest { .. } => Verb::Retest,
            Self::Pin { .. } => Verb::Pin,
            Self::Unpin(_) => Verb::Unpin,
            Self::Veto { .. } => Verb::Veto,
            Self::Unveto { .. } => Verb::Unveto,
            Self::Lock { .. } => Verb::Lock,
            Self::Unlock { .. } => Verb::Unlock,
            Self::Freeze { .. } => Verb::Freeze,
            Self::Thaw(_) => Verb::Thaw,
            Self::Breakglass { .. } => Verb::Breakglass,
            Self::Review { .. } => Verb::Review,
            Self::Link => Verb::Link,
            Self::Subscribe { .. } => Verb::Subscribe,
            Self::Unsubscribe(_) => Verb::Unsubscribe,
            Self::Adopt => Verb::Adopt,
        }
    }
}

/// Reads the parts; the repository is there where the verb names one itself.
pub(super) fn read(
    spec: &'static VerbSpec,
    parts: Parts,
    clock: &Clock,
) -> Result<(Ask, Option<RepoName>), Refusal> {
    let mut form = Form { spec, parts, clock };
    if spec.verb == Verb::Adopt {
        let named = form.parts.next().map(|text| repo(spec, &text)).transpose()?;
        return Ok((Ask::Adopt, named));
    }
    let ask = match form.look()? {
        Some(ask) => ask,
        None => form.change()?,
    };
    Ok((ask, None))
}

struct Form<'a> {
    spec: &'static VerbSpec,
    parts: Parts,
    clock: &'a Clock,
}

impl Form<'_> {
    fn look(&mut self) -> Result<Option<Ask>, Refusal> {
        Ok(Some(match self.spec.verb {
            Verb::Help => {
                let verb = self.parts.next().map(|word| verbs::find(&word)).transpose()?;
                Ask::Help(verb.map(|spec| spec.verb))
            }
            Verb::Whoami => Ask::Whoami,
            Verb::Link => Ask::Link,
            Verb::Status => Ask::Status(self.parts.next()),
            Verb::Why => Ask::Why(self.next("a stage or a promotion")?),
            Verb::Show => Ask::Show(self.next("a bundle or a promotion")?),
            Verb::List => Ask::List { things: self.things()?, stage: self.next_stage()? },
            Verb::Diff => Ask::Diff {
                left: self.next("a stage or a bundle")?,
                right: self.parts.next(),
                stage: self.named_stage("stage")?,
                resource: self.parts.take("resource"),
            },
            Verb::Checks => Ask::Checks { bundle: self.bundle()?, envoy: self.parts.take("envoy") },
            Verb::History => Ask::History(self.stage()?),
            Verb::Audit => Ask::Audit(self.promotion()?),
            Verb::Subscribe => Ask::Subscribe { stage: self.stage()?, events: self.events()? },
            Verb::Unsubscribe => Ask::Unsubscribe(self.stage()?),
            _ => return Ok(None),
        }))
    }

    fn change(&mut self) -> Result<Ask, Refusal> {
        Ok(match self.spec.verb {
            Verb::Promote => self.promote()?,
            Verb::Rollback => Ask::Rollback {
                stage: self.stage()?,
                to: self.parts.take("to"),
                reason: self.text("reason", "`--reason \"…\"`")?,
            },
            Verb::Breakglass => Ask::Breakglass {
                bundle: self.bundle()?,
                stage: self.named_stage("to")?.ok_or_else(|| self.lacks("`to` and a stage"))?,
                incident: self.text("incident", "`--incident` and the incident's id")?,
                reason: self.text("reason", "`--reason \"…\"`")?,
            },
            Verb::Retest => Ask::Retest {
                bundle: self.bundle()?,
                stage: self.next_stage()?,
                envoy: self.parts.take("envoy"),
            },
            Verb::Pin
            | Verb::Unpin
            | Verb::Veto
            | Verb::Unveto
            | Verb::Lock
            | Verb::Unlock
            | Verb::Freeze
            | Verb::Thaw => self.guard()?,
            _ => self.of_promotion()?,
        })
    }

    fn promote(&mut self) -> Result<Ask, Refusal> {
        let bundle = self.next("a bundle")?;
        let stage = self.named_stage("to")?.ok_or_else(|| self.lacks("`to` and a stage"))?;
        let reason = self.parts.take("reason").unwrap_or_default();
        let after = self.until("after")?.and_then(Until::at);
        Ok(Ask::Promote { bundle, stage, reason, after, dry_run: self.parts.has("dry-run") })
    }

    fn of_promotion(&mut self) -> Result<Ask, Refusal> {
        let id = self.promotion()?;
        Ok(match self.spec.verb {
            Verb::Approve => {
                let plan = self.parts.next().map(|text| text.to_ascii_lowercase());
                Ask::Approve { id, plan, note: self.parts.prose() }
            }
            Verb::Reject => Ask::Reject { id, reason: self.reason()? },
            Verb::Retract => Ask::Retract(id),
            Verb::Cancel => Ask::Cancel { id, reason: self.parts.prose() },
            Verb::Abort => Ask::Abort { id, reason: self.parts.prose() },
            Verb::Pause => Ask::Pause { id, reason: self.parts.prose() },
            Verb::Resume => Ask::Resume(id),
            Verb::Advance => Ask::Advance { id, to: self.percent()? },
            _ => Ask::Review { id, note: self.parts.prose() },
        })
    }

    fn guard(&mut self) -> Result<Ask, Refusal> {
        Ok(match self.spec.verb {
            Verb::Pin => Ask::Pin {
                stage: self.stage()?,
                bundle: self.parts.next(),
                until: self.until("until")?.and_then(Until::at),
                reason: self.reason()?,
            },
            Verb::Unpin => Ask::Unpin(self.stage()?),
            Verb::Veto => Ask::Veto {
                bundle: self.bundle()?,
                stage: self.named_stage("in")?,
                reason: self.reason()?,
            },
            Verb::Unveto => Ask::Unveto { bundle: self.bundle()?, stage: self.named_stage("in")? },
            Verb::Lock => {
                Ask::Lock { stage: self.stage()?, lasts: self.span("for")?, reason: self.reason()? }
            }
            Verb::Unlock => Ask::Unlock { stage: self.stage()?, steal: self.parts.take("steal") },
            Verb::Freeze => {
                let what = self.frozen()?;
                let until = self.until("until")?;
                let until = until.ok_or_else(|| self.lacks("`until` and a time, or `forever`"))?;
                Ask::Freeze { what, until: until.at(), reason: self.reason()? }
            }
            _ => Ask::Thaw(self.frozen()?),
        })
    }

    fn lacks(&self, what: &str) -> Refusal {
        lacks(self.spec, what)
    }

    fn invalid(&self, message: &str) -> Refusal {
        invalid(message, &usage(self.spec))
    }

    fn next(&mut self, what: &str) -> Result<String, Refusal> {
        self.parts.next().ok_or_else(|| self.lacks(what))
    }

    fn bundle(&mut self) -> Result<String, Refusal> {
        self.next("a bundle")
    }

    fn reason(&mut self) -> Result<String, Refusal> {
        match self.parts.prose() {
            reason if reason.is_empty() => Err(self.lacks("a reason")),
            reason => Ok(reason),
        }
    }

    fn text(&mut self, name: &'static str, what: &str) -> Result<String, Refusal> {
        let text = self.parts.take(name).filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| self.lacks(what))
    }

    fn stage(&mut self) -> Result<Stage, Refusal> {
        stage(&self.next("a stage")?)
    }

    fn next_stage(&mut self) -> Result<Option<Stage>, Refusal> {
        self.parts.next().map(|text| stage(&text)).transpose()
    }

    fn named_stage(&mut self, name: &'static str) -> Result<Option<Stage>, Refusal> {
        self.parts.take(name).map(|text| stage(&text)).transpose()
    }

    fn frozen(&mut self) -> Result<Freezing, Refusal> {
        let text = self.next("a stage or `all`")?;
        match text.eq_ignore_ascii_case("all") {
            true => Ok(Freezing::All),
            false => stage(&text).map(Freezing::Stage),
        }
    }

    fn until(&mut self, name: &'static str) -> Result<Option<Until>, Refusal> {
        let Some(text) = self.parts.take(name) else { return Ok(None) };
        let words: Vec<_> = text.split_whitespace().collect();
        match times::moment(&words, self.clock) {
            Ok((until, taken)) if taken == words.len() => Ok(Some(until)),
            Ok(_) => Err(self.invalid(&format!("`{text}` is more than a time"))),
            Err(error) => Err(self.invalid(&error)),
        }
    }

    fn span(&mut self, name: &'static str) -> Result<Option<Duration>, Refusal> {
        let span = self.parts.take(name).map(|text| times::span(&text)).transpose();
        span.map_err(|error| self.invalid(&error))
    }

    fn percent(&mut self) -> Result<Option<u8>, Refusal> {
        let Some(text) = self.parts.take("to") else { return Ok(None) };
        match text.trim_end_matches('%').parse() {
            Ok(percent) if (1..=100).contains(&percent) => Ok(Some(percent)),
            _ => Err(self.invalid(&format!("`{text}` is no share from 1% to 100%"))),
        }
    }

    fn things(&mut self) -> Result<Things, Refusal> {
        let text = self.next("`bundles` or `promotions`")?;
        match text.to_lowercase().as_str() {
            "bundles" => Ok(Things::Bundles),
            "promotions" => Ok(Things::Promotions),
            _ => Err(self.invalid(&format!("`{text}` can't be listed"))),
        }
    }

    fn events(&mut self) -> Result<Events, Refusal> {
        let Some(text) = self.parts.next() else { return Ok(Events::all()) };
        let mut events = BTreeSet::new();
        for word in text.to_lowercase().split(',').filter(|word| !word.is_empty()) {
            match word {
                "all" => events.extend(Events::all().0),
                word if Events::WORDS.contains(&word) => {
                    events.insert(word.to_owned());
                }
                word => {
                    let meant = did_you_mean(word, Events::WORDS).unwrap_or_default();
                    let message = format!("`{word}` is nothing that happens; {meant}");
                    return Err(self.invalid(message.trim_end_matches([';', ' '])));
                }
            }
        }
        Ok(Events(events))
    }

    /// `P-12`, also as `p-12`, `p12`, `#12` and `12`.
    fn promotion(&mut self) -> Result<PromotionId, Refusal> {
        let text = self.next("a promotion")?;
        promotion(&text).ok_or_else(|| {
            invalid(&format!("`{text}` is not a promotion id"), "write it as `P-12`")
        })
    }
}

fn stage(text: &str) -> Result<Stage, Refusal> {
    Stage::new(text).map_err(|error| invalid(&error.to_string(), "`status` lists the stages"))
}

/// The promotion that a text names, if it looks like one.
pub fn promotion(text: &str) -> Option<PromotionId> {
    let number = text.trim_start_matches('#');
    let number = number.strip_prefix(['P', 'p']).unwrap_or(number);
    let number = number.strip_prefix('-').unwrap_or(number);
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| plain).map(PromotionId::numbered)
}
