//! Many Envoys' worth of streams in one process, each on a connection of its
//! own, and a board on which they write down what came when.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use envoy_types::pb::google::rpc::Status;
use prost::Message as _;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::wire::{Reader, Response, Seen, headers, message, preface};

/// How long anything may take before the program gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is read at once of a stream over TLS.
const PIECE_BYTES: usize = 16 << 10;
/// Connections that are opened at the same time.
const OPENING: usize = 64;

/// What a client does with what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Takes,
    /// Refuses everything but its first response.
    Refuses,
    /// Reads its first response, and then nothing.
    Mute,
}

/// What a stream asks for.
#[derive(Debug, Clone)]
pub struct Ask {
    pub delta: bool,
    pub stage: &'static str,
    /// Each type, and the names; none for everything.
    pub types: Vec<(String, Vec<String>)>,
    /// What a returning client has of the first type, and that type's version.
    pub held: Vec<(String, String)>,
    pub version: String,
    pub manner: Manner,
    /// By what it is known.
    pub token: Option<String>,
    pub tls: Option<Arc<ClientConfig>>,
}

/// A response as it arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub stream: usize,
    pub at: Instant,
    pub response: Response,
}

/// Where arrivals are written down.
#[derive(Debug, Default)]
pub struct Board {
    arrivals: Mutex<Vec<Arrival>>,
    ends: Mutex<Vec<Instant>>,
    wanted: AtomicU64,
    reached: Notify,
}

impl Board {
    fn note(&self, arrival: Arrival) {
        let mut arrivals = self.arrivals.lock().expect("no panic before");
        arrivals.push(arrival);
        if arrivals.len() as u64 >= self.wanted.load(Ordering::Acquire) {
            self.reached.notify_one();
        }
    }

