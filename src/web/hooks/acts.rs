//! From what was asked for to what the reconciler is asked, with every name
//! resolved: what a preview shows is what its yes does.

use jiff::Timestamp;

use super::choose;
use super::talk::Talk;
use crate::chat::{Ask, Freezing, Line, Preview, clean, told};
use crate::model::{Actor, BundleId, Person, PromotionId, RepoName, Stage};
use crate::promote::{GateKind, Promotion, Refusal, RefusalKind};
use crate::reconcile::{Act, Command, MirrorState, View};

/// A command, and what it means in words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Intent {
    pub(super) command: Command,
    pub(super) preview: Preview,
    /// Whoever set what is taken away, and is told.
    pub(super) tells: Option<Person>,
}

/// A request, now or not before a time.
pub(super) fn promote(
    repo: RepoName,
    stage: Stage,
    bundle: String,
    reason: String,
    after: Option<Timestamp>,
) -> Command {
    match after {
        None => Command::Promote { repo, stage, bundle, reason },
        Some(after) => Command::Act(Act::Schedule { repo, stage, bundle, reason, after }),
    }
}

/// Resolves a line that changes something.
pub(super) fn intent(talk: &Talk<'_>, line: &Line, view: &View) -> Result<Intent, Refusal> {
    let acts = Acts { talk, line, view };
    match &line.ask {
        Ask::Promote { bundle, stage, reason, after, .. } => {
            acts.promote(bundle, stage, reason, *after)
        }
        Ask::Rollback { stage, to, reason } => acts.rollback(stage, to.as_deref(), reason),
        Ask::Retest { bundle, stage, envoy } => {
            acts.retest(bundle, stage.as_ref(), envoy.as_deref())
        }
        Ask::Veto { bundle, stage, reason } => acts.veto(bundle, stage.as_ref(), Some(reason)),
        Ask::Unveto { bundle, stage } => acts.veto(bundle, stage.as_ref(), None),
        Ask::Freeze { what, until, reason } => acts.freeze(what, *until, reason),
        Ask::Thaw(what) => acts.thaw(what),
        Ask::Adopt => acts.adopt(),
        Ask::Pin { stage, .. }
        | Ask::Unpin(stage)
        | Ask::Lock { stage, .. }
        | Ask::Unlock { stage, .. } => acts.of_stage(stage),
        _ => acts.of_promotion(),
    }
}

struct Acts<'a> {
    talk: &'a Talk<'a>,
    line: &'a Line,
    view: &'a View,
}

