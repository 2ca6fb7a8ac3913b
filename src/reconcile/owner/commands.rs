//! What people ask for, and what they are told.

use crate::model::{Actor, RepoName};
use crate::promote::{Refusal, RefusalKind};
use crate::reconcile::event::{Adoption, Reply};
use crate::reconcile::handle::{Command, Receipt};
use crate::reconcile::record::RecordError;
use crate::reconcile::resolve::event_of;
use crate::reconcile::sync::Mode;
use crate::reconcile::view::MirrorState;

use super::Owner;
use super::nodes::Look;

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
        let answer = match event_of(&self.state, actor.clone(), command) {
            Err(refusal) => Err(refusal),
            Ok(event) => match self.decide(event, None, &actor).await {
                Ok(step) => step.map(|decision| Receipt::of(&self.state, &decision)),
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
        self.fleet(Look::News).await
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
}
