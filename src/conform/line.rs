//! One open stream, under full control: what is sent is what a rule says, and
//! what comes is handed over message by message.
//!
//! It keeps the little that a client must keep (names, nonce, what it holds)
//! so that rules read as sentences; it never answers by itself. A line that is
//! not listened to stops reading after two messages, as a mute client does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use futures_util::stream::unfold;
use prost::Message as _;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::answer::Answer;
use super::client::Client;
use super::exchange::Exchange;
use super::message::Message;
use super::rule::Stop;
use super::target::Target;
use super::transport::Transport;
use super::wait::Wait;
use crate::model::{ResourceKind, TypeUrl};
use crate::tasks::Tasks;

/// Requests that wait to be written.
const MAX_WAITING: usize = 64;

/// An open stream.
pub(super) struct Line {
    pub(super) transport: Transport,
    pub(super) exchange: Exchange,
    /// In the record, where a case has several.
    pub(super) number: usize,
    pub(super) patience: Duration,
    pub(super) quiet: Duration,
    pub(super) talks: BTreeMap<String, Talk>,
    requests: Requests,
    answers: mpsc::Receiver<Result<Answer, Status>>,
    node: Node,
    introduced: bool,
    /// The method that opened it.
    path: String,
    heard: bool,
    /// Whether a type was asked about that the rule did not ask about.
    pub(super) probed: bool,
    /// What the server ended it with.
    pub(super) status: Option<Status>,
    /// Ends the stream when the line is dropped.
    _tasks: Tasks,
}

/// What the client keeps of one type.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// All names asked for now.
    pub(super) names: BTreeSet<String>,
    /// Of the newest response.
    pub(super) nonce: String,
    /// The version that was taken last.
    pub(super) taken: String,
    /// What it holds, as bytes; `None` for what came without a body.
    pub(super) held: BTreeMap<String, Option<Vec<u8>>>,
}

enum Requests {
    Sotw(mpsc::Sender<DiscoveryRequest>),
    Delta(mpsc::Sender<DeltaDiscoveryRequest>),
}

impl Line {
    /// Opens the stream of `transport` that carries `kind`.
    pub(super) async fn open(
        target: &Target,
        transport: Transport,
        kind: ResourceKind,
        node: Node,
        exchange: Exchange,
        number: usize,
    ) -> Result<Self, Stop> {
        let client = Client::connect(target).await?;
        let tasks = Tasks::default();
        let path = transport.path(kind);
        let (sender, answers) = mpsc::channel(1);
        let to = path.clone();
        let requests = match transport.is_delta() {
            true => Requests::Delta(carry::<_, DeltaDiscoveryResponse>(client, to, sender, &tasks)),
            false => Requests::Sotw(carry::<_, DiscoveryResponse>(client, to, sender, &tasks)),
        };
        Ok(Self {
            transport,
            exchange,
            number,
            patience: target.patience,
            quiet: target.quiet,
            talks: BTreeMap::new(),
            requests,
            answers,
            node,
            introduced: false,
            path,
            heard: false,
            probed: false,
            status: None,
            _tasks: tasks,
        })
    }

    /// An empty request about `kind`, in the line's protocol.
    pub(super) fn about(&self, kind: ResourceKind) -> Message {
        Message::new(self.transport.is_delta(), &kind.type_url().0)
    }

    /// Sends a message, with the node where it is the first.
    pub(super) async fn say(&mut self, message: Message) -> Result<(), Stop> {
        let message = match std::mem::replace(&mut self.introduced, true) {
            true => message,
            false => message.node(self.node.clone()),
        };
        self.send(message).await
    }

    /// Sends a message exactly as it is.
    pub(super) async fn send(&mut self, message: Message) -> Result<(), Stop> {
        self.introduced = true;
        self.exchange.note(format!("#{} → {}", self.number, message.shown()));
        let sent = match (&self.requests, message) {
            (Requests::Sotw(sender), Message::Sotw(message)) => sender.send(message).await.is_ok(),
            (Requests::Delta(sender), Message::Delta(message)) => {
                sender.send(message).await.is_ok()
            }
            _ => return Err(Stop::Fail("a message of the other protocol".into())),
        };
        match sent {
            true => Ok(()),
            // Why it ended is in what comes.
            false => Err(self.hear().await.err().unwrap_or_else(|| ended("by the server"))),
        }
    }

    /// The next message, whatever it is about.
    pub(super) async fn hear(&mut self) -> Result<Answer, Stop> {
        match self.hear_within(&mut Wait::of(self.patience)).await? {
            Some(answer) => Ok(answer),
            None => {
                self.exchange.note(format!("#{} … silence", self.number));
                Err(Stop::Fail(format!("no answer came within {:?}", self.patience)))
            }
        }
    }