impl Acts<'_> {
    fn repo(&self, stage: Option<&Stage>) -> Result<RepoName, Refusal> {
        let default = self.talk.slack.default_repo.as_ref();
        let repo = choose::repo(self.view, self.line.repo.as_ref(), default, stage)?;
        if let Some(stage) = stage {
            choose::stage(self.view, &repo, stage)?;
        }
        Ok(repo)
    }

    /// A moment as it was understood.
    fn at(&self, at: Timestamp) -> String {
        told(at, &self.talk.slack.zone)
    }

    fn until(&self, until: Option<Timestamp>) -> String {
        match until {
            Some(until) => format!("until {}", self.at(until)),
            None => "until somebody ends it".into(),
        }
    }

    fn promote(
        &self,
        source: &str,
        stage: &Stage,
        reason: &str,
        after: Option<Timestamp>,
    ) -> Result<Intent, Refusal> {
        let repo = self.repo(Some(stage))?;
        let bundle = choose::source(self.view, &repo, source)?;
        let mut preview = safe(format!("*{stage}* of {repo} is asked to take `{bundle}`"));
        if bundle.as_str() != source {
            preview.lines.push(format!("`{}` is `{bundle}`", clean(source, 80)));
        }
        if let Some(after) = after {
            preview.lines.push(format!("not before {}", self.at(after)));
        }
        let command = promote(repo, stage.clone(), bundle.to_string(), reason.to_owned(), after);
        Ok(plain(command, preview))
    }

    fn rollback(&self, stage: &Stage, to: Option<&str>, reason: &str) -> Result<Intent, Refusal> {
        let repo = self.repo(Some(stage))?;
        let to = to.map(|text| choose::source(self.view, &repo, text)).transpose()?;
        let target = match &to {
            Some(bundle) => format!("to `{bundle}`"),
            None => "to what was good before".into(),
        };
        let preview = danger(format!("*{stage}* of {repo} goes back {target}, and is held there"));
        let (stage, reason) = (stage.clone(), reason.to_owned());
        let to = to.map(|bundle| bundle.to_string());
        Ok(plain(Command::Rollback { repo, stage, to, reason }, preview))
    }

    fn retest(
        &self,
        bundle: &str,
        stage: Option<&Stage>,
        version: Option<&str>,
    ) -> Result<Intent, Refusal> {
        let repo = self.repo(stage)?;
        let bundle = choose::source(self.view, &repo, bundle)?;
        let of = stage.map_or("every stage".to_owned(), |stage| format!("*{stage}*"));
        let preview = safe(format!("The smoke cells of `{bundle}` for {of} run again"));
        let (stage, version) = (stage.cloned(), version.map(str::to_owned));
        let act = Act::Retest { repo, bundle: bundle.to_string(), stage, version };
        Ok(plain(Command::Act(act), preview))
    }

    /// Sets a veto, or without a reason ends one.
    fn veto(
        &self,
        bundle: &str,
        stage: Option<&Stage>,
        reason: Option<&str>,
    ) -> Result<Intent, Refusal> {
        let repo = self.repo(stage)?;
        let id = choose::source(self.view, &repo, bundle)?;
        let of = stage.map_or("any stage".to_owned(), |stage| format!("*{stage}*"));
        let (bundle, stage) = (id.to_string(), stage.cloned());
        let (act, preview, tells) = match reason {
            Some(reason) => {
                let preview = safe(format!("`{id}` is kept out of {of}"));
                (Act::Veto { repo, bundle, stage, reason: reason.to_owned() }, preview, None)
            }
            None => {
                let tells = self.vetoed_by(&id, stage.as_ref());
                let preview = danger(format!("The veto of `{id}` for {of} ends"));
                (Act::Unveto { repo, bundle, stage }, preview, tells)
            }
        };
        Ok(Intent { command: Command::Act(act), preview, tells })
    }

    fn vetoed_by(&self, bundle: &BundleId, stage: Option<&Stage>) -> Option<Person> {
        let vetoes = &self.view.state.bundles.get(bundle)?.vetoes;
        vetoes.iter().find(|veto| veto.stage.as_ref() == stage)?.by.person.clone()
    }

    fn freeze(
        &self,
        what: &Freezing,
        until: Option<Timestamp>,
        reason: &str,
    ) -> Result<Intent, Refusal> {
        let repo = self.repo(what.stage())?;
        let of = all_or(what.stage());
        let preview = safe(format!("{of} of {repo} takes nothing {}", self.until(until)));
        let (stage, reason) = (what.stage().cloned(), reason.to_owned());
        Ok(plain(Command::Act(Act::Freeze { repo, stage, until, reason }), preview))
    }

    fn thaw(&self, what: &Freezing) -> Result<Intent, Refusal> {
        let repo = self.repo(what.stage())?;
        let preview = danger(format!("The freeze of {} of {repo} ends", all_or(what.stage())));
        let stage = what.stage().cloned();
        let frozen = self.view.state.freezes.get(&(repo.clone(), stage.clone()));
        let tells = frozen.and_then(|freeze| freeze.by.person.clone());
        Ok(Intent { command: Command::Act(Act::Thaw { repo, stage }), preview, tells })
    }

    fn of_stage(&self, stage: &Stage) -> Result<Intent, Refusal> {
        let repo = self.repo(Some(stage))?;
        let slot = self.view.state.slot(&repo, stage);
        let setter = |by: Option<&Actor>| by.and_then(|by| by.person.clone());
        let name = format!("*{stage}* of {repo}");
        let stage = stage.clone();
        let (act, preview, tells) = match self.line.ask.clone() {
            Ask::Pin { bundle, until, reason, .. } => {
                let bundle = bundle.map(|text| choose::source(self.view, &repo, &text));
                let bundle = bundle.transpose()?.map(|bundle| bundle.to_string());
                let at = bundle.as_ref().map_or("what it serves".into(), |id| format!("`{id}`"));
                let preview = safe(format!("{name} stays at {at} {}", self.until(until)));
                (Act::Pin { repo, stage, bundle, until, reason }, preview, None)
            }
            Ask::Lock { lasts, reason, .. } => {
                let now = self.talk.clock().now;
                let until = lasts.and_then(|lasts| now.checked_add(lasts).ok());
                let preview = safe(format!("Only you move {name} {}", self.until(until)));
                (Act::Lock { repo, stage, until, reason }, preview, None)
            }
            Ask::Unlock { steal, .. } => {
                let tells = steal.as_ref().and(setter(slot.lock.as_ref().map(|lock| &lock.by)));
                let preview = danger(format!("The lock of {name} opens"));
                (Act::Unlock { repo, stage, steal }, preview, tells)
            }
            _ => {
                let pin = slot.pin.as_ref().map(|pin| &pin.by);
                let tells = setter(pin.or(slot.hold.as_ref().map(|hold| &hold.by)));
                let preview = danger(format!("{name} is pinned and held no more"));
                (Act::Unpin { repo, stage }, preview, tells)
            }
        };
        Ok(Intent { command: Command::Act(act), preview, tells })
    }

    /// Adopting concerns mirrors: one without a pipeline is still one, and the
    /// only one that diverged needs no name.
    fn adopt(&self) -> Result<Intent, Refusal> {
        let diverged = |state: &MirrorState| matches!(state, MirrorState::Diverged { .. });
        let mirrors = self.view.mirrors.iter();
        let mut wanting = mirrors.filter(|(_, mirror)| diverged(&mirror.state));
        let repo = match (&self.line.repo, wanting.next(), wanting.next()) {
            (None, Some((only, _)), None) => only.clone(),
            _ => self.repo(None)?,
        };
        let preview = danger(format!("*{repo}* takes its rewritten upstream as it is now"));
        Ok(plain(Command::Adopt { repo }, preview))
    }

    fn of_promotion(&self) -> Result<Intent, Refusal> {
        let (command, preview) = match self.line.ask.clone() {
            Ask::Approve { id, plan, note } => {
                let plan = Some(match plan {
                    Some(plan) => plan,
                    None => return Err(unnamed_plan(choose::promotion(self.view, &id)?)),
                });
                (Command::Approve { id, plan, note }, safe(String::new()))
            }
            Ask::Reject { id, reason } => (Command::Reject { id, reason }, safe(String::new())),
            Ask::Cancel { id, reason } => {
                let preview = danger(format!("The request {} is taken back", self.named(&id)?));
                (Command::Cancel { id, reason }, preview)
            }
            Ask::Retract(id) => {
                let preview = safe(format!("Your yes to {} is taken back", self.named(&id)?));
                (Command::Act(Act::Retract { id }), preview)
            }
            Ask::Abort { id, reason } => {
                let reason = or_said(reason);
                (Command::Act(Act::Abort { id, reason }), safe(String::new()))
            }
            Ask::Pause { id, reason } => {
                let reason = or_said(reason);
                (Command::Act(Act::Pause { id, reason }), safe(String::new()))
            }
            Ask::Resume(id) => {
                let preview = danger(format!("{} goes on", self.named(&id)?));
                (Command::Act(Act::Resume { id }), preview)
            }
            Ask::Advance { id, to } => {
                let far = to.map_or("to the next step".into(), |to| format!("to {to}%"));
                let preview = danger(format!("{} goes on {far}", self.named(&id)?));
                (Command::Act(Act::Advance { id, to: to.map(u32::from) }), preview)
            }
            Ask::Review { id, note } => {
                let title =
                    format!("You sign what was done past the gates by {}", self.named(&id)?);
                (Command::Act(Act::Review { id, note: or_said(note) }), safe(title))
            }
            other => {
                let message = format!("`{}` changes nothing", other.verb().spec().name);
                return Err(Refusal::new(RefusalKind::Invalid, message, "`help` lists what does"));
            }
        };
        Ok(plain(command, preview))
    }

    /// A promotion, and what it is about.
    fn named(&self, id: &PromotionId) -> Result<String, Refusal> {
        let promotion = choose::promotion(self.view, id)?;
        Ok(format!("{id} (*{}* ← `{}`)", promotion.stage, promotion.bundle))
    }
}