    /// Waits for so many arrivals, and takes them.
    pub async fn take(&self, count: usize) -> Vec<Arrival> {
        self.wanted.store(count as u64, Ordering::Release);
        let enough = async {
            while self.len() < count {
                self.reached.notified().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, enough).await;
        assert!(waited.is_ok(), "{} of {count} responses came", self.len());
        self.drain()
    }

    /// Waits until so many streams have ended, and gives when they did.
    pub async fn ends(&self, count: usize) -> Vec<Instant> {
        let all = || self.ends.lock().expect("no panic before").clone();
        let enough = async {
            while all().len() < count {
                self.reached.notified().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, enough).await;
        assert!(waited.is_ok(), "{} of {count} streams ended", all().len());
        all()
    }

    fn end(&self) {
        self.ends.lock().expect("no panic before").push(Instant::now());
        self.reached.notify_one();
    }

    /// Takes what there is.
    pub fn drain(&self) -> Vec<Arrival> {
        std::mem::take(&mut *self.arrivals.lock().expect("no panic before"))
    }

    pub fn len(&self) -> usize {
        self.arrivals.lock().expect("no panic before").len()
    }
}

/// Open streams; they close when it is dropped.
pub struct Clients {
    pub board: Arc<Board>,
    tasks: JoinSet<()>,
    opened: usize,
    gate: Arc<Semaphore>,
}

impl Clients {
    pub fn new() -> Self {
        let gate = Arc::new(Semaphore::new(OPENING));
        Self { board: Arc::default(), tasks: JoinSet::new(), opened: 0, gate }
    }

    /// Opens so many streams. What they get goes to the board; with `collects`
    /// together with the versions of all resources.
    pub fn open(&mut self, server: SocketAddr, count: usize, ask: &Ask, collects: bool) {
        for _ in 0..count {
            let number = self.opened;
            self.opened += 1;
            let (board, gate, ask) = (self.board.clone(), self.gate.clone(), ask.clone());
            self.tasks.spawn(async move {
                let permit = gate.acquire_owned().await.expect("an open gate");
                let pipe = secure(connect(server, number).await, server, ask.tls.clone()).await;
                drop(permit);
                let reader = if collects { Reader::collecting() } else { Reader::default() };
                stream(pipe, number, ask, &board, reader).await;
                board.end();
            });
        }
    }
}

/// Every 20,000 streams come from an address of their own: ports run out.
async fn connect(server: SocketAddr, number: usize) -> TcpStream {
    let host = u8::try_from(1 + number / 20_000).expect("few enough streams");
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(from).expect("a source address");
    let stream = socket.connect(server).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// A connection, as it is or over TLS.
enum Pipe {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

async fn secure(socket: TcpStream, server: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Pipe {
    let Some(tls) = tls else { return Pipe::Plain(socket) };
    let name = ServerName::from(server.ip());
    let stream = TlsConnector::from(tls).connect(name, socket).await.expect("a handshake");
    Pipe::Secure(Box::new(stream))
}

impl Pipe {
    async fn write(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Plain(socket) => socket.write_all(bytes).await.is_ok(),
            Self::Secure(stream) => stream.write_all(bytes).await.is_ok(),
        }
    }

    /// Reads what is there, once; false at the end.
    async fn read(&mut self, reader: &mut Reader, see: &mut (impl FnMut(Seen) + Send)) -> bool {
        match self {
            Self::Plain(socket) => socket.readable().await.is_ok() && read(socket, reader, see),
            Self::Secure(stream) => {
                let mut buffer = vec![0; PIECE_BYTES];
                let count = stream.read(&mut buffer).await.unwrap_or(0);
                reader.feed(&buffer[..count], see);
                count > 0
            }
        }
    }
}

async fn stream(mut pipe: Pipe, number: usize, ask: Ask, board: &Board, mut reader: Reader) {
    let path = match ask.delta {
        true => "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
        false => "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    };
    let mut out = [preface(), headers(path, ask.token.as_deref())].concat();
    for (index, one) in ask.types.iter().enumerate() {
        out.extend(message(&first(&ask, one, index == 0, number)));
    }
    if !pipe.write(&out).await {
        return;
    }
    let (mut answered, mut ended) = (0, false);
    loop {
        let mut replies = Vec::new();
        let mut see = |seen| match seen {
            Seen::Reply(bytes) => replies.extend(bytes),
            Seen::End => ended = true,
            Seen::Response(response) => {
                replies.extend(message(&answer(&ask, &response, answered)));
                answered += 1;
                board.note(Arrival { stream: number, at: Instant::now(), response });
            }
        };
        let open = pipe.read(&mut reader, &mut see).await;
        if !open || ended || !pipe.write(&replies).await {
            return;
        }
        if ask.manner == Manner::Mute && answered >= ask.types.len() {
            std::future::pending::<()>().await;
        }
    }
}

/// Reads what is there, once; false at the end. The buffer is the thread's, so
/// that a stream at rest has none.
fn read(socket: &TcpStream, reader: &mut Reader, see: &mut impl FnMut(Seen)) -> bool {
    let mut buffer = [0; 64 << 10];
    match socket.try_read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            reader.feed(&buffer[..count], see);
            true
        }
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

fn node(stage: &str, number: usize) -> Node {
    let stage = Value { kind: Some(Kind::StringValue(stage.into())) };
    let metadata = Some(Struct { fields: [("stage".to_owned(), stage)].into() });
    Node { id: format!("node-{number}"), cluster: "bench".into(), metadata, ..Node::default() }
}

fn first(ask: &Ask, (type_url, names): &(String, Vec<String>), opens: bool, n: usize) -> Vec<u8> {
    let node = opens.then(|| node(ask.stage, n));
    let type_url = type_url.clone();
    if ask.delta {
        let held = if opens { ask.held.clone() } else { Vec::new() };
        return DeltaDiscoveryRequest {
            node,
            type_url,
            resource_names_subscribe: names.clone(),
            initial_resource_versions: held.into_iter().collect(),
            ..Default::default()
        }
        .encode_to_vec();
    }
    let version_info = if opens { ask.version.clone() } else { String::new() };
    let resource_names = names.clone();
    DiscoveryRequest { node, type_url, resource_names, version_info, ..Default::default() }
        .encode_to_vec()
}

fn answer(ask: &Ask, response: &Response, answered: usize) -> Vec<u8> {
    let refuses = ask.manner == Manner::Refuses && answered > 0;
    let error_detail =
        refuses.then(|| Status { code: 3, message: "no".into(), ..Status::default() });
    let (type_url, response_nonce) = (response.type_url.clone(), response.nonce.clone());
    if ask.delta {
        return DeltaDiscoveryRequest {
            type_url,
            response_nonce,
            error_detail,
            ..Default::default()
        }
        .encode_to_vec();
    }
    let names = ask.types.iter().find(|(known, _)| *known == type_url);
    DiscoveryRequest {
        type_url,
        response_nonce,
        error_detail,
        version_info: response.version.clone(),
        resource_names: names.map(|(_, names)| names.clone()).unwrap_or_default(),
        ..Default::default()
    }
    .encode_to_vec()
}
