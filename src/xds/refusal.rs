//! Why a stream is refused or ended, and the gRPC status that says so: the
//! one place that knows tonic's codes.

use tonic::Status;

/// Why a stream can't go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// There is no such method.
    #[error("no such method: {0}")]
    UnknownMethod(String),
    /// No token, or a wrong one.
    #[error("a valid bearer token is required")]
    Unauthenticated,
    /// The certificate is good, and nobody's.
    #[error(
        "no node comes with a certificate of `{0}`; name it in `auth.certificates` or issue a \
         token with that certificate"
    )]
    UnknownCertificate(String),
    /// The certificate is trusted no more, or has ended.
    #[error("the client's certificate has ended, is revoked, or is trusted no more")]
    Distrusted,
    /// What the stream was opened with is good no more.
    #[error("the {0} was revoked or has ended")]
    Withdrawn(String),
    /// What the client says it is, or is served from, is not for it.
    #[error("the {who} does not allow this: {rule}")]
    Outside {
        /// The token or certificate.
        who: String,
        /// What it says.
        rule: String,
    },
    /// Less may be seen now, and messages wait that hold more.
    #[error("what this node may see was narrowed while messages waited; open the stream again")]
    Narrowed,
    /// The first message did not say who the client is.
    #[error("the first message of a stream must carry node.id")]
    NoNode,
    /// The stream opened and said nothing.
    #[error("no message came within {0} s of the stream's start")]
    Silent(u64),
    /// A message on an aggregated stream did not say which type it is about.
    #[error("type_url is required on an aggregated stream")]
    NoType,
    /// A message on a stream for one type was about another.
    #[error("this stream is for {expected}, not for {given}")]
    OtherType {
        /// The stream's type.
        expected: String,
        /// The message's.
        given: String,
    },
    /// Nothing is published for the client, or no rule says what it is served.
    #[error("nothing is served to this node; is its stage active, and does a rule match it?")]
    NothingServed,
    /// A message was compressed, which we never said we read.
    #[error("compressed messages are not read; send them with grpc-encoding: identity")]
    Compressed,
    /// A message is larger than any that a client needs.
    #[error("a message of {length} bytes is more than the {limit} that are read")]
    TooLarge {
        /// The message's length.
        length: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// A message is not what its method says it is.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// More types than anybody needs.
    #[error("too many resource types on one stream")]
    TooManyTypes,
    /// More names than we keep for one stream.
    #[error("too many resource names on one stream")]
    TooManyNames,
    /// We stop.
    #[error("the server is stopping")]
    Stopping,
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::UnknownMethod(_) | Refusal::Compressed => Self::unimplemented(text),
            Refusal::Unauthenticated
            | Refusal::UnknownCertificate(_)
            | Refusal::Distrusted
            | Refusal::Withdrawn(_) => Self::unauthenticated(text),
            Refusal::Outside { .. } => Self::permission_denied(text),
            Refusal::Narrowed => Self::aborted(text),
            Refusal::NoNode
            | Refusal::NoType
            | Refusal::OtherType { .. }
            | Refusal::Malformed(_) => Self::invalid_argument(text),
            Refusal::NothingServed => Self::not_found(text),
            Refusal::Silent(_) => Self::deadline_exceeded(text),
            Refusal::TooLarge { .. } | Refusal::TooManyTypes | Refusal::TooManyNames => {
                Self::resource_exhausted(text)
            }
            Refusal::Stopping => Self::unavailable(text),
        }
    }
}