/// A yes names its plan: without one it would be for whatever the plan is by
/// now.
pub(super) fn unnamed_plan(promotion: &Promotion) -> Refusal {
    let Promotion { id, bundle, stage, plan, .. } = promotion;
    let digest: String = plan.digest.to_string().chars().take(12).collect();
    let message = format!(
        "`approve {id}` does not say to which plan; it is `{digest}` now, for {bundle} of {stage}"
    );
    let hint = format!("look at the card or the diff, then write `approve {id} {digest}`");
    Refusal::new(RefusalKind::Invalid, message, hint)
}

/// What was done past the gates, and which of them.
pub(super) struct Urgent {
    pub(super) repo: RepoName,
    pub(super) stage: Stage,
    pub(super) bundle: String,
    pub(super) incident: String,
    pub(super) reason: String,
    pub(super) skip: Vec<GateKind>,
    pub(super) typed: String,
}

impl Urgent {
    pub(super) fn command(self) -> Command {
        let Self { repo, stage, bundle, incident, reason, skip, typed } = self;
        Command::Act(Act::BreakGlass { repo, stage, bundle, incident, reason, skip, typed })
    }
}

/// The safe direction must not fail for want of words.
fn or_said(reason: String) -> String {
    if reason.is_empty() { "said in Slack, without a reason".into() } else { reason }
}

fn all_or(stage: Option<&Stage>) -> String {
    stage.map_or("Every stage".into(), |stage| format!("*{stage}*"))
}

fn plain(command: Command, preview: Preview) -> Intent {
    Intent { command, preview, tells: None }
}

fn safe(title: String) -> Preview {
    Preview { title, danger: false, ..Preview::default() }
}

fn danger(title: String) -> Preview {
    Preview { title, danger: true, ..Preview::default() }
}
