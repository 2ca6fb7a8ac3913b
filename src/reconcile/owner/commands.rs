//! What people ask for, and what they are told.

use crate::model::{Actor, RepoName};
use crate::promote::{self, Decision, Promotion, Refusal, RefusalKind, Status};
use crate::reconcile::event::{Adoption, Reply};
use crate::reconcile::handle::{Command, Receipt};
use crate::reconcile::record::RecordError;
use crate::reconcile::resolve::find_bundle;
use crate::reconcile::sync::Mode;
use crate::reconcile::view::MirrorState;

use super::Owner;

impl Owner {
    pub(super) async fn command(
        &mut self,
        actor: Actor,
        command: Command,
        reply: Reply,
    ) -> Result<(), RecordError> {
        if let Command::Adopt { repo } = command {
            self.adopt(repo, Adoption { by: actor, reply });
            return Ok(());
        }
        let answer = match self.event_of(actor.clone(), command) {
            Err(refusal) => Err(refusal),
            Ok(event) => match self.decide(event, None, &actor).await {
                Ok(step) => step.map(|decision| self.receipt(&decision)),
                Err(error) => {
                    let hint = "the log has the reason; nothing was changed";
                    let refusal =
                        Refusal::new(RefusalKind::Unavailable, "it could not be recorded", hint);
                    let _ = reply.send(Err(refusal));
                    return Err(error);
                }
            },
        };
        let _ = reply.send(answer);
        self.fleet().await
    }

    pub(super) fn event_of(&self, by: Actor, command: Command) -> Result<promote::Event, Refusal> {
        Ok(match command {
            Command::Promote { repo, stage, bundle, reason } => {
                let bundle = find_bundle(&self.state, &repo, &bundle)?;
                promote::Event::Request { repo, stage, bundle, by, reason }
            }
            Command::Approve { id, plan, note } => promote::Event::Approve { id, by, plan, note },
            Command::Reject { id, reason } => promote::Event::Reject { id, by, reason },
            Command::Cancel { id, reason } => promote::Event::Cancel { id, by, reason },
            Command::Rollback { repo, stage, to, reason } => {
                let find = |text: String| find_bundle(&self.state, &repo, &text);
                let to = to.map(find).transpose()?;
                promote::Event::Rollback { repo, stage, to, by, reason }
            }
            Command::Adopt { repo } => {
                let message = format!("{repo} is adopted elsewhere");
                return Err(Refusal::new(RefusalKind::Invalid, message, "this is our mistake"));
            }
        })
    }

    pub(super) fn adopt(&mut self, repo: RepoName, adoption: Adoption) {
        if !self.mirrors.contains_key(&repo) {
            let message = format!("{repo} follows no upstream");
            let hint = "name a repository that the configuration gives an upstream";
            let _ = adoption.reply.send(Err(Refusal::new(RefusalKind::NotFound, message, hint)));
            return;
        }
        let mirror = self.mirrors.get_mut(&repo);
        match mirror.filter(|mirror| matches!(mirror.state, MirrorState::Diverged { .. })) {
            Some(mirror) => {
                mirror.adopt.push(adoption);
                self.begin_sync(&repo, Mode::Adopt);
            }
            None => {
                let message = format!("{repo} has no upstream that was rewritten");
                let hint = "there is nothing to adopt; `status` shows the mirror";
                let refusal = Refusal::new(RefusalKind::Conflict, message, hint);
                let _ = adoption.reply.send(Err(refusal));
            }
        }
    }

    pub(super) fn receipt(&self, decision: &Decision) -> Receipt {
        let about = decision.about.as_ref().and_then(|id| self.state.promotions.get(id));
        let message = match about {
            Some(promotion) => sentence(promotion),
            None => decision.message.lines().next().unwrap_or("done").to_owned(),
        };
        Receipt { promotion: about.cloned(), message, already: decision.already }
    }
}

fn sentence(promotion: &Promotion) -> String {
    let Promotion { id, bundle, stage, status, .. } = promotion;
    match status {
        Status::Gated => {
            let closed = promotion.gates.iter().find(|gate| !gate.open);
            let wait = closed.map_or(String::new(), |gate| {
                format!(", waiting for {}: {}", gate.kind.word(), gate.detail)
            });
            format!("{id}: {bundle} to {stage}{wait}")
        }
        Status::Applying => format!("{id}: {bundle} is being applied in {stage}"),
        _ => {
            let reason = promotion.ending.as_ref().map_or("", |ending| ending.reason.as_str());
            format!("{id}: {} ({reason})", status.word())
        }
    }
}