    /// The next message, if one comes in time.
    pub(super) async fn hear_within(&mut self, wait: &mut Wait) -> Result<Option<Answer>, Stop> {
        let Some(next) = wait.until(self.answers.recv()).await else { return Ok(None) };
        match next {
            Some(Ok(answer)) => {
                self.exchange.note(format!("#{} ← {}", self.number, answer.shown()));
                self.keep(&answer);
                Ok(Some(answer))
            }
            Some(Err(status)) => {
                self.note_end(&status);
                let stop = self.stopped_by(&status);
                self.status = Some(status);
                Err(stop)
            }
            None => {
                self.exchange.note(format!("#{} ← end", self.number));
                Err(ended("without a status"))
            }
        }
    }

    /// The status that the server ends the stream with; messages before it are
    /// passed over.
    pub(super) async fn end(&mut self) -> Result<Option<Status>, Stop> {
        let mut wait = Wait::of(self.patience);
        loop {
            match wait.until(self.answers.recv()).await {
                None => return Err(Stop::Fail("the stream was not ended".into())),
                Some(None) => return Ok(None),
                Some(Some(Err(status))) => {
                    self.note_end(&status);
                    return match self.stopped_by(&status) {
                        skip @ Stop::Skip(_) => Err(skip),
                        _ => Ok(Some(status)),
                    };
                }
                Some(Some(Ok(answer))) => {
                    self.exchange.note(format!("#{} ← {}", self.number, answer.shown()));
                }
            }
        }
    }

    fn note_end(&self, status: &Status) {
        let text = format!("{:?}: {}", status.code(), status.message());
        self.exchange.note(format!("#{} ← end: {text}", self.number));
    }

    /// What the end of a stream makes of a rule: a server that has no such
    /// stream breaks nothing on it.
    fn stopped_by(&self, status: &Status) -> Stop {
        match status.code() {
            Code::Unimplemented if !self.heard => {
                Stop::Skip(format!("the server has no {}", self.path))
            }
            code => ended(&format!("{code:?}: {}", status.message())),
        }
    }

    /// Closes our half of the stream.
    pub(super) fn close(&mut self) {
        self.exchange.note(format!("#{} → end", self.number));
        let (sotw, delta) = (mpsc::channel(1).0, mpsc::channel(1).0);
        match &mut self.requests {
            Requests::Sotw(sender) => *sender = sotw,
            Requests::Delta(sender) => *sender = delta,
        }
    }

    /// Notes what the client holds after a message.
    fn keep(&mut self, answer: &Answer) {
        self.heard = true;
        let kind = TypeUrl(answer.type_url.as_str().into()).kind();
        let full = matches!(kind, Some(ResourceKind::Clusters | ResourceKind::Listeners));
        let talk = self.talks.entry(answer.type_url.clone()).or_default();
        talk.nonce.clone_from(&answer.nonce);
        if full && !self.transport.is_delta() {
            talk.held.clear();
        }
        for one in &answer.resources {
            talk.held.insert(one.name.clone(), one.body.clone());
        }
        for name in &answer.removed {
            talk.held.remove(name);
        }
    }
}

fn ended(text: &str) -> Stop {
    Stop::Fail(format!("the stream ended: {text}"))
}

/// Runs a stream beside the rule: the headers of some servers come only with
/// their first message, so nobody waits for them.
fn carry<Q, A>(
    client: Client,
    path: String,
    answers: mpsc::Sender<Result<Answer, Status>>,
    tasks: &Tasks,
) -> mpsc::Sender<Q>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + Into<Answer> + 'static,
{
    let (sender, receiver) = mpsc::channel::<Q>(MAX_WAITING);
    let requests = unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|message| (message, receiver))
    });
    tasks.spawn("conformance stream", async move {
        let mut stream = match client.stream::<Q, A>(&path, requests).await {
            Ok(stream) => stream,
            Err(status) => return drop(answers.send(Err(status)).await),
        };
        loop {
            let next = match stream.message().await {
                Ok(Some(message)) => Ok(message.into()),
                Ok(None) => return,
                Err(status) => Err(status),
            };
            let last = next.is_err();
            if answers.send(next).await.is_err() || last {
                return;
            }
        }
    });
    sender
}

/// A message that no server can read: a number where a text belongs.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Unreadable {
    #[prost(uint64, tag = "1")]
    version_info: u64,
    #[prost(uint64, tag = "4")]
    type_url: u64,
}

impl Unreadable {
    /// One such message.
    pub(super) fn new() -> Self {
        let message = Self { version_info: 7, type_url: 7 };
        debug_assert!(message.encoded_len() > 0);
        message
    }
}
