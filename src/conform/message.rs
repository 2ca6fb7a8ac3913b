//! A client's message of either protocol, and how it reads in a record.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DiscoveryRequest, ResourceLocator,
};
use envoy_types::pb::google::rpc::Status;

/// A request.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// State of the world.
    Sotw(DiscoveryRequest),
    /// Incremental.
    Delta(DeltaDiscoveryRequest),
}

impl Message {
    /// An empty request of a type.
    pub(super) fn new(delta: bool, type_url: &str) -> Self {
        let type_url = type_url.to_owned();
        match delta {
            true => Self::Delta(DeltaDiscoveryRequest { type_url, ..Default::default() }),
            false => Self::Sotw(DiscoveryRequest { type_url, ..Default::default() }),
        }
    }

    /// Asks for `names`.
    #[must_use]
    pub(super) fn names<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        let names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        match &mut self {
            Self::Sotw(message) => message.resource_names = names,
            Self::Delta(message) => message.resource_names_subscribe = names,
        }
        self
    }

    /// Asks for `names` no more, where the protocol has words for it.
    #[must_use]
    pub(super) fn without<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        if let Self::Delta(message) = &mut self {
            let names = names.iter().map(|name| name.as_ref().to_owned());
            message.resource_names_unsubscribe = names.collect();
        }
        self
    }

    /// Asks by locators.
    #[must_use]
    pub(super) fn locators(mut self, names: &[&str]) -> Self {
        let locator =
            |name: &&str| ResourceLocator { name: (*name).to_owned(), ..Default::default() };
        let locators = names.iter().map(locator).collect();
        match &mut self {
            Self::Sotw(message) => message.resource_locators = locators,
            Self::Delta(message) => message.resource_locators_subscribe = locators,
        }
        self
    }

    /// Answers the response of that nonce.
    #[must_use]
    pub(super) fn nonce(mut self, nonce: &str) -> Self {
        match &mut self {
            Self::Sotw(message) => message.response_nonce = nonce.to_owned(),
            Self::Delta(message) => message.response_nonce = nonce.to_owned(),
        }
        self
    }

    /// Says which version the client has, where the protocol has words for it.
    #[must_use]
    pub(super) fn version(mut self, version: &str) -> Self {
        if let Self::Sotw(message) = &mut self {
            message.version_info = version.to_owned();
        }
        self
    }

    /// Says which versions the client has, where the protocol has words for it.
    #[must_use]
    pub(super) fn initial(mut self, versions: &[(String, String)]) -> Self {
        if let Self::Delta(message) = &mut self {
            message.initial_resource_versions = versions.iter().cloned().collect();
        }
        self
    }

    /// Refuses what it answers.
    #[must_use]
    pub(super) fn error(mut self, text: &str) -> Self {
        let status = Some(Status { code: 3, message: text.to_owned(), ..Status::default() });
        match &mut self {
            Self::Sotw(message) => message.error_detail = status,
            Self::Delta(message) => message.error_detail = status,
        }
        self
    }

    /// Says who asks.
    #[must_use]
    pub(super) fn node(mut self, node: Node) -> Self {
        match &mut self {
            Self::Sotw(message) => message.node = Some(node),
            Self::Delta(message) => message.node = Some(node),
        }
        self
    }

    /// The type it is about.
    pub(super) fn type_url(&self) -> &str {
        match self {
            Self::Sotw(message) => &message.type_url,
            Self::Delta(message) => &message.type_url,
        }
    }

    /// The message in a line of text.
    pub(super) fn shown(&self) -> String {
        let mut parts = vec![self.type_url().rsplit('.').next().unwrap_or_default().to_owned()];
        let mut list = |label: &str, list: &[String]| {
            let list: Vec<_> = list.iter().map(String::as_str).collect();
            if !list.is_empty() {
                parts.push(format!("{label}={}", names(&list)));
            }
        };
        let (node, nonce, error) = match self {
            Self::Sotw(m) => {
                list("names", &m.resource_names);
                list("version", std::slice::from_ref(&m.version_info));
                (&m.node, &m.response_nonce, &m.error_detail)
            }
            Self::Delta(m) => {
                list("subscribe", &m.resource_names_subscribe);
                list("unsubscribe", &m.resource_names_unsubscribe);
                let initial: Vec<_> = m.initial_resource_versions.keys().cloned().collect();
                list("initial", &initial);
                (&m.node, &m.response_nonce, &m.error_detail)
            }
        };
        parts.push(format!("nonce={nonce:?}"));
        parts.extend(node.as_ref().map(|node| format!("node={:?}", node.id)));
        parts.extend(error.as_ref().map(|error| format!("error={:?}", error.message)));
        parts.join(" ")
    }
}

/// A list of names, cut where it would be long.
pub(super) fn names(list: &[&str]) -> String {
    match list.len() {
        0..=8 => format!("[{}]", list.join(", ")),
        many => format!("[{}, … {many} in all]", list[..6].join(", ")),
    }
}
