//! What rules say and expect on a [`Line`], as sentences of the protocol that
//! are the same in both variants.

use super::answer::Answer;
use super::line::Line;
use super::message::{Message, names};
use super::rule::{Stop, ensure, fail};
use super::wait::Wait;
use crate::model::ResourceKind;

/// The type that a stream is asked about to know that the server read on.
const PROBE: ResourceKind = ResourceKind::Listeners;

impl Line {
    /// Asks for `wanted`, and in state of the world for nothing else from now
    /// on; nothing given is the legacy wildcard where it is the first request.
    pub(super) async fn ask<S: AsRef<str>>(
        &mut self,
        kind: ResourceKind,
        wanted: &[S],
    ) -> Result<(), Stop> {
        let delta = self.transport.is_delta();
        let message = self.about(kind).names(wanted);
        let talk = self.talk(kind);
        if !delta {
            talk.names.clear();
        }
        talk.names.extend(wanted.iter().map(|name| name.as_ref().to_owned()));
        let (version, nonce) = (talk.taken.clone(), talk.nonce.clone());
        match delta {
            true => self.say(message).await,
            false => self.say(message.version(&version).nonce(&nonce)).await,
        }
    }

    /// Asks for `more` beside what was asked for.
    pub(super) async fn add<S: AsRef<str>>(
        &mut self,
        kind: ResourceKind,
        more: &[S],
    ) -> Result<(), Stop> {
        if self.transport.is_delta() {
            return self.ask(kind, more).await;
        }
        let mut all: Vec<String> = self.talk(kind).names.iter().cloned().collect();
        all.extend(more.iter().map(|name| name.as_ref().to_owned()));
        self.ask(kind, &all).await
    }

    /// Asks for `less` no more.
    pub(super) async fn drop_names<S: AsRef<str>>(
        &mut self,
        kind: ResourceKind,
        less: &[S],
    ) -> Result<(), Stop> {
        let gone = |name: &String| less.iter().any(|one| one.as_ref() == name);
        self.talk(kind).names.retain(|name| !gone(name));
        if self.transport.is_delta() {
            let message = self.about(kind).without(less);
            return self.say(message).await;
        }
        let left: Vec<String> = self.talk(kind).names.iter().cloned().collect();
        self.ask(kind, &left).await
    }

    /// The message that takes `answer`, to be amended.
    pub(super) fn taking(&mut self, kind: ResourceKind, answer: &Answer) -> Message {
        let delta = self.transport.is_delta();
        let message = self.about(kind).nonce(&answer.nonce);
        let talk = self.talk(kind);
        talk.taken.clone_from(&answer.version);
        let all: Vec<String> = talk.names.iter().cloned().collect();
        if delta { message } else { message.names(&all).version(&answer.version) }
    }

    /// The message that refuses `answer`, to be amended.
    pub(super) fn refusing(&mut self, kind: ResourceKind, answer: &Answer) -> Message {
        let delta = self.transport.is_delta();
        let message = self.about(kind).nonce(&answer.nonce).error("refused by the suite");
        let talk = self.talk(kind);
        let all: Vec<String> = talk.names.iter().cloned().collect();
        let taken = talk.taken.clone();
        if delta { message } else { message.names(&all).version(&taken) }
    }

    /// Takes `answer`.
    pub(super) async fn ack(&mut self, kind: ResourceKind, answer: &Answer) -> Result<(), Stop> {
        let message = self.taking(kind, answer);
        self.say(message).await
    }

    /// Refuses `answer`.
    pub(super) async fn nack(&mut self, kind: ResourceKind, answer: &Answer) -> Result<(), Stop> {
        let message = self.refusing(kind, answer);
        self.say(message).await
    }

    /// The next message, which must be about `kind`.
    pub(super) async fn next(&mut self, kind: ResourceKind) -> Result<Answer, Stop> {
        let wanted = kind.type_url();
        let mut answer = self.hear().await?;
        // What was asked about only to know the server read on is not the rule's.
        while self.probed && kind != PROBE && answer.type_url == *PROBE.type_url().0 {
            self.ack(PROBE, &answer).await?;
            answer = self.hear().await?;
        }
        ensure(answer.type_url == *wanted.0, || {
            format!("an answer about {} came where one about {wanted} was due", answer.type_url)
        })?;
        Ok(answer)
    }

    /// The next message about `kind`, taken.
    pub(super) async fn take(&mut self, kind: ResourceKind) -> Result<Answer, Stop> {
        let answer = self.next(kind).await?;
        self.ack(kind, &answer).await?;
        Ok(answer)
    }

    /// The next message about `kind`; others that come before are taken.
    pub(super) async fn next_of(&mut self, kind: ResourceKind) -> Result<Answer, Stop> {
        let wanted = kind.type_url();
        loop {
            let answer = self.hear().await?;
            if answer.type_url == *wanted.0 {
                return Ok(answer);
            }
            if let Some(other) = crate::model::TypeUrl(answer.type_url.as_str().into()).kind() {
                self.ack(other, &answer).await?;
            }
        }
    }

    /// Takes messages about `kind` until `enough` holds for all that came, which
    /// it gives as one answer; `due` names what is waited for.
    pub(super) async fn until(
        &mut self,
        kind: ResourceKind,
        due: &str,
        enough: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, Stop> {
        let mut all = Answer::default();
        while !enough(&all) {
            let answer = self.take(kind).await.map_err(|stop| match stop {
                Stop::Fail(text) => Stop::Fail(format!("{text}, while {due} was due")),
                skip => skip,
            })?;
            all.resources.extend(answer.resources);
            all.removed.extend(answer.removed);
            (all.type_url, all.version, all.nonce) =
                (answer.type_url, answer.version, answer.nonce);
        }
        Ok(all)
    }

    /// Takes messages about `kind` until one has `name` in another content than
    /// the client holds, and gives that one.
    pub(super) async fn changed(&mut self, kind: ResourceKind, name: &str) -> Result<Answer, Stop> {
        let before = self.talk(kind).held.get(name).cloned();
        loop {
            let answer = self.take(kind).await?;
            if answer.get(name).is_some_and(|one| Some(&one.body) != before.as_ref()) {
                return Ok(answer);
            }
        }
    }

    /// Takes messages of every type until all of `wanted` is held and nothing
    /// more comes.
    pub(super) async fn settle(&mut self, wanted: &[(ResourceKind, &str)]) -> Result<(), Stop> {
        let lacks = |line: &mut Self| {
            wanted.iter().any(|(kind, name)| !line.talk(*kind).held.contains_key(*name))
        };
        loop {
            let wait = if lacks(self) { self.patience } else { self.quiet };
            let Some(answer) = self.hear_within(&mut Wait::of(wait)).await? else {
                return ensure(!lacks(self), || format!("not all of {wanted:?} came"));
            };
            if let Some(kind) = crate::model::TypeUrl(answer.type_url.as_str().into()).kind() {
                self.ack(kind, &answer).await?;
            }
        }
    }

    /// Asks about a type that the stream has room for and awaits the answer,
    /// so that the server has read what was said before. Gives what else came
    /// first, if anything did.
    async fn probe(&mut self) -> Result<Option<Answer>, Stop> {
        let free = !self.talks.contains_key(&*PROBE.type_url().0);
        if !self.transport.is_aggregated() || !free || self.talks.is_empty() {
            return Ok(None);
        }
        self.probed = true;
        self.ask::<&str>(PROBE, &[]).await?;
        match self.hear_within(&mut Wait::of(self.patience)).await? {
            Some(answer) if answer.type_url == *PROBE.type_url().0 => {
                self.ack(PROBE, &answer).await?;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    /// Takes what comes about `kind` within the quiet time, if anything.
    pub(super) async fn drain(&mut self, kind: ResourceKind) -> Result<(), Stop> {
        if let Some(answer) = self.probe().await? {
            self.ack(kind, &answer).await?;
        }
        self.never(kind, "", |_| false).await
    }

    /// Takes messages about `kind` until everything in `wanted` is held: a
    /// server may send it in parts. Gives what came, as one answer.
    pub(super) async fn gather<S: AsRef<str>>(
        &mut self,
        kind: ResourceKind,
        wanted: &[S],
    ) -> Result<Answer, Stop> {
        let short: Vec<_> = wanted.iter().map(AsRef::as_ref).collect();
        let enough = |all: &Answer| short.iter().all(|name| all.get(name).is_some());
        if wanted.is_empty() {
            return self.take(kind).await;
        }
        self.until(kind, &names(&short), enough).await
    }

    /// Fails if anything comes that nobody asked for. Where the stream has
    /// room for another type, the answer about that is awaited first: what the
    /// server had to say of what came before, it has said by then.
    pub(super) async fn silent(&mut self) -> Result<(), Stop> {
        if let Some(answer) = self.probe().await? {
            return Err(fail(unasked(&answer)));
        }
        match self.hear_within(&mut Wait::of(self.quiet)).await? {
            None => Ok(()),
            Some(answer) => Err(fail(unasked(&answer))),
        }
    }

    /// Fails if `forbidden` holds for a message that comes within the quiet
    /// time; other messages are taken.
    pub(super) async fn never(
        &mut self,
        kind: ResourceKind,
        what: &str,
        forbidden: impl Fn(&Answer) -> bool,
    ) -> Result<(), Stop> {
        let mut wait = Wait::of(self.quiet);
        while let Some(answer) = self.hear_within(&mut wait).await? {
            ensure(!forbidden(&answer), || format!("{what} came: {}", answer.shown()))?;
            if answer.type_url == *kind.type_url().0 {
                self.ack(kind, &answer).await?;
            }
        }
        Ok(())
    }

    /// The names that the client holds of `kind`.
    pub(super) fn held(&mut self, kind: ResourceKind) -> Vec<String> {
        self.talk(kind).held.keys().cloned().collect()
    }

    pub(super) fn talk(&mut self, kind: ResourceKind) -> &mut super::line::Talk {
        self.talks.entry(kind.type_url().to_string()).or_default()
    }
}

fn unasked(answer: &Answer) -> String {
    format!("an answer came that nobody asked for: {}", answer.shown())
}

/// Fails unless `answer` holds exactly `wanted`, in any order.
pub(super) fn exactly<S: AsRef<str>>(answer: &Answer, wanted: &[S]) -> Result<(), Stop> {
    let mut given: Vec<_> = answer.names();
    let mut wanted: Vec<_> = wanted.iter().map(AsRef::as_ref).collect();
    given.sort_unstable();
    // A resource that came twice is another rule's.
    given.dedup();
    wanted.sort_unstable();
    ensure(given == wanted, || format!("{} came where {} was due", names(&given), names(&wanted)))
}
